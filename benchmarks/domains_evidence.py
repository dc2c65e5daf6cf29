"""How far translations between domains go, and what they keep, on held-out pictures.

    python benchmarks/domains_evidence.py BUNDLE data/scenes

The data is a folder with train/ and val/ and in each a folder for every domain. Prints for a model of StarGAN v2's kind
(translate by latent and domain, encode):

* how often a translation is taken for its domain, by a linear discriminant analysis of coarse colours that has learned
  from the real training pictures; and how often real held-out pictures are, which is what that judge is worth;
* how much translations of one picture to one domain differ between seeds (mean absolute difference, steps of 8 bits);
* how much of a picture comes back from another domain when it is given its own style (mean absolute error).
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
"""The judge sees the mean colour of CELLS x CELLS parts of a picture, and its spread."""
SEEDS = 3
RIDGE = 1e-3

Array = NDArray[np.floating]


def pictures(folder: Path, side: int, most: int | None = None) -> list[Image.Image]:
    """The pictures of a folder, [side, side]."""
    paths = sorted(folder.iterdir())[:most]
    return [Image.open(path).convert("RGB").resize((side, side), Image.Resampling.BICUBIC) for path in paths]


def features(picture: Image.Image) -> Array:
    """Mean and spread of the colours in each part, and 1."""
    pixels = np.asarray(picture, dtype=np.float64) / 255
    step = pixels.shape[0] // CELLS
    parts = pixels[: step * CELLS, : step * CELLS].reshape(CELLS, step, CELLS, step, 3)
    return np.concatenate([parts.mean(axis=(1, 3)).ravel(), parts.std(axis=(1, 3)).ravel(), [1.0]])


def judge(train: list[list[Image.Image]]) -> Array:
    """Weights [features, domains] of the linear discriminant, in closed form."""
    sets = [np.stack([features(picture) for picture in domain]) for domain in train]
    means = np.stack([each.mean(axis=0) for each in sets])
    within = sum((each - mean).T @ (each - mean) for each, mean in zip(sets, means, strict=True))
    scatter = np.asarray(within) / sum(map(len, sets)) + RIDGE * np.eye(means.shape[1])
    directions = np.linalg.solve(scatter, means.T)
    directions[-1] -= 0.5 * np.einsum("df,fd->d", means, directions)
    return directions


def taken_for(weights: Array, made: list[Image.Image], domain: int) -> float:
    """Share of pictures that the judge takes for the domain."""
    return float(np.mean([np.argmax(features(picture) @ weights) == domain for picture in made]))


def apart(one: Image.Image, other: Image.Image) -> float:
    """Mean absolute difference in steps of 8 bits."""
    return float(np.abs(np.asarray(one, dtype=np.float64) - np.asarray(other, dtype=np.float64)).mean())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--most", type=int, default=10, help="held-out pictures of each domain that are translated")
    arguments = parser.parse_args()
    with i2i_runtime.load(arguments.bundle) as bundle:
        inputs = bundle.operations["translate"].inputs
        side = next(value for value in inputs if isinstance(value, i2i_runtime.ImageInput)).size.height
        names = next(value for value in inputs if isinstance(value, i2i_runtime.LabelInput)).names
        weights = judge([pictures(arguments.data / "train" / name, side) for name in names])
        real = [pictures(arguments.data / "val" / name, side) for name in names]
        sources = [(place, picture) for place, domain in enumerate(real) for picture in domain[: arguments.most]]
        print(
            "| domain | real pictures taken for it | translations | differ between seeds |\n| --- | --- | --- | --- |"
        )
        for place, name in enumerate(names):
            others = [picture for own, picture in sources if own != place]
            made = [bundle.translate(picture, count=SEEDS, seed=0, domain=name) for picture in others]
            differing = np.mean([apart(*pair) for several in made for pair in combinations(several, 2)])
            taken = taken_for(weights, [picture for several in made for picture in several], place)
            print(f"| {name} | {taken_for(weights, real[place], place):.0%} | {taken:.0%} | {differing:.1f} |")
        back: list[float] = []
        for own, picture in sources:
            away = bundle.translate(picture, seed=0, domain=names[(own + 1) % len(names)])
            back.append(apart(bundle.translate_like(away, reference=picture, domain=names[own]), picture))
        print(f"\nAway and back with the picture's own style: {np.mean(back):.1f} of 255.")


if __name__ == "__main__":
    main()
