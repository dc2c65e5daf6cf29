"""Cards: the light records that describe models and weights. Listing them never loads torch."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from i2i_registry.interfaces.expectations import PresetExpectation
from i2i_runtime.attribution import Licence, Paper
from i2i_runtime.errors import UsageError
from i2i_runtime.records import Name, OperationName, Record, Sha256

INTERFACE_VERSION = 1
"""Version of Model, Trainer, Exporter and the hooks, as this release has them."""

FIRST_INTERFACE = 1
"""What a card that states no `interface` was written for: it can only be older than ours, never newer."""

_WEIGHTS_NAME = r"[a-z0-9][a-z0-9._-]{0,63}"
WeightsName = Annotated[str, Field(pattern=rf"^{_WEIGHTS_NAME}$")]
"""Also a file name on every system, and free of '@', which separates the version."""


def is_weights_name(name: str) -> bool:
    """Whether weights can have this name."""
    return re.fullmatch(_WEIGHTS_NAME, name) is not None


Attribute = Annotated[str, Field(pattern=r"^[\w.]+:\w+$")]
"""Where something heavy lives, "package.module:name"; imported only when it is used."""


class OfficialFormatCard(Record):
    """The checkpoints of an official implementation that a model imports, told without the code that reads them."""

    format: Attribute
    """an `OfficialFormat`"""
    marks: Annotated[tuple[str, ...], Field(min_length=1)]
    """parts of tensors' names, of which every checkpoint of the format has at least one: "genA2B.DownBlock" """


class ModelCard(Record):
    """A paper that a plugin brings, without its code."""

    name: Name = Field(examples=['"cyclegan"'])
    summary: str = Field(examples=['"one domain to another, from unpaired images"'])
    paper: Paper = Field(examples=['Paper(title="...", authors="...", year=2026)'])
    licence: Licence = Field(examples=['Licence(spdx="Apache-2.0")'])
    """of the plugin's code and of the method, with what the official implementation's terms mean for its weights"""
    operations: tuple[OperationName, ...] = Field(examples=['("translate",), as the model has them'])
    presets: tuple[str, ...] = Field(examples=['("default",), as the model has them'])
    model: Attribute = Field(examples=['"my_package.model:MyModel"'])
    trainer: Attribute | None = Field(default=None, examples=['"my_package.trainer:MyTrainer"'])
    official: OfficialFormatCard | None = Field(
        default=None, examples=['OfficialFormatCard(format="my_package.official:FORMAT", marks=("netG.",))']
    )
    expectations: dict[str, PresetExpectation] = Field(default_factory=dict)
    """preset -> what to expect of it, where that is known"""
    interface: PositiveInt = FIRST_INTERFACE
    """the `INTERFACE_VERSION` it was written for, as a number: what is newer or older than ours is refused"""

    @model_validator(mode="after")
    def _expect_of_presets(self) -> Self:
        unknown = sorted(self.expectations.keys() - set(self.presets))
        if unknown:
            raise ValueError(f"expectations of {unknown[0]!r}, which is no preset")
        return self


class ExporterCard(Record):
    """A target format that a distribution brings."""

    name: Name
    summary: str
    exporter: Attribute
    interface: PositiveInt = FIRST_INTERFACE
    """the `INTERFACE_VERSION` it was written for, as a number: what is newer or older than ours is refused"""


class CommandCard(Record):
    """A command that a distribution adds to `i2i-registry`."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]*$")]
    summary: str
    command: Attribute
    """a click command"""
    interface: PositiveInt = FIRST_INTERFACE
    """the `INTERFACE_VERSION` it was written for, as a number: what is newer or older than ours is refused"""


class Trained(Record):
    """The weights were trained with our engine."""

    kind: Literal["trained"] = "trained"
    data: str
    """the training set in words"""
    command: str
    seed: int
    steps: NonNegativeInt
    seconds: NonNegativeInt = 0
    """wall-clock time spent training, on the machine named in `machine`"""
    machine: str = ""
    options: dict[str, object] = Field(default_factory=dict)

    def sentence(self) -> str:
        """One sentence for people."""
        return f"trained {self.steps} steps on {self.data} (seed {self.seed})"


class ImportedFile(Record):
    """One file of an imported checkpoint."""

    name: str
    """without its folder"""
    prefix: str = ""
    """what the names of its tensors got in front: "G"; empty for a checkpoint of one file"""
    sha256: Sha256


class Settled(Record):
    """A field of a Config that tensors do not show, and how its value was come to."""

    field: str
    value: object
    by: str = ""
    """who says so, "opt.txt: nl = lrelu"; empty: nobody does, and it is taken for granted"""

    def sentence(self) -> str:
        """One line for people."""
        shown = ", ".join(map(str, self.value)) if isinstance(self.value, (list, tuple)) else str(self.value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        if self.by:
            return f"{self.field} = {shown} ({self.by})"
        return f"taken for granted: {self.field} = {shown} (tensors do not show it)"


class Imported(Record):
    """The weights come from a checkpoint in the layout of an official implementation.

    Who trained it is not known: a layout is no signature.
    """

    kind: Literal["imported"] = "imported"
    source: str
    """the implementation whose layout it has: "owner/name" """
    files: Annotated[tuple[ImportedFile, ...], Field(min_length=1)]
    beside: tuple[ImportedFile, ...] = ()
    """files of options that were read for the Config"""
    dropped: dict[str, str] = Field(default_factory=dict)
    """official key -> why it was left out"""
    settled: tuple[Settled, ...] = ()
    """the fields of the Config that tensors do not show"""

    def sentence(self) -> str:
        """One sentence for people."""
        first, *others = self.files
        more = f" and {len(others)} more files" if len(others) > 1 else "".join(f" and {file.name}" for file in others)
        return f"imported from {first.name} (in the layout of {self.source}, sha256 {first.sha256[:12]}){more}"


def check_recordable(source: Path) -> None:
    """Raise UsageError when the name of a file or folder cannot be written down with the weights made from it."""
    try:
        str(source.absolute()).encode()
    except (OSError, UnicodeEncodeError) as error:
        raise UsageError(
            found=f"{str(source)!r} cannot be written down: {getattr(error, 'strerror', '') or 'it is not UTF-8'}",
            expected="a name in UTF-8, which weights are described with",
            fix="rename it",
        ) from error


class WeightsDraft(Record):
    """What is known about weights before they are stored."""

    name: WeightsName
    model: Name
    summary: str = ""
    config: dict[str, object]
    licence: Licence
    provenance: Annotated[Trained | Imported, Field(discriminator="kind")]
    plugin: str
    """distribution and version that made it: "i2i-plugin-ugatit 0.1.0" """
    metrics: dict[str, float] = Field(default_factory=dict)
    parent: Sha256 | None = None
    """the weights it was trained on from"""


class WeightsCard(WeightsDraft):
    """One safetensors file: what it is, where it comes from, what one may do with it."""

    version: PositiveInt = 1
    sha256: Sha256
    size: PositiveInt
    """bytes"""
    locations: tuple[str, ...] = ()
    """where the file may be read: "package:i2i_plugin_ugatit/weights/poster.safetensors", a path, or a URL;
    empty: in the local store"""
    default: bool = False
    """whether the model's own name means these weights"""

    @property
    def reference(self) -> str:
        """The exact address: "anime@2"."""
        return f"{self.name}@{self.version}"
