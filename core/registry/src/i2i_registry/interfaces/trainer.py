"""The Trainer interface: what a paper's training computes. How it is run is the engine's (i2i_toolkit.engine.loop).

Stages follow each other (SinGAN's scales; most papers have one). A step of a stage runs its phases in order; a phase
is one optimizer step. A trainer holds no loop, prints nothing, saves nothing and moves nothing between devices.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, TypeAlias, TypeVar, final, runtime_checkable

from pydantic import JsonValue

from i2i_registry.interfaces.data import DataLayout, Tensors
from i2i_registry.interfaces.model import Model, module_attributes
from i2i_runtime.records import Record

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn
    from torch.optim import Optimizer

M = TypeVar("M", bound=Model[Record], covariant=True)  # noqa: PLC0105 - reads better than M_co
O = TypeVar("O", bound=Record, covariant=True)  # noqa: E741, PLC0105 - reads as "options"
S = TypeVar("S")
"""What a stage computes once for its phases: a record of its own, mostly a NamedTuple of tensors."""


def nothing_begun(_batch: Tensors) -> None:
    """Do nothing: the default of `Stage.begin`."""


def nothing() -> None:
    """Do nothing: the default of the hooks below."""


def unchanged(sample: Tensors) -> Tensors:
    """Return the sample as it was drawn: the default of `Stage.sample`."""
    return sample


def constant(_step: int) -> float:
    """Return a learning rate that stays as the optimizer was built with."""
    return 1.0


Losses: TypeAlias = Tensors
"""Name of a loss -> scalar, with its weight applied."""

Decay: TypeAlias = float | Callable[[int], float]
"""In [0, 1], or a function of the step (over all stages, from 1) that gives one."""


@dataclass(frozen=True)
class Step(Generic[S]):
    """What a phase sees: one batch, on the device, and what the stage computed from it for all phases."""

    number: int
    """1 for the first step of the stage"""
    batch: Tensors
    shared: S
    """what `Stage.shared` returned; None in a stage without, and while it is computed"""


@dataclass(frozen=True, kw_only=True)
class Phase(Generic[S]):
    """One optimizer step: whose parameters learn, from which losses, how often.

    The engine freezes everything that `optimizer` does not hold, sums the losses, runs backward, averages gradients
    over processes and steps.
    """

    name: str
    optimizer: Optimizer
    losses: Callable[[Step[S]], Losses]
    """computes what the parameters learn from: the sum of these losses"""
    every: int = 1
    """in steps: 16 for StyleGAN2's lazy penalties"""
    learning_rate: Callable[[int], float] = constant
    """factor on the optimizer's initial rates, a pure function of the step's number"""
    after: Callable[[], None] = nothing
    """runs when the parameters have moved: U-GAT-IT clamps rho here"""
    repeat: int = 1
    """how many steps the optimizer takes along the same gradient: 3 for ConSinGAN's generator"""


@dataclass(frozen=True, kw_only=True)
class Stage(Generic[S]):
    """A stretch of training with one set of phases."""

    name: str
    steps: int
    batch_size: int
    phases: tuple[Phase[S], ...]
    sample: Callable[[Tensors], Tensors] = unchanged
    """What the stage learns from, of a sample as the data source draws it: images at the stage's resolution, where a
    paper grows its networks. A pure function; it runs in the processes that load data, before samples are stacked."""
    fresh_optimizers: bool = False
    """Forget what the optimizers hold (Adam's moments) when the stage is entered: StyleGAN and ALAE do so at every
    resolution. Otherwise an optimizer that several stages use goes on as the stage before left it."""
    shared: Callable[[Step[None]], S] | None = None
    """Computes once, at the start of a step and with gradients, what all its phases use: generated images, mostly.

    May depend only on parameters that stay as they are until the last phase that uses the result: a step that is
    resumed half-way computes it again. Otherwise see `keep_shared`.
    """
    keep_shared: type[S] | None = None
    """The class of the result, a NamedTuple of tensors, to keep it without its gradients in a checkpoint inside a step
    and not compute it again: for stages that go on to look at an image when the network that made it has learned
    (InGAN). Only the first phase may then send gradients through it."""
    begin: Callable[[Tensors], None] = nothing_begun
    """Runs once when the stage is entered, never on resume, with the stage's first batch on the device: hand over
    weights, fix a noise amplitude. What it leaves has to lie in parameters and buffers, which checkpoints keep."""


@runtime_checkable
class AveragingOptions(Protocol):
    """Options with the decay of an EMA of the model's networks, such as the toolkit's `EMAOptions`."""

    @property
    def ema_decay(self) -> float:
        """In [0, 1); 0: no average."""
        ...


def _learns(network: nn.Module) -> bool:
    return any(parameter.requires_grad for parameter in network.parameters())


class Trainer(ABC, Generic[M, O]):
    """The training of one paper: networks that only training needs, losses, optimizers, schedule."""

    Options: ClassVar[type[Record]]
    """frozen pydantic model with the paper's values; its names must differ from those of the model's Config"""
    presets: ClassVar[Mapping[str, Record]] = MappingProxyType({})
    """the Options that go with presets of the model's Config, by their names; those of any other are `Options()`"""
    shrunk: ClassVar[Mapping[str, JsonValue]] = MappingProxyType({})
    """fields of the Options -> values with which a training has as few steps and as narrow networks as it gets: for
    tests, on a model that `Model.shrunk` made as small"""
    Layout: ClassVar[type[DataLayout]]
    """how the training data lie on disk; whoever gives a model the wrong folder is told which others would take it"""

    def __init__(self, model: M, options: O) -> None:
        self.model = model
        self.options = options

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        """Name -> network that only the training needs, a discriminator mostly; the same objects at every call.

        A module without parameters belongs here as well when its buffers have to be in a checkpoint. The names differ
        from those of the model's networks. The default: the attributes that are modules, and those in dictionaries by
        their keys, but those of the model.
        """
        of_model = {id(network) for network in self.model.networks.values()}
        return {name: each for name, each in module_attributes(self).items() if id(each) not in of_model}

    @final
    @property
    def all_networks(self) -> Mapping[str, nn.Module]:
        """The model's networks, then those that only the training needs."""
        return {**self.model.networks, **self.networks}

    @property
    @abstractmethod
    def layout(self) -> DataLayout:
        """A `Layout` with what this training makes of the files: sizes, crops, channels."""

    @abstractmethod
    def stages(self) -> Sequence[Stage[Any]]:
        """Return the stages in order, with fresh optimizers. Called once, when the networks are on their device."""

    @abstractmethod
    def preview(self, batch: Tensors) -> Tensors:
        """Column title -> images [n, c, h, w] in [-1, 1]: one row of the sample grid per sample.

        It is called without gradients, with all networks in evaluation mode; any number of channels is shown in colour.
        """

    @property
    def ema(self) -> Mapping[str, Decay]:
        """Name of a network -> decay of the exponential moving average of its parameters.

        The average is what samples and weights are made of. It moves at the end of every step. The default: every
        network of the model that learns, with the `ema_decay` of the Options; none if that is 0, or they have none.
        """
        options = self.options
        if not isinstance(options, AveragingOptions) or not options.ema_decay:
            return {}
        learning = (name for name, network in self.model.networks.items() if _learns(network))
        return dict.fromkeys(learning, options.ema_decay)

    @classmethod
    def config_for(
        cls,
        config: Record,
        options: O,  # noqa: ARG003 # pyright: ignore[reportGeneralTypeIssues] - always Options of this class
        root: Path,
    ) -> Record:
        """Complete the Config of a new run by what the data at `root` decide: names of domains, the size of an image.

        Both records hold what a user set, which goes before what this gives; training that starts from weights keeps
        their Config. The default leaves it to the layout.
        """
        return cls.Layout.complete(config, root)


AnyTrainer: TypeAlias = Trainer[Model[Record], Record]
"""The trainer of some paper."""
