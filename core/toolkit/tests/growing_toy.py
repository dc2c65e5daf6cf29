"""The toy as a paper that grows: a stage for each resolution, with its own batches, as StyleGAN and ALAE train."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar, NamedTuple

import toolkit_toy
from toolkit_toy import KILL, ToyTrainer, signal_here
from torch import Tensor
from torch.nn import functional as F
from torch.optim import Adam

from i2i_registry.cli.program import run_program
from i2i_registry.cli.session import Session
from i2i_registry.interfaces.cards import ModelCard
from i2i_registry.interfaces.data import Tensors
from i2i_registry.interfaces.trainer import Decay, Losses, Phase, Stage, Step
from i2i_registry.plugins.discovery import Registry, build_registry
from i2i_registry.plugins.hooks import hookimpl
from i2i_registry.weights.store import Store
from i2i_toolkit import l1, plugin

STEPS = 3
"""of each stage"""
BATCHES = {2: 4, 4: 2, 8: 1}
"""pixels a side -> images a step"""
HALF_LIFE = 6
"""images after which half of the average is new"""


class Faded(NamedTuple):
    """What a step learns from while the new resolution fades in."""

    images: Tensor
    blend: float
    """share of the new resolution"""


class GrowingTrainer(ToyTrainer):
    """One optimizer for all stages, which forgets its moments at each; an average that follows the images seen."""

    fresh_optimizers: ClassVar[bool] = True

    @property
    def ema(self) -> Mapping[str, Decay]:
        return {"painter": decay}

    def stages(self) -> Sequence[Stage[Faded]]:
        optimizer = Adam(self.painter.parameters(), lr=1e-2, betas=(0.5, 0.99))
        phase = Phase(name="painter", optimizer=optimizer, losses=self.copy_losses)
        return [
            Stage(
                name=f"{side} pixels",
                steps=STEPS,
                batch_size=batch_size,
                phases=(phase,),
                sample=partial(at, side),
                fresh_optimizers=type(self).fresh_optimizers,
                shared=self.faded,
            )
            for side, batch_size in BATCHES.items()
        ]

    def faded(self, step: Step[None]) -> Faded:
        """The images, and in all but the last step of a stage also how they were at half the resolution."""
        images, blend = step.batch["A"], step.number / STEPS
        coarse = F.interpolate(F.avg_pool2d(images, 2), scale_factor=2.0)
        return Faded(blend * images + (1 - blend) * coarse, blend)

    def copy_losses(self, step: Step[Faded]) -> Losses:
        signal_here(step, f"{step.batch['A'].shape[-1]} pixels")
        return {"copy": l1(self.painter(step.shared.images), step.shared.images)}


def at(side: int, sample: Tensors) -> Tensors:
    """Every image of a sample at the resolution of a stage."""
    return {name: F.adaptive_avg_pool2d(image, side) for name, image in sample.items()}


def decay(step: int) -> float:
    """Half in `HALF_LIFE` images, whatever a step has of them."""
    return 0.5 ** ([*BATCHES.values()][(step - 1) // STEPS] / HALF_LIFE)


class _Hooks:
    @staticmethod
    @hookimpl
    def i2i_models() -> Sequence[ModelCard]:
        (card,) = toolkit_toy.i2i_models()
        return (card.model_copy(update={"trainer": "growing_toy:GrowingTrainer"}),)


def growing_registry() -> Registry:
    """This toy and the commands of the toolkit, and nothing else."""
    return build_registry([("toy", _Hooks), ("toolkit", plugin)])


def run_growing(arguments: Sequence[str], store: Path, kill: str = "") -> None:
    """Run `i2i-registry` in this process and exit with its code; the target of the processes that tests start."""
    os.environ[KILL] = kill
    raise SystemExit(run_program(arguments, Session(growing_registry(), Store(store))))
