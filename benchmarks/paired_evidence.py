"""How close translations come to held-out images, beside what needs no network.

    python benchmarks/paired_evidence.py BUNDLE_OR_FOLDER data/camvid

The data is a folder with train/ and test/, whose images hold label map and photograph side by side. Prints the mean
absolute error over the test photographs, in steps of 8 bits, for the model, for the mean training photograph, and for
each label painted in its mean colour; the structural similarity (Wang et al. 2004) of the same three; and how much
neighbouring pixels differ, as a share of how much they do in the photographs: a translation should not be flat.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import i2i_runtime

Pixels = NDArray[np.float64]
"""[h, w, 3], 0 to 255"""

C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
WINDOW = 8
"""pixels a side of SSIM's windows, laid beside each other"""


def pairs(folder: Path, side: int) -> list[tuple[Image.Image, Pixels]]:
    """(label map, photograph) of each file, both `side` pixels a side."""
    found: list[tuple[Image.Image, Pixels]] = []
    for path in sorted(folder.iterdir()):
        both = Image.open(path).convert("RGB")
        half = both.width // 2
        label, photo = (both.crop((left, 0, left + half, both.height)) for left in (0, half))
        # Labels are classes: no new colours between two of them.
        small = label.resize((side, side), Image.Resampling.NEAREST)
        found.append((small, np.asarray(photo.resize((side, side), Image.Resampling.BICUBIC), dtype=np.float64)))
    return found


def classes(label: Image.Image) -> NDArray[np.int64]:
    """Return a number for each coarse colour of a label map: JPEG blurs the exact ones."""
    levels = (np.asarray(label, dtype=np.int64) + 32) // 64
    return levels @ np.array([25, 5, 1])


def mean_colours(train: list[tuple[Image.Image, Pixels]]) -> Pixels:
    """Return the mean colour of the photographs under each class, [classes, 3]."""
    total, count = np.zeros((125, 3)), np.zeros((125, 1))
    for label, photo in train:
        which = classes(label).ravel()
        np.add.at(total, which, photo.reshape(-1, 3))
        np.add.at(count, which, 1)
    mean = total.sum(axis=0) / count.sum()
    return np.where(count > 0, total / np.maximum(count, 1), mean)


def ssim(one: Pixels, other: Pixels) -> float:
    """Mean structural similarity of the grey images over windows of WINDOW pixels."""
    first, second = (
        image.mean(axis=2).reshape(len(image) // WINDOW, WINDOW, -1, WINDOW).swapaxes(1, 2).reshape(-1, WINDOW * WINDOW)
        for image in (one, other)
    )
    mean_1, mean_2 = first.mean(axis=1), second.mean(axis=1)
    both = ((first - mean_1[:, None]) * (second - mean_2[:, None])).mean(axis=1)
    above = (2 * mean_1 * mean_2 + C1) * (2 * both + C2)
    below = (mean_1**2 + mean_2**2 + C1) * (first.var(axis=1) + second.var(axis=1) + C2)
    return float((above / below).mean())


def contrast(image: Pixels) -> float:
    """Mean absolute difference of neighbouring pixels, in steps of 8 bits."""
    return float(np.mean([np.abs(np.diff(image, axis=axis)).mean() for axis in (0, 1)]))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("data", type=Path)
    arguments = parser.parse_args()
    with i2i_runtime.load(arguments.bundle) as bundle:
        rule = bundle.operations["translate"].inputs[0]
        side = cast("i2i_runtime.ImageInput", rule).size.height
        train, test = pairs(arguments.data / "train", side), pairs(arguments.data / "test", side)
        colours, average = mean_colours(train), np.mean([photo for _, photo in train], axis=0)
        made = bundle.translate([label for label, _ in test], seed=0)
    rows = {
        bundle.manifest.name: [np.asarray(image, dtype=np.float64) for image in made],
        "mean photograph of the training set": [average] * len(test),
        "each class in its mean colour": [colours[classes(label)] for label, _ in test],
    }
    print(f"| {len(test)} test images, {side} pixels | mean absolute error | SSIM | contrast |")
    print("| --- | --- | --- | --- |")
    natural = np.mean([contrast(photo) for _, photo in test])
    for name, images in rows.items():
        errors = [np.abs(image - photo).mean() for image, (_, photo) in zip(images, test, strict=True)]
        alike = [ssim(image, photo) for image, (_, photo) in zip(images, test, strict=True)]
        share = np.mean([contrast(image) for image in images]) / natural
        print(f"| {name} | {np.mean(errors):.1f} | {np.mean(alike):.3f} | {share:.0%} |")


if __name__ == "__main__":
    main()
