"""The Exporter interface: turns a model with weights into an artefact, and proves it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import PositiveInt

from i2i_runtime.records import Record
from i2i_runtime.schema.parity import Parity, Precision

if TYPE_CHECKING:
    from i2i_registry.interfaces.cards import ModelCard, WeightsCard
    from i2i_registry.interfaces.model import Model


TellProgress = Callable[[str], None]
"""gets one line of progress at a time"""


class ExportOptions(Record):
    """What a user chooses for an export."""

    precision: Precision = "fp32"
    size: PositiveInt | Literal["dynamic"] | None = None
    """fixed side in pixels; "dynamic": must stay free, an error where the network does not allow it; None: free where
    the network allows it"""


@dataclass(frozen=True, slots=True)
class ExportReport:
    """Where the artefact lies and how exact it was measured to be."""

    artefact: Path
    parity: Parity


@dataclass(frozen=True, slots=True)
class ModelOrigin:
    """A model's card and the distribution that brings it, as artefacts record them."""

    card: ModelCard
    distribution: str
    version: str


class Exporter(ABC):
    """One target format."""

    name: ClassVar[str]
    """also the flag of `i2i-registry export`: "onnx" is `--onnx`"""

    def __init__(self, origins: Mapping[str, ModelOrigin]) -> None:
        self.origins = origins
        """of all models, by their names"""

    @abstractmethod
    def export(
        self,
        model: Model[Record],
        weights: WeightsCard,
        destination: Path,
        options: ExportOptions,
        tell: TellProgress,
    ) -> ExportReport:
        """Write the artefact of `model` (weights already in it) to `destination`, which must not exist.

        `tell` gets one line of progress at a time. Raises ExportError, and leaves nothing at `destination`, when the
        network cannot be exported or an output misses its tolerance.
        """

    @abstractmethod
    def verify(self, artefact: Path, model: Model[Record], tell: TellProgress) -> Parity:
        """Measure the artefact against `model` again. Raises ExportError when it misses its recorded tolerance."""
