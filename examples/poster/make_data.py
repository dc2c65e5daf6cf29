"""Make the unpaired data set behind the shipped U-GAT-IT weights: photographs (A) and screen-print posters (B).

    python examples/poster/make_data.py data/poster

Both domains are crops of three public-domain photographs (examples/images/README.md); B has gone through a classical
filter: smoothed, cut into four tones, printed in four inks, with dark outlines. The crops of A and B are drawn
independently, so nothing is paired. The test crops come from a fourth photograph that training never sees.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

IMAGES = Path(__file__).resolve().parent.parent / "images"
TRAIN = ("astronaut", "coffee", "rocket")
TEST = "chelsea"
CROP_PX = 128
INKS = np.array([(24, 28, 66), (32, 112, 140), (240, 168, 92), (255, 242, 214)], dtype=np.float32)
"""navy, teal, apricot, cream: one for each tone, dark to light"""
CHROMA_KEPT = 0.25
"""share of the photograph's own colour that shows through the ink, so that a poster can be turned back"""
HUE_TURNED = 0.5
"""share of the training crops whose hue is turned"""


def poster(image: Image.Image) -> Image.Image:
    """Print `image` in four inks with outlines."""
    smooth = image.filter(ImageFilter.MedianFilter(5)).filter(ImageFilter.GaussianBlur(0.8))
    rgb = np.asarray(smooth, dtype=np.float32)
    luminance = rgb @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    low, high = np.percentile(luminance, (2, 98))
    tone = np.clip((luminance - low) / max(float(high - low), 1.0), 0, 0.999)
    printed = INKS[(tone * len(INKS)).astype(np.int64)]
    printed = printed + CHROMA_KEPT * (rgb - luminance[..., None])
    printed = printed * (1 - 0.85 * outlines(luminance)[..., None])
    return Image.fromarray(np.clip(np.rint(printed), 0, 255).astype(np.uint8))


def outlines(luminance: NDArray[np.float32]) -> NDArray[np.float32]:
    """Strength of an edge at each pixel, 0 to 1: the gradient, thresholded softly."""
    down, right = np.gradient(luminance)
    return np.clip((np.hypot(down, right) - 12) / 14, 0, 1).astype(np.float32)


def crop(image: Image.Image, rng: np.random.Generator) -> Image.Image:
    """Return a random square of `image`, at a random scale, shrunk to CROP_PX."""
    side = int(rng.integers(CROP_PX * 5 // 4, min(image.size) + 1))
    left = int(rng.integers(0, image.width - side + 1))
    top = int(rng.integers(0, image.height - side + 1))
    box = (left, top, left + side, top + side)
    return image.resize((CROP_PX, CROP_PX), Image.Resampling.LANCZOS, box=box)


def turn_hue(image: Image.Image, turn: float) -> Image.Image:
    """Rotate every hue by `turn` (1 is the whole circle)."""
    hsv = np.array(image.convert("HSV"))
    hsv[..., 0] = (hsv[..., 0].astype(np.int64) + round(turn * 255)) % 256
    return Image.merge("HSV", [Image.fromarray(plane) for plane in hsv.transpose(2, 0, 1)]).convert("RGB")


def write(folder: Path, sources: list[Image.Image], count: int, *, printed: bool, seed: int) -> None:
    """Write `count` crops of `sources` to `folder`.

    Several sources are a training set: every other crop of it has its hue turned at random, because three photographs
    have too few colours to learn from.
    """
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for number in range(count):
        piece = crop(sources[number % len(sources)], rng)
        if len(sources) > 1 and rng.random() < HUE_TURNED:
            piece = turn_hue(piece, float(rng.uniform(-0.5, 0.5)))
        (poster(piece) if printed else piece).save(folder / f"{number:04d}.png")


def main() -> None:
    """Write trainA, trainB, testA, testB below the folder named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where to write the data set; must not exist")
    parser.add_argument("--count", type=int, default=300, help="training images per domain")
    arguments = parser.parse_args()
    train = [Image.open(IMAGES / f"{name}.jpg").convert("RGB") for name in TRAIN]
    test = [Image.open(IMAGES / f"{TEST}.jpg").convert("RGB")]
    arguments.folder.mkdir(parents=True)
    write(arguments.folder / "trainA", train, arguments.count, printed=False, seed=1)
    write(arguments.folder / "trainB", train, arguments.count, printed=True, seed=2)
    write(arguments.folder / "testA", test, 8, printed=False, seed=3)
    write(arguments.folder / "testB", test, 8, printed=True, seed=4)
    print(f"wrote {2 * arguments.count} training and 16 test images to {arguments.folder}")


if __name__ == "__main__":
    main()
