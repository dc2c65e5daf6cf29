"""Draw the data sets behind the shipped BicycleGAN and StarGAN v2 weights: landscapes, with maps or by season.

    python examples/landscape/make_data.py data/landscape                     # pairs: a map (A), its landscape (B)
    python examples/landscape/make_data.py data/seasons --seasons --size 64   # a folder for each season, no maps

Every scene is made of random shapes: sky, mountains, hills, a meadow, a lake, trees, a house. The map paints each
kind of thing in one flat colour; the landscape paints the same things in a light (night, dawn, noon, dusk and all
between) and a season that the map does not tell. So one map has many right answers, which is what BicycleGAN is for.
Train and test scenes come from different random numbers. Needs numpy and pillow; everything is drawn here (CC0).
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Plane = NDArray[np.float32]
"""[h, w], 0 to 1"""
Colour = NDArray[np.float32]
"""[3], 0 to 255"""

OVERSAMPLED = 2
"""Scenes are drawn at this many times their size and shrunk, for smooth edges."""

TEST_COUNT = 16

KINDS = ("sky", "mountain", "hill", "meadow", "lake", "tree", "wall", "roof", "window")
LABELS = np.array(
    [
        (120, 180, 240),
        (120, 100, 140),
        (60, 140, 90),
        (150, 200, 80),
        (30, 80, 200),
        (20, 90, 40),
        (230, 220, 190),
        (190, 50, 40),
        (250, 230, 60),
    ],
    dtype=np.uint8,
)
"""the flat colour of each kind in a map, in the order of KINDS"""


@dataclass(frozen=True)
class Light:
    """The colours that an hour of the day gives."""

    zenith: tuple[int, int, int]
    horizon: tuple[int, int, int]
    sun: tuple[float, float, float]
    """what lit surfaces are multiplied with"""
    lamp: float
    """0 to 1: how brightly windows shine"""


HOURS = (
    Light((10, 14, 42), (38, 48, 96), (0.24, 0.28, 0.46), 1.0),
    Light((96, 122, 190), (255, 196, 168), (0.86, 0.72, 0.70), 0.5),
    Light((64, 140, 232), (196, 226, 250), (1.06, 1.04, 0.98), 0.0),
    Light((70, 52, 116), (255, 136, 70), (0.92, 0.58, 0.44), 0.7),
)
"""night, dawn, noon, dusk; the hours between are blends of their neighbours"""

SEASONS = (
    {"hill": (92, 140, 84), "meadow": (128, 178, 76), "tree": (44, 104, 52)},
    {"hill": (150, 132, 74), "meadow": (190, 168, 86), "tree": (198, 104, 40)},
    {"hill": (206, 214, 226), "meadow": (236, 240, 246), "tree": (120, 140, 148)},
)
SEASON_NAMES = ("summer", "autumn", "winter")

FIXED = {"mountain": (128, 122, 142), "lake": (60, 110, 150), "wall": (226, 208, 178), "roof": (166, 70, 56)}


def blend(hour: float) -> tuple[Colour, Colour, Colour, float]:
    """Zenith, horizon, sun and lamp at `hour`, 0 to 4 (a whole day, as HOURS counts)."""
    low = int(hour) % len(HOURS)
    here, after, share = HOURS[low], HOURS[(low + 1) % len(HOURS)], hour - int(hour)

    def between(first: tuple[float, ...], second: tuple[float, ...]) -> Colour:
        return ((1 - share) * np.array(first) + share * np.array(second)).astype(np.float32)

    lamp = (1 - share) * here.lamp + share * after.lamp
    return between(here.zenith, after.zenith), between(here.horizon, after.horizon), between(here.sun, after.sun), lamp


def ridge(width: int, level: float, height: float, roughness: int, rng: np.random.Generator) -> Plane:
    """Return the upper edge of a range of mountains or hills: one value a column, around `level`, 0 (top) to 1."""
    at = np.linspace(0, 1, width)
    edge = np.full(width, level)
    for octave in range(1, roughness + 1):
        turns = rng.uniform(0.7, 1.3) * 2**octave
        edge += height / 2**octave * np.sin(2 * np.pi * (turns * at + rng.random()))
    return edge.astype(np.float32)


def draw_map(side: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return a random scene [side, side] as numbers of KINDS."""
    kinds = Image.new("L", (side, side), KINDS.index("sky"))
    draw = ImageDraw.Draw(kinds)

    def ground(kind: str, edge: Plane) -> None:
        top = [(x, float(y) * side) for x, y in enumerate(edge)]
        draw.polygon([(0, side), *top, (side - 1, side)], fill=KINDS.index(kind))

    horizon = rng.uniform(0.42, 0.6)
    if rng.random() < 0.85:
        ground("mountain", ridge(side, horizon - rng.uniform(0.08, 0.18), rng.uniform(0.12, 0.3), 5, rng))
    ground("hill", ridge(side, horizon, rng.uniform(0.03, 0.1), 3, rng))
    meadow = horizon + rng.uniform(0.08, 0.16)
    ground("meadow", ridge(side, meadow, 0.03, 2, rng))
    if rng.random() < 0.7:
        draw_lake(draw, side, meadow, rng)
    if rng.random() < 0.6:
        draw_house(draw, side, meadow, rng)
    for _ in range(int(rng.integers(1, 8))):
        draw_tree(draw, side, meadow, rng)
    return np.asarray(kinds)


def draw_lake(draw: ImageDraw.ImageDraw, side: int, meadow: float, rng: np.random.Generator) -> None:
    """Draw an ellipse on the meadow."""
    middle, across = rng.uniform(0.1, 0.9) * side, rng.uniform(0.2, 0.5) * side
    top = (meadow + rng.uniform(0.06, 0.2)) * side
    draw.ellipse(
        (middle - across, top, middle + across, top + rng.uniform(0.08, 0.25) * side), fill=KINDS.index("lake")
    )


def draw_house(draw: ImageDraw.ImageDraw, side: int, meadow: float, rng: np.random.Generator) -> None:
    """Draw a wall with windows below a roof."""
    wide, high = rng.uniform(0.14, 0.26) * side, rng.uniform(0.1, 0.15) * side
    left, base = rng.uniform(0.05, 0.7) * side, (meadow + rng.uniform(0.08, 0.2)) * side
    draw.rectangle((left, base - high, left + wide, base), fill=KINDS.index("wall"))
    peak = (left + wide / 2, base - high * rng.uniform(1.6, 2.1))
    overhang = 0.08 * wide
    eaves = [(left - overhang, base - high), (left + wide + overhang, base - high)]
    draw.polygon([eaves[0], peak, eaves[1]], fill=KINDS.index("roof"))
    pane = 0.16 * wide
    for x in (0.28, 0.72):
        centre_x, centre_y = left + x * wide, base - 0.55 * high
        draw.rectangle(
            (centre_x - pane / 2, centre_y - pane / 2, centre_x + pane / 2, centre_y + pane / 2),
            fill=KINDS.index("window"),
        )


def draw_tree(draw: ImageDraw.ImageDraw, side: int, meadow: float, rng: np.random.Generator) -> None:
    """Draw a fir or a round tree, larger where it is nearer."""
    x, base = rng.uniform(0, 1) * side, rng.uniform(meadow + 0.03, 0.97)
    size = (0.06 + 0.35 * (base - meadow)) * side
    y = base * side
    if rng.random() < 0.5:
        for tier in range(3):
            half, foot = size * (0.32 - 0.07 * tier), y - size * 0.28 * tier
            draw.polygon([(x - half, foot), (x, foot - size * 0.5), (x + half, foot)], fill=KINDS.index("tree"))
    else:
        draw.ellipse((x - size * 0.3, y - size, x + size * 0.3, y - size * 0.3), fill=KINDS.index("tree"))
        draw.rectangle((x - size * 0.05, y - size * 0.4, x + size * 0.05, y), fill=KINDS.index("tree"))


def paint(kinds: NDArray[np.uint8], hour: float, season: int) -> NDArray[np.uint8]:
    """Return the scene in the light of `hour` (0 to 4) and in a season: RGB [h, w, 3]."""
    zenith, horizon, sun, lamp = blend(hour)
    side = kinds.shape[0]
    down = np.linspace(0, 1, side, dtype=np.float32)[:, None, None]
    sky = zenith + (horizon - zenith) * np.clip(down / 0.55, 0, 1)
    image = np.broadcast_to(sky, (side, side, 3)).copy()
    colours = FIXED | SEASONS[season]
    for kind, colour in colours.items():
        here = kinds == KINDS.index(kind)
        lit = np.array(colour, dtype=np.float32) * sun * shade(kind, kinds, down)
        haze = {"mountain": 0.45, "hill": 0.2}.get(kind, 0.0)
        image[here] = (lit * (1 - haze) + horizon * haze)[here]
    lake = kinds == KINDS.index("lake")
    mirrored = zenith + (horizon - zenith) * np.clip((1 - down) * 1.2, 0, 1)
    image[lake] = (0.25 * image + 0.75 * mirrored)[lake]
    glow = np.array((255, 214, 120), dtype=np.float32) * lamp + np.array((90, 110, 130), dtype=np.float32) * sun * (
        1 - lamp
    )
    image[kinds == KINDS.index("window")] = glow
    return np.clip(image, 0, 255).astype(np.uint8)


def shade(kind: str, kinds: NDArray[np.uint8], down: Plane) -> Plane:
    """How bright each place of a kind is, before the light: the upper left of things is lit, snow lies on peaks."""
    here = (kinds == KINDS.index(kind)).astype(np.float32)
    reach = max(1, kinds.shape[0] // 40)
    lit = here - np.roll(here, (reach, reach), (0, 1))
    light = 1 + 0.25 * np.clip(lit, -1, 1)[..., None]
    if kind == "mountain":
        return light * (1.35 - 0.6 * np.clip(down / 0.6, 0, 1))
    return light * (0.8 + 0.3 * down) if kind in ("meadow", "hill") else light


def shrink(image: NDArray[np.uint8], size: int) -> Image.Image:
    """Return the image at its final size, edges smoothed."""
    return Image.fromarray(image).resize((size, size), Image.Resampling.BOX)


def write_seasons(folder: Path, count: int, size: int, seed: int) -> None:
    """Write `count` landscapes of each season to a folder of its name; no two show the same scene."""
    rng = np.random.default_rng(seed)
    for season, name in enumerate(SEASON_NAMES):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            kinds = draw_map(size * OVERSAMPLED, rng)
            shrink(paint(kinds, float(rng.uniform(0, len(HOURS))), season), size).save(
                folder / name / f"{number:04d}.png"
            )


def write_pairs(folder: Path, count: int, size: int, seed: int) -> None:
    """Write `count` pairs to `folder`, map on the left, landscape on the right."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for number in range(count):
        kinds = draw_map(size * OVERSAMPLED, rng)
        # The map keeps flat colours: one sample a pixel, no smoothing.
        flat = LABELS[kinds[::OVERSAMPLED, ::OVERSAMPLED]]
        landscape = shrink(paint(kinds, float(rng.uniform(0, len(HOURS))), int(rng.integers(len(SEASONS)))), size)
        Image.fromarray(np.hstack([flat, np.asarray(landscape)])).save(folder / f"{number:04d}.png")


def main() -> None:
    """Write train and test below the folder named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where to write the data set; must not exist")
    parser.add_argument("--count", type=int, default=1000, help="training images, or pairs; with --seasons of each")
    parser.add_argument("--size", type=int, default=128, help="pixels a side")
    parser.add_argument("--seasons", action="store_true", help="landscapes alone, in a folder for each season")
    arguments = parser.parse_args()
    write = write_seasons if arguments.seasons else write_pairs
    arguments.folder.mkdir(parents=True)
    write(arguments.folder / "train", arguments.count, arguments.size, seed=1)
    write(arguments.folder / "test", TEST_COUNT, arguments.size, seed=2)
    what = "images of each season" if arguments.seasons else "pairs"
    print(f"wrote {arguments.count} training and {TEST_COUNT} test {what} to {arguments.folder}")


if __name__ == "__main__":
    main()
