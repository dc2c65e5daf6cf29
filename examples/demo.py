"""What `make demo` shows: one image through a bundle, as input | output | attention, without torch."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import cast

from PIL import Image

import i2i_runtime as i2i
from i2i_registry import Grid, Row, draw_sheet


def main() -> None:
    """Translate the image and write the sheet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("image", type=Path)
    parser.add_argument("sheet", type=Path)
    arguments = parser.parse_args()
    bundle = i2i.load(arguments.bundle)
    image = Image.open(arguments.image).convert("RGB")
    outputs = cast("dict[str, Image.Image]", bundle.translate(image, outputs=["image", "attention"]))
    row = Row("", (image, outputs["image"], outputs["attention"]))
    draw_sheet(Grid(("input", "output", "attention"), (row,)), max(image.size)).save(arguments.sheet)
    print(f"input | output | attention: {arguments.sheet.resolve()}")


if __name__ == "__main__":
    main()
