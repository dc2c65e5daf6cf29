"""A bundle of tiny graphs whose inputs follow a size: noise maps, a walk, masks and sampling grids."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from i2i_runtime.image.resizing import SizeRule
from i2i_runtime.kinds.grid import GridInput
from i2i_runtime.kinds.image import ImageInput
from i2i_runtime.kinds.mask import MaskInput
from i2i_runtime.kinds.noise import NoiseInput
from i2i_runtime.kinds.scalar import ScalarInput
from i2i_runtime.kinds.size import SizeInput
from i2i_runtime.schema.operations import GraphCall, ImageOutput, Interpolation, Operation, VectorOutput, Walk

from .conftest import FLOAT, IMAGE, TinyGraph, node, write_bundle

HEIGHT, WIDTH = 20, 30
"""own size of what `sample` and `animate` make"""

STORED = np.random.default_rng(3).standard_normal((1, 3, HEIGHT, WIDTH)).astype(np.float32)
"""the noise that a pyramid keeps"""

QUIET = 0.1
"""what noise is multiplied with in an image of `animate`, so that it stays within [-1, 1]"""

FIRST = 0.05
ANY_SIDE = SizeRule(height=16, width=16, dynamic=True)


def pyramid() -> TinyGraph:
    """noise_0, noise_1, level [n] -> noise_1 + level as an image, and both maps as they came."""
    coarse, fine = ("n", 1, "h0", "w0"), ("n", 3, "h", "w")
    return TinyGraph(
        nodes=[
            node("Unsqueeze", "level axes", "level4"),
            node("Add", "noise_1 level4", "result"),
            node("Identity", "noise_0", "map_0"),
            node("Identity", "noise_1", "map_1"),
        ],
        inputs={"noise_0": (FLOAT, coarse), "noise_1": (FLOAT, fine), "level": (FLOAT, ("n",))},
        outputs={"result": fine, "map_0": coarse, "map_1": fine},
        constants={"axes": np.array([1, 2, 3], dtype=np.int64)},
    )


def walker() -> TinyGraph:
    """noise, anchor [n] -> QUIET * (noise + anchor * STORED)."""
    shape = ("n", 3, HEIGHT, WIDTH)
    return TinyGraph(
        nodes=[
            node("Unsqueeze", "anchor axes", "anchor4"),
            node("Mul", "anchor4 stored", "held"),
            node("Add", "noise held", "u"),
            node("Mul", "u quiet", "result"),
        ],
        inputs={"noise": (FLOAT, shape), "anchor": (FLOAT, ("n",))},
        outputs={"result": shape},
        constants={
            "axes": np.array([1, 2, 3], dtype=np.int64),
            "stored": STORED,
            "quiet": np.array([QUIET], dtype=np.float32),
        },
    )


def retargeter() -> TinyGraph:
    """The image where the grid looks, black where it does not cover; and the two as they came."""
    sampled, grid, covered = ("n", 3, "oh", "ow"), ("n", "oh", "ow", 2), ("n", 1, "oh", "ow")
    return TinyGraph(
        nodes=[
            node("GridSample", "image grid", "sampled", align_corners=1, mode="linear", padding_mode="border"),
            node("Mul", "sampled coverage", "result"),
            node("Identity", "grid", "looked"),
            node("Identity", "coverage", "covered"),
        ],
        inputs={"image": (FLOAT, IMAGE), "grid": (FLOAT, grid), "coverage": (FLOAT, covered)},
        outputs={"result": sampled, "looked": grid, "covered": covered},
    )


def masker() -> TinyGraph:
    """image * mask, and the mask as it came."""
    mask = ("n", 1, "h", "w")
    return TinyGraph(
        nodes=[node("Mul", "image mask", "result"), node("Identity", "mask", "soft")],
        inputs={"image": (FLOAT, IMAGE), "mask": (FLOAT, mask)},
        outputs={"result": IMAGE, "soft": mask},
    )


def sample() -> Operation:
    """An image and two maps of noise, whose sizes follow that of the image; the level is left to no caller."""
    return Operation(
        name="sample",
        inputs=(
            SizeInput(height=HEIGHT, width=WIDTH, minimum_height=4, minimum_width=6),
            NoiseInput(name="noise_0", channels=1, height=5, width=8, border=2),
            NoiseInput(name="noise_1", channels=3, height=HEIGHT, width=WIDTH),
        ),
        outputs=(ImageOutput(name="image"), VectorOutput(name="map_0"), VectorOutput(name="map_1")),
        steps=(
            GraphCall(
                graph="pyramid",
                inputs={"noise_0": "noise_0", "noise_1": "noise_1"},
                constants={"level": 0.25},
                outputs={"result": "image", "map_0": "map_0", "map_1": "map_1"},
            ),
        ),
    )


def animate() -> Operation:
    """A walk; as a call it gives the stored noise."""
    return Operation(
        name="animate",
        inputs=(
            NoiseInput(name="noise", channels=3, height=HEIGHT, width=WIDTH, default="zeros"),
            ScalarInput(name="anchor", default=1, minimum=0, maximum=1),
            ScalarInput(name="pull", default=0.1, minimum=0, maximum=1),
            ScalarInput(name="inertia", default=0.9, minimum=0, maximum=1),
        ),
        outputs=(ImageOutput(name="image"),),
        steps=(GraphCall(graph="walker", inputs={"noise": "noise", "anchor": "anchor"}, outputs={"result": "image"}),),
        walk=Walk(anchor="anchor", pull="pull", inertia="inertia", first=FIRST),
    )


def retarget() -> Operation:
    """An image at another size, upright or sheared."""
    return Operation(
        name="retarget",
        inputs=(
            ImageInput(name="image", size=ANY_SIDE, fit="native"),
            SizeInput(
                height=16, width=16, image="image", rounding="down", multiple=4, minimum_height=8, minimum_width=8
            ),
            ScalarInput(name="left_shift", default=0, minimum=-0.8, maximum=0.8),
            ScalarInput(name="right_shift", default=0, minimum=-0.8, maximum=0.8),
            GridInput(
                name="grid", image="image", left_shift="left_shift", right_shift="right_shift", coverage="coverage"
            ),
        ),
        outputs=(ImageOutput(name="image"), VectorOutput(name="looked"), VectorOutput(name="covered")),
        steps=(
            GraphCall(
                graph="retargeter",
                inputs={"image": "image", "grid": "grid", "coverage": "coverage"},
                outputs={"result": "image", "looked": "looked", "covered": "covered"},
            ),
        ),
        interpolation=Interpolation(value="size"),
    )


def edit(rule: SizeRule = ANY_SIDE, *, dilate_px: int = 0, blur: float = 0.0) -> Operation:
    """An image, and where in it something was painted; by itself at its own size."""
    return Operation(
        name="edit",
        inputs=(
            ImageInput(name="image", size=rule, fit="native"),
            MaskInput(name="mask", image="image", dilate_px=dilate_px, blur=blur),
            ScalarInput(name="start_scale", default=1, minimum=0, maximum=4, whole=True),
        ),
        outputs=(ImageOutput(name="image"), VectorOutput(name="soft")),
        steps=(
            GraphCall(
                graph="masker",
                inputs={"image": "image", "mask": "mask"},
                outputs={"result": "image", "soft": "soft"},
            ),
        ),
    )


def write_spatial(folder: Path) -> Path:
    """The bundle of all four operations."""
    graphs = {"pyramid": pyramid(), "walker": walker(), "retargeter": retargeter(), "masker": masker()}
    return write_bundle(folder, (sample(), animate(), retarget(), edit()), graphs)
