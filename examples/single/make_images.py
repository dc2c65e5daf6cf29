"""Make the three images that the shipped one-image weights are trained on.

    python examples/single/make_images.py data/single

forest.png    128 x 192, drawn here (CC0), misty ridges with firs: SinGAN
sky.png       128 x 160, examples/images/hubble.jpg (NASA, public domain): ConSinGAN
fruit.png     128 x 160, drawn here (CC0), fruit on a wooden table: InGAN

Needs numpy and pillow. The same numbers come out everywhere: all that is random has a seed.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Plane = NDArray[np.float64]
"""[h, w]"""
Colours = NDArray[np.float64]
"""[..., 3], 0 to 1"""

SKY = Path(__file__).resolve().parent.parent / "images" / "hubble.jpg"
OVERSAMPLED = 3
"""Drawn images are made at this many times their size and shrunk, for smooth edges."""


def noise(height: int, width: int, cells: int, rng: np.random.Generator, octaves: int = 4) -> Plane:
    """Smooth noise, 0 to 1, with `cells` bumps across and finer ones on them."""
    total = np.zeros((height, width))
    for octave in range(octaves):
        count = cells * 2**octave
        coarse = Image.fromarray(rng.random((max(2, count * height // width), max(2, count))).astype(np.float32))
        total += np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)) / 2**octave
    return (total - total.min()) / (total.max() - total.min())


def mixed(low: Colours, high: Colours, share: Plane) -> Colours:
    """Between two colours, pixel by pixel."""
    return low + (high - low) * share[..., None]


def finished(image: Colours) -> Image.Image:
    """At its final size, 8 bits."""
    full = Image.fromarray(np.rint(image.clip(0, 1) * 255).astype(np.uint8))
    return full.resize((full.width // OVERSAMPLED, full.height // OVERSAMPLED), Image.Resampling.BOX)


# --- Fruit on a table -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fruit:
    """A ball with a light from the upper left."""

    row: float
    column: float
    radius: float
    colour: tuple[float, float, float]


KINDS = (
    ((0.80, 0.13, 0.10), 11.0),
    ((0.96, 0.56, 0.10), 10.0),
    ((0.55, 0.72, 0.16), 9.0),
    ((0.97, 0.84, 0.22), 9.5),
    ((0.42, 0.12, 0.36), 7.0),
)
"""colour and radius (pixels): apples, oranges, limes, lemons, plums"""


def scattered(height: int, width: int, rng: np.random.Generator) -> list[Fruit]:
    """As many fruits as find a place of their own."""
    placed: list[Fruit] = []
    for _ in range(4000):
        colour, size = KINDS[int(rng.integers(len(KINDS)))]
        radius = size * rng.uniform(0.9, 1.1)
        fruit = Fruit(rng.uniform(-2, height + 2), rng.uniform(-2, width + 2), radius, colour)
        clear = (np.hypot(fruit.row - f.row, fruit.column - f.column) > fruit.radius + f.radius + 1.5 for f in placed)
        if all(clear):
            placed.append(fruit)
    return placed


def draw_fruit(height: int, width: int, rng: np.random.Generator) -> Image.Image:
    """Fruit seen from above, no two touching."""
    rows, columns = np.indices((height * OVERSAMPLED, width * OVERSAMPLED)) / OVERSAMPLED
    grain = noise(rows.shape[0], rows.shape[1], 3, rng) + 0.5 * np.sin(
        rows * 0.9 + 6 * noise(rows.shape[0], rows.shape[1], 2, rng)
    )
    image = mixed(np.array((0.36, 0.21, 0.12)), np.array((0.56, 0.36, 0.20)), (grain - grain.min()) / np.ptp(grain))
    fruits = scattered(height, width, rng)
    for fruit in fruits:
        distance = np.hypot(rows - fruit.row - 2.2, columns - fruit.column - 2.2) / fruit.radius
        image *= 1 - 0.55 * np.clip(1.25 - distance, 0, 0.4)[..., None] / 0.4
    for fruit in fruits:
        down, across = (rows - fruit.row) / fruit.radius, (columns - fruit.column) / fruit.radius
        inside = np.hypot(down, across) < 1
        height_there = np.sqrt(np.clip(1 - down**2 - across**2, 0, 1))
        light = np.clip(0.55 * height_there - 0.45 * down - 0.45 * across, 0, 1)
        shine = np.clip(light, 0, 1) ** 14
        speckle = 0.92 + 0.16 * rng.random(rows.shape)
        lit = np.array(fruit.colour) * (0.35 + 0.85 * light * speckle)[..., None] + 0.6 * shine[..., None]
        image[inside] = lit[inside]
    return finished(image)


# --- Misty ridges with firs -------------------------------------------------------------------------------------------


def draw_forest(height: int, width: int, rng: np.random.Generator) -> Image.Image:
    """Ridges behind ridges, each darker than the one behind it, firs on all."""
    tall, wide = height * OVERSAMPLED, width * OVERSAMPLED
    down = np.linspace(0, 1, tall)[:, None] * np.ones(wide)
    clouds = noise(tall, wide, 3, rng)
    sky = mixed(np.array((0.55, 0.68, 0.86)), np.array((0.99, 0.86, 0.70)), np.clip(down / 0.45, 0, 1))
    image = mixed(sky, np.array((1.0, 0.97, 0.93)), np.clip(clouds - 0.55, 0, 1) * 1.2)
    layers = 5
    for layer in range(layers):
        depth = layer / (layers - 1)
        edge = tall * (0.28 + 0.50 * depth) - tall * (0.16 - 0.05 * depth) * (noise(2, wide, 3, rng)[0] - 0.5)
        edge = edge - firs(wide, (3 + 9 * depth) * OVERSAMPLED, rng)
        below = np.arange(tall)[:, None] - edge
        colour = mixed(np.array((0.62, 0.70, 0.80)), np.array((0.05, 0.13, 0.09)), np.full((1, 1), depth**0.8))
        texture = 0.8 + 0.4 * noise(tall, wide, 24, rng, 3)
        mist = np.clip(below / (tall * 0.22), 0, 1) * (0.75 - 0.5 * depth)
        ground = mixed(colour * texture[..., None], np.array((0.86, 0.88, 0.90)), mist)
        image = np.where((below > 0)[..., None], ground, image)
    return finished(image)


def firs(width: int, size: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """How far firs stick out of a ridge, column by column (pixels)."""
    out = np.zeros(width)
    at = 0.0
    while at < width:
        tall = size * rng.uniform(0.5, 1.3)
        columns = np.arange(width)
        tiers = tall - np.abs(columns - at) * 2.6 + 0.12 * tall * np.sin(np.abs(columns - at) * 2.5)
        out = np.maximum(out, tiers)
        at += size * rng.uniform(0.2, 0.7)
    return out


def read_sky() -> Image.Image:
    """Galaxies, as they are."""
    with Image.open(SKY) as image:
        return image.convert("RGB")


def main() -> None:
    """Write the three images to the folder named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where to write the images")
    folder: Path = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    read_sky().save(folder / "sky.png")
    draw_forest(128, 192, np.random.default_rng(5)).save(folder / "forest.png")
    draw_fruit(128, 160, np.random.default_rng(3)).save(folder / "fruit.png")
    print(f"wrote sky.png, forest.png and fruit.png to {folder}")


if __name__ == "__main__":
    main()
