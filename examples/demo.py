"""What `make demo` shows: one picture through a bundle, as input | output | attention, without torch."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import cast

from PIL import Image, ImageDraw, ImageFont

import i2i_runtime as i2i

GAP_PX = 8
CAPTION_PX = 24


def side_by_side(pictures: dict[str, Image.Image]) -> Image.Image:
    """The pictures in a row, each under its caption."""
    height = max(picture.height for picture in pictures.values())
    width = sum(picture.width for picture in pictures.values()) + GAP_PX * (len(pictures) + 1)
    sheet = Image.new("RGB", (width, height + CAPTION_PX + GAP_PX), "white")
    pen = ImageDraw.Draw(sheet)
    left = GAP_PX
    for name, picture in pictures.items():
        pen.text((left, 4), name, fill="black", font=ImageFont.load_default(14))
        sheet.paste(picture, (left, CAPTION_PX))
        left += picture.width + GAP_PX
    return sheet


def main() -> None:
    """Translate the picture and write the sheet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("sheet", type=Path)
    arguments = parser.parse_args()
    bundle = i2i.load(arguments.bundle)
    picture = Image.open(arguments.picture).convert("RGB")
    outputs = cast("dict[str, Image.Image]", bundle.translate(picture, fit="native", outputs=["image", "attention"]))
    side_by_side({"input": picture, "output": outputs["image"], "attention": outputs["attention"]}).save(
        arguments.sheet
    )
    print(f"input | output | attention: {arguments.sheet.resolve()}")


if __name__ == "__main__":
    main()
