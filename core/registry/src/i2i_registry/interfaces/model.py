"""The Model interface: a paper at one configuration.

A plugin derives `Model` once. Everything a user does with the paper (train, import, export, run) goes through it.
Torch appears in annotations only, so that this module can be imported without it.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Generic, Literal, TypeVar

from i2i_registry.importing.clues import Clues, Findings, Inferred
from i2i_runtime.schema.manifest import Licence
from i2i_runtime.schema.operations import Operation, Record

if TYPE_CHECKING:
    from torch import Tensor, nn

C = TypeVar("C", bound=Record, covariant=True)  # noqa: PLC0105 - reads better than C_co

Shapes = Mapping[str, tuple[int, ...]]
"""tensor name -> shape: all that is needed to recognise a checkpoint, with no tensor read"""


@dataclass(frozen=True, slots=True)
class Axis:
    """A free axis of a graph input. Axes of one name have one length in a call; "batch" and image sides, mostly."""

    name: str
    example: int
    """length while tracing, and the first one that parity is measured at; at least 2"""
    multiple: int = 1
    minimum: int = 1


@dataclass(frozen=True, slots=True)
class GraphInput:
    """One tensor that a graph takes, and how to make honest test values for it."""

    name: str
    axes: tuple[int | Axis, ...]
    values: Literal["image", "normal", "uniform", "index", "whole"]
    """image: real images in [-1, 1] (and extremes of it); normal: N(0, 1); uniform: U(-1, 1);
    index: int64 in [0, count); whole: float32, the whole numbers in [0, count)"""
    count: int = 0


@dataclass(frozen=True, slots=True)
class OutlierTolerance:
    """Leave for a few values to miss a graph's tolerance, where the paper itself rounds between its layers.

    A difference of a millionth moves a value that sits on a step of 8 bits by the whole step, and all that follows
    from it; how many do is a matter of chance, and small.
    """

    share: float
    """of an output's values"""
    tolerance: float
    """largest error of those, relative to torch's largest value"""
    reason: str


@dataclass(frozen=True, slots=True)
class Graph:
    """A module with plain tensor inputs, in the order given here, that the exporter turns into one .onnx file.

    `outputs` names what `module(*inputs)` returns, a tensor or a tuple of them. The first axis of every input and
    output is the batch.
    """

    module: nn.Module
    inputs: tuple[GraphInput, ...]
    outputs: tuple[str, ...]
    images: frozenset[str] = frozenset()
    """the outputs whose error is also told in 8-bit steps; values in [-1, 1]"""
    tolerance: float = 1e-4
    """largest error of an fp32 graph allowed, relative to torch's largest value; a looser one needs a reason"""
    outliers: OutlierTolerance | None = None
    """values that may be further off; None: none may"""


@dataclass(frozen=True, slots=True)
class Drop:
    """A tensor of an official checkpoint that is left out on purpose."""

    reason: str


KeyMap = Sequence[tuple[str, str | Drop]]
"""(regular expression that matches a whole official key, our key as a replacement or a `Drop`), first match wins."""


def rename(rules: KeyMap, key: str) -> str | Drop | None:
    """Our name of an official key, a `Drop`, or None when no rule matches the whole key."""
    for pattern, target in rules:
        match = re.fullmatch(pattern, key)
        if match:
            return target if isinstance(target, Drop) else match.expand(target)
    return None


class OfficialFormat(ABC):
    """How the checkpoints of a paper's official implementation become ours.

    The map is total: a key that matches no line of `keys` is an error, and so is a tensor of ours that stays empty.
    Where a release saves several files, keys begin with the prefix of their file ("G.", "0.netG."), by the rules of
    `i2i_registry.importing.files`; the same keys bare are those of one file alone.
    """

    source: ClassVar[str]
    """the repository the format comes from: "owner/name" """
    licence: ClassVar[Licence]
    """terms of the weights that circulate in this format, as far as they are known"""
    keys: ClassVar[KeyMap]
    option_files: ClassVar[tuple[str, ...]] = ()
    """names of the text files beside a checkpoint in which the release keeps its options, the most telling first"""

    @abstractmethod
    def detect(self, shapes: Shapes) -> bool:
        """Whether a checkpoint with these tensors is of this format. Must be False for every other paper's."""

    def may_be(self, shapes: Shapes) -> bool:
        """Whether a checkpoint with these tensors is of this format if the user, or options beside it, say so.

        For releases in which two papers save the same networks. The default: what `detect` knows, and no other.
        """
        return self.detect(shapes)

    @abstractmethod
    def infer_config(self, shapes: Shapes) -> Record:
        """The Config the checkpoint was trained with, from shapes alone; what they do not show is taken for granted.

        Raises CheckpointError when the shapes contradict each other.
        """

    def infer(self, shapes: Shapes, clues: Clues) -> Inferred:
        """The Config the checkpoint was trained with, from shapes and from everything else that tells it.

        Every field that shapes do not show must be settled with `Findings`, so that nothing is guessed in silence: what
        nobody says is then shown and kept as taken for granted, and only such fields can be set by the user. The
        default takes `unseen` for granted.

        Raises CheckpointError when the shapes contradict each other.
        """
        config = self.infer_config(shapes)
        findings = Findings(clues)
        values = {name: findings.settle(name, (), getattr(config, name)) for name in self.unseen(config)}
        return findings.inferred(config.model_copy(update=values))

    def unseen(self, config: Record) -> tuple[str, ...]:
        """The fields of this Config that no tensor shows; the default: none."""
        del config
        return ()

    def fits(self, clues: Clues) -> bool:
        """Whether the clues allow this release; asked only where the tensors may be of several formats."""
        del clues
        return True

    @abstractmethod
    def example(self, config: Record) -> Shapes:
        """The tensors of a checkpoint that the official code would save for this Config, dropped ones included.

        The conformance suite fills it with random values and imports it.
        """

    def repair(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        """Official tensors with what old releases left out filled in; the default changes nothing."""
        return tensors


class Model(ABC, Generic[C]):
    """A paper at one configuration: its inference networks, what they can do, and the graphs to export."""

    name: ClassVar[str]
    Config: ClassVar[type[Record]]
    """frozen pydantic model, unknown fields refused; defaults are the paper's values"""
    presets: ClassVar[Mapping[str, Record]]
    """named configurations with the paper's values; the first is the default"""
    official: ClassVar[OfficialFormat | None] = None

    def __init__(self, config: C) -> None:
        self.config = config

    @property
    @abstractmethod
    def networks(self) -> Mapping[str, nn.Module]:
        """The networks whose tensors are the weights: name -> module, the same objects at every call.

        A weights file holds each tensor under "<network>.<key of its state dict>".
        """

    @abstractmethod
    def operations(self) -> tuple[Operation, ...]:
        """What the model does, wired to the names of `graphs()`."""

    @abstractmethod
    def graphs(self) -> Mapping[str, Graph]:
        """The modules to export; they share their parameters with `networks`."""

    @classmethod
    @abstractmethod
    def shrunk(cls, config: C) -> C:  # pyright: ignore[reportGeneralTypeIssues] - asked with a Config of the class
        """The same structure as small as it gets (seconds to train on a CPU), for tests."""
