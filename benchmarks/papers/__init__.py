"""What is compared, paper by paper: torch's side as the official release writes it, ours as a user gets it.

One file per paper, named like its model, with a `PAPER`. Files whose names begin with an underscore are no papers.
A file imports its plugin inside functions only: a measurement of torch loads torch, and nothing of ours.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from torch import Tensor, nn

    from i2i_registry.interfaces.model import Model
    from i2i_registry.interfaces.official import NameTable
    from i2i_registry.interfaces.trainer import AnyTrainer
    from i2i_runtime.records import Record

Size = Literal["full", "small"]
"""full: what the report is about; small: a test of the same code in a second or two"""

Losses = Mapping[str, float]


class OfficialLoop(Protocol):
    """Networks and optimizers of the release."""

    def step(self, batch: Mapping[str, Tensor]) -> Losses:
        """One update of everything, in the release's order: "<phase>/<loss>" of our trainer -> its value here."""
        ...


def without_rates(values: Losses) -> Losses:
    """Return the losses alone, of what the engine reports of a step."""
    return {name: value for name, value in values.items() if not name.startswith("rate/")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """A training step in the release's order, and ours."""

    target: float
    """how many times faster ours is to be, in fp32 unless `fastest`"""
    fastest: bool = False
    """Whether the target is for the faster of fp32 and bf16: for papers whose users may train in either"""
    stage: Callable[[Size], int] = lambda _size: 0
    """which of the trainer's stages the step is of, from 0"""
    batch: Callable[[Size], Mapping[str, Tensor]]
    """as the trainer's data source gives it, with a batch axis; the batch size is the release's"""
    official: Callable[[Size], OfficialLoop]
    ours: Callable[[Size, OfficialLoop], AnyTrainer]
    """With the weights that the loop has at that moment. Where a step draws numbers, both draw the same."""
    losses: Callable[[Losses], Losses] = without_rates
    """of what the engine reports of a step, what corresponds to the official loop's losses"""
    tolerance: float = 1e-5
    """of the losses of a first step, relative, as the recordings have it"""
    judged: Callable[[str], bool] = lambda _loss: True
    """Which losses of a first step have to agree that well in fp32. Not those of phases that follow an update which
    rounding may turn round: Adam without momentum steps by the sign of a gradient. These agree in float64
    (`tests/benchmarks`)"""
    later: float = 1e-4
    """within what the others have to agree in fp32 at small size, relative"""
    alternatives: Mapping[str, Callable[[AnyTrainer], None]] = field(default_factory=dict)
    """other ways to compute our step -> how a trainer is changed to it; measured beside ours"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inference:
    """An operation of a bundle, and the release's generator in eager torch."""

    target: float | None
    """how many times faster the bundle is to be; None: it is reported only"""
    inputs: Callable[[Size], Mapping[str, Tensor]]
    """what the generator takes, in its order, under the names of the operation's inputs"""
    eager: Callable[[Size], nn.Module]
    """gives the image, or what else the operation's first output is"""
    ours: Callable[[Size, nn.Module], Model[Record]]
    """with the weights that the generator has at that moment"""
    also: Callable[[Size], Mapping[str, Tensor]] = lambda _size: {}
    """what only the bundle takes"""
    labels: Mapping[str, str] = field(default_factory=dict)
    """labels that choose among a bundle's graphs"""
    operation: str = "translate"
    output: str = "image"
    in_common: Mapping[str, str] = field(default_factory=dict)
    """An operation's inputs that lead to a style, where there are such: of an image, "", or a label. What several
    images with the same ones cost in one call is measured beside a call for each"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """What is measured of one paper."""

    title: str
    """the paper and its network, as a row of the report begins"""
    inference: Inference | None = None
    training: Training | None = None


def names() -> list[str]:
    """Return the papers there are."""
    return sorted(path.stem for path in Path(__file__).parent.glob("[!_]*.py"))


def load(name: str) -> Paper:
    """Return the paper of that name."""
    return importlib.import_module(f".{name}", __name__).PAPER


def images(names: Iterable[str], count: int, side: int, width: int | None = None) -> dict[str, Tensor]:
    """Return the same random images in every process, [count, 3, side, width] in [-1, 1]; square without `width`."""
    import torch

    generator = torch.Generator().manual_seed(7)
    return {name: 2 * torch.rand(count, 3, side, width or side, generator=generator) - 1 for name in names}


def copy_weights(state: Mapping[str, Tensor], table: NameTable, networks: Mapping[str, nn.Module]) -> None:
    """Fill our networks with a release's tensors, all of ours, by a table of names.

    Networks without parameters (a trainer's pools) keep what they hold.
    """
    from i2i_registry.interfaces.official import rename

    ours = {rename(table, key): tensor.detach() for key, tensor in state.items()}
    for name, network in networks.items():
        if any(True for _ in network.parameters()):
            network.load_state_dict({key: ours[f"{name}.{key}"] for key in network.state_dict()})
