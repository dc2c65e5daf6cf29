"""Weights of models that learn from one image, each trained and exported once for all tests of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from i2i_registry.cli.program import run_program
from i2i_registry.cli.session import Session
from i2i_registry.plugins.discovery import discover
from i2i_registry.weights.store import Store

HEIGHT, WIDTH = 40, 48
"""of the image that is learned from, pixels"""

TINY: Mapping[str, Mapping[str, object]] = {
    "consingan": {
        "channels": 4,
        "coarsest": 16,
        "stages": 3,
        "stage_steps": 1,
        "critic_steps": 1,
        "generator_repeats": 1,
    },
    "ingan": {"channels": 4, "downscales": 2, "blocks": 1, "critic_channels": 4, "crop_px": 32, "steps": 1},
    "singan": {
        "channels": 4,
        "layers": 3,
        "coarsest": 16,
        "scale_factor": 0.4,
        "enlargement": 1.6,
        "steps_per_scale": 1,
        "critic_steps": 1,
        "generator_steps": 1,
    },
}
"""model -> settings with which a training takes a moment"""


def settings(model: str, **others: object) -> list[str]:
    """The options of `train` that say these settings, some of them changed."""
    values = {**TINY[model], **others}
    return [
        *(part for key, value in values.items() for part in ("--set", f"{key}={value}")),
        *("--threads", "1", "--device", "cpu", "--sample-every", "0"),
    ]


def program(home: Path, *arguments: str | Path) -> int:
    """The exit code of `i2i-registry`, run in this process on a store of its own."""
    return run_program([str(argument) for argument in arguments], Session(discover(strict=False), Store(home)))


@dataclass(frozen=True)
class Learned:
    """A store with weights, their bundles, and the image that they learned from. Nobody may change them."""

    folder: Path

    @property
    def image(self) -> Path:
        """A file whose name has a blank in it."""
        return self.folder / "data" / "my image.png"

    def bundle(self, model: str) -> Path:
        """The bundle of a model, whose weights are trained when they are first asked for."""
        bundle = self.folder / f"{model}-onnx"
        with FileLock(self.folder / f"{model}.lock"):
            if not bundle.exists():
                trained = ["train", model, "--data", self.image, "--as", f"my-{model}", "--out", self.folder / model]
                store = self.folder / "store"
                assert program(store, *trained, *settings(model)) == 0
                assert program(store, "export", f"my-{model}", "--onnx", "-o", bundle) == 0
        return bundle

    def run(self, model: str, *arguments: str | Path) -> int:
        """The exit code of `i2i-registry run` with the bundle of a model."""
        return program(self.folder / "store", "run", self.bundle(model), *arguments, "-o", "out.png")
