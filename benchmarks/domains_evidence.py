"""How far translations between domains go, and what they keep, on held-out images.

    python benchmarks/domains_evidence.py BUNDLE data/scenes

The data is a folder with train/ and val/ and in each a folder for every domain. Prints for a model of StarGAN v2's kind
(translate by latent and domain, encode):

* how often a translation is taken for its domain, by a linear discriminant analysis of coarse colours that has learned
  from the real training images; and how often real held-out images are, which is what that judge is worth;
* how much translations of one image to one domain differ between seeds (mean absolute difference, steps of 8 bits);
* how much of an image comes back from another domain when it is given its own style (mean absolute error).
"""

from __future__ import annotations

import argparse
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import i2i_runtime

CELLS = 4
"""The judge sees the mean colour of CELLS x CELLS parts of an image, and its spread."""
SEEDS = 3
RIDGE = 1e-3

Array = NDArray[np.floating]


def images(folder: Path, side: int, most: int | None = None) -> list[Image.Image]:
    """Return the images of a folder, [side, side]."""
    paths = sorted(folder.iterdir())[:most]
    return [Image.open(path).convert("RGB").resize((side, side), Image.Resampling.BICUBIC) for path in paths]


def features(image: Image.Image) -> Array:
    """Mean and spread of the colours in each part, and 1."""
    pixels = np.asarray(image, dtype=np.float64) / 255
    step = pixels.shape[0] // CELLS
    parts = pixels[: step * CELLS, : step * CELLS].reshape(CELLS, step, CELLS, step, 3)
    return np.concatenate([parts.mean(axis=(1, 3)).ravel(), parts.std(axis=(1, 3)).ravel(), [1.0]])


def judge(train: list[list[Image.Image]]) -> Array:
    """Weights [features, domains] of the linear discriminant, in closed form."""
    sets = [np.stack([features(image) for image in domain]) for domain in train]
    means = np.stack([each.mean(axis=0) for each in sets])
    within = sum((each - mean).T @ (each - mean) for each, mean in zip(sets, means, strict=True))
    scatter = np.asarray(within) / sum(map(len, sets)) + RIDGE * np.eye(means.shape[1])
    directions = np.linalg.solve(scatter, means.T)
    directions[-1] -= 0.5 * np.einsum("df,fd->d", means, directions)
    return directions


def taken_for(weights: Array, made: list[Image.Image], domain: int) -> float:
    """Share of images that the judge takes for the domain."""
    return float(np.mean([np.argmax(features(image) @ weights) == domain for image in made]))


def apart(one: Image.Image, other: Image.Image) -> float:
    """Mean absolute difference in steps of 8 bits."""
    return float(np.abs(np.asarray(one, dtype=np.float64) - np.asarray(other, dtype=np.float64)).mean())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--most", type=int, default=10, help="held-out images of each domain that are translated")
    arguments = parser.parse_args()
    with i2i_runtime.load(arguments.bundle) as bundle:
        inputs = bundle.operations["translate"].inputs
        side = next(value for value in inputs if isinstance(value, i2i_runtime.ImageInput)).size.height
        names = next(value for value in inputs if isinstance(value, i2i_runtime.LabelInput)).names
        weights = judge([images(arguments.data / "train" / name, side) for name in names])
        real = [images(arguments.data / "val" / name, side) for name in names]
        sources = [(place, image) for place, domain in enumerate(real) for image in domain[: arguments.most]]
        print("| domain | real images taken for it | translations | differ between seeds |\n| --- | --- | --- | --- |")
        for place, name in enumerate(names):
            others = [image for own, image in sources if own != place]
            made = [bundle.translate(image, count=SEEDS, seed=0, domain=name) for image in others]
            differing = np.mean([apart(*pair) for several in made for pair in combinations(several, 2)])
            taken = taken_for(weights, [image for several in made for image in several], place)
            print(f"| {name} | {taken_for(weights, real[place], place):.0%} | {taken:.0%} | {differing:.1f} |")
        back: list[float] = []
        for own, image in sources:
            away = bundle.translate(image, seed=0, domain=names[(own + 1) % len(names)])
            back.append(apart(bundle.translate_like(away, reference=image, domain=names[own]), image))
        print(f"\nAway and back with the image's own style: {np.mean(back):.1f} of 255.")


if __name__ == "__main__":
    main()
