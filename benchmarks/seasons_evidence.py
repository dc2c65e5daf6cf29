"""How close the shipped seasons come to what the drawer of their training images would have drawn.

    i2i-registry export stargan2-seasons --onnx
    python benchmarks/seasons_evidence.py stargan2-seasons-onnx

Scenes are drawn that are in no training set, each in one season and hour, and again as a reference would have it: the
truth. Prints, for each season, the mean absolute error of `translate_like` in steps of 8 bits, and that of the image
as it was.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import i2i_runtime
from i2i_runtime import Bundle

DRAWER = Path(__file__).resolve().parents[1] / "examples" / "landscape" / "make_data.py"
SEED = 11
"""not one of those that draw training and test images"""


@dataclass(frozen=True, slots=True)
class Errors:
    """Mean absolute differences from the truth, 0 to 255."""

    translated: float
    untouched: float


def drawer() -> ModuleType:
    """examples/landscape/make_data.py, which is no package."""
    spec = importlib.util.spec_from_file_location("make_data", DRAWER)
    if spec is None or spec.loader is None:
        raise SystemExit(f"{DRAWER} is missing")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look themselves up there
    spec.loader.exec_module(module)
    return module


def measure(bundle: Bundle, season: str, seasons: Sequence[str], count: int, size: int) -> Errors:
    """`count` scenes of the other seasons, each translated to `season` like another scene."""
    draw, rng = drawer(), np.random.default_rng(SEED)
    target, hours = seasons.index(season), len(draw.HOURS)

    def painted(kinds: NDArray[np.uint8], hour: float, number: int) -> Image.Image:
        return draw.shrink(draw.paint(kinds, hour, number), size)

    found: list[tuple[float, float]] = []
    for number in range(count):
        scene, other = (draw.draw_map(size * draw.OVERSAMPLED, rng) for _ in range(2))
        here, there = (float(hour) for hour in rng.uniform(0, hours, 2))
        source = painted(scene, here, (target + 1 + number % 2) % len(seasons))
        reference, truth = painted(other, there, target), painted(scene, there, target)
        made = bundle.translate_like(source, reference=reference, domain=season)
        found.append((apart(made, truth), apart(source, truth)))
    translated, untouched = np.mean(found, axis=0)
    return Errors(float(translated), float(untouched))


def apart(one: Image.Image, other: Image.Image) -> float:
    """Mean absolute difference in steps of 8 bits."""
    return float(np.abs(np.asarray(one, dtype=np.float64) - np.asarray(other, dtype=np.float64)).mean())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--count", type=int, default=100, help="scenes for each season")
    arguments = parser.parse_args()
    with i2i_runtime.load(arguments.bundle) as bundle:
        inputs = bundle.operations["translate_like"].inputs
        size = next(value for value in inputs if isinstance(value, i2i_runtime.ImageInput)).size.height
        names = next(value for value in inputs if isinstance(value, i2i_runtime.LabelInput)).names
        print("| to | translated | untouched |\n| --- | --- | --- |")
        for season in names:
            errors = measure(bundle, season, names, arguments.count, size)
            print(f"| {season} | {errors.translated:.1f} | {errors.untouched:.1f} |")


if __name__ == "__main__":
    main()
