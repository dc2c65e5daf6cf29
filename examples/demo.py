"""What `make demo` shows: one picture through a bundle, as input | output | attention, without torch."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import cast

from PIL import Image

import i2i_runtime as i2i
from i2i_registry import Grid, Row, draw_sheet


def main() -> None:
    """Translate the picture and write the sheet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("sheet", type=Path)
    arguments = parser.parse_args()
    bundle = i2i.load(arguments.bundle)
    picture = Image.open(arguments.picture).convert("RGB")
    outputs = cast("dict[str, Image.Image]", bundle.translate(picture, outputs=["image", "attention"]))
    row = Row("", (picture, outputs["image"], outputs["attention"]))
    draw_sheet(Grid(("input", "output", "attention"), (row,)), max(picture.size)).save(arguments.sheet)
    print(f"input | output | attention: {arguments.sheet.resolve()}")


if __name__ == "__main__":
    main()
