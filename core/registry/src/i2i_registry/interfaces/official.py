"""The OfficialFormat interface: checkpoints of a paper's official implementation become ours, and ours become theirs.

A plugin derives `OfficialFormat` once. Its heart is a table of names, which is read in both directions. Tensors do not
show everything that a Config holds: `Clues` are what lies beside them, `Findings` keep who said what.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, Generic, Literal, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

from i2i_registry.errors import CheckpointError
from i2i_registry.interfaces.cards import ImportedFile, Settled
from i2i_runtime.attribution import Licence
from i2i_runtime.records import Record

if TYPE_CHECKING:
    from torch import Tensor

C = TypeVar("C", bound=Record)
T = TypeVar("T")

TensorShapes = Mapping[str, tuple[int, ...]]
"""tensor name -> shape: all that is needed to recognise a checkpoint, with no tensor read"""

NameTable = Mapping[str, str]
"""official name -> our name, of a tensor, of a module, or of all that lies below a module; the longest name that fits
counts. No two rows have one name of ours, so that the table can be turned round."""


def rename(table: NameTable, key: str) -> str | None:
    """Return the other name of a tensor, by the row for the longest part that its name begins with; None.

    There is no row.
    """
    start = key
    while start not in table:
        start, dot, _ = start.rpartition(".")
        if not dot:
            return None
    return table[start] + key[len(start) :]


@dataclass(frozen=True, slots=True)
class Drop:
    """A tensor of an official checkpoint that is left out on purpose."""

    reason: str


@dataclass(frozen=True, slots=True)
class OfficialFile:
    """A file that the release writes, and what is in it."""

    name: str
    """with its folder: "0/netG.pth" """
    prefix: str = ""
    """what the official names of its tensors begin with, and have not inside the file: "G" """
    form: Literal["tensors", "networks", "list"] = "tensors"
    """tensors: one dictionary of all; networks: a dictionary for each first part of a name; list: of tensors, by
    number, with the number 1 in place of those that are missing"""


@dataclass(frozen=True, slots=True)
class ReleaseOptions:
    """The options of a training, as one witness has them."""

    where: str
    """"parameters.txt", "G.pth's options" """
    values: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class PickledModule:
    """A module that was pickled whole: its class, by name only, and those of its attributes that are plain values."""

    kind: str
    """"torch.nn.modules.activation.LeakyReLU" """
    values: Mapping[str, object]
    where: str
    """the name of its file"""


@dataclass(frozen=True, slots=True)
class Evidence(Generic[T]):
    """A value, and who says so."""

    value: T
    by: str
    """"parameters.txt: activation = elu" """


@dataclass(frozen=True, slots=True)
class Clues:
    """Everything beside the tensors that may tell a Config; empty where there is nothing."""

    settings: Mapping[str, object] = field(default_factory=dict[str, object])
    """fields of the Config that the user sets; each fits its field"""
    options: tuple[ReleaseOptions, ...] = ()
    """options that were pickled with the tensors come before those of option files"""
    parts: Mapping[str, PickledModule] = field(default_factory=dict[str, PickledModule])
    """place -> module, places named as in the tensors: "G.head.lrelu" """
    folder: str = ""
    """name of the folder that all files lie in"""
    read: tuple[ImportedFile, ...] = ()
    """the option files"""
    remarks: tuple[str, ...] = ()
    """what a person should know about the clues: those that were not used, and why"""

    def believed(self, shown: Mapping[str, Collection[object]]) -> Clues:
        """Return the clues without options that contradict the tensors, which are those of another training.

        `shown`: option -> the values that the tensors leave possible.
        """
        options: list[ReleaseOptions] = []
        remarks = list(self.remarks)
        for each in self.options:
            wrong = [name for name, values in shown.items() if name in each.values and not _allows(each, name, values)]
            if wrong:
                value = each.values[wrong[0]]
                remarks.append(f"{each.where} not used: {wrong[0]} = {value} there, and the tensors show another")
            else:
                options.append(each)
        return replace(self, options=tuple(options), remarks=tuple(remarks))

    def option(self, name: str, kind: TypeAdapter[T]) -> list[Evidence[T]]:
        """Return what the options say under a name, as a `kind`; values that are none are passed over."""
        found: list[Evidence[T]] = []
        for each in self.options:
            if name in each.values:
                text = each.values[name]
                try:
                    value = kind.validate_python(text)
                except ValueError:
                    continue
                found.append(Evidence(value, f"{each.where}: {name} = {text}"))
        return found

    def option_among(self, name: str, values: Mapping[str, T]) -> list[Evidence[T]]:
        """Return what the options say under a name, translated; what is none of the values is passed over."""
        said = self.option(name, TypeAdapter(str))
        return [Evidence(values[each.value], each.by) for each in said if each.value in values]

    def allows(self, name: str, values: Collection[str]) -> bool:
        """Return whether what the options say under a name is one of the values; where they say nothing, it may be."""
        said = self.option(name, TypeAdapter(str))
        return not said or said[0].value in values

    def folder_says(self, names: str, part: str, kind: TypeAdapter[T]) -> list[Evidence[T]]:
        """Return what the folder's name says, as a `kind`: the group `part` of a regular expression that finds it.

        A folder of another name says nothing, and neither does a value that is none.
        """
        match = re.search(names, self.folder)
        if match is None or match[part] is None:
            return []
        try:
            return [Evidence(kind.validate_python(match[part]), f"the folder's name: {self.folder}")]
        except ValidationError:
            return []

    def parts_at(self, place: str) -> Iterator[PickledModule]:
        """Return the modules whose whole place matches a regular expression."""
        return (part for name, part in self.parts.items() if re.fullmatch(place, name))


@dataclass(frozen=True, slots=True)
class InferredConfig(Generic[C]):
    """The Config of a checkpoint, and how the fields that its tensors do not show were settled."""

    config: C
    settled: tuple[Settled, ...] = ()
    remarks: tuple[str, ...] = ()


class Findings:
    """Settles the fields that tensors do not show, one by one, and keeps who said what."""

    def __init__(self, clues: Clues) -> None:
        self._clues = clues
        self._settled: dict[str, Settled] = {}
        self._remarks = list(clues.remarks)

    def settle(self, name: str, said: Sequence[Evidence[T]], otherwise: T) -> T:
        """Return the value of a field.

        What the user says, else the first that is said, else what is taken for granted.
        """
        if name in self._clues.settings:
            said = [Evidence(cast("T", self._clues.settings[name]), f"--set {name}"), *said]
        if not said:
            self._settled[name] = Settled(field=name, value=otherwise)
            return otherwise
        first, *others = said
        different = [each for each in others if each.value != first.value]
        if different:
            self._remarks.append(f"not used: {different[0].by} (against {first.by})")
        self._settled[name] = Settled(field=name, value=first.value, by=first.by)
        return first.value

    def remark(self, sentence: str) -> None:
        """Keep something else that a person should know."""
        self._remarks.append(sentence)

    def inferred(self, config: C) -> InferredConfig[C]:
        """Return the Config that was made of the fields, with all that was kept."""
        return InferredConfig(config, tuple(self._settled.values()), tuple(self._remarks))


class OfficialFormat(ABC, Generic[C]):
    """How the checkpoints of a paper's official implementation become ours, and ours become theirs.

    The table is total in both directions: an official tensor that has no row and is not left out on purpose is an
    error, and so is a tensor of ours without one. Names are those of all files together, where a release saves several:
    they begin with the prefix of their file ("G.", "0.netG."), by the rules of `i2i_registry.importing.files`.

    What every release has is not a plugin's business: wrappers ("module."), counters that batch norms lack in old
    files, statistics that old instance norms saved and never used.
    """

    source: ClassVar[str]
    """the repository the format comes from: "owner/name" """
    licence: ClassVar[Licence]
    """terms of the weights that circulate in this format, as far as they are known"""
    left_out: ClassVar[Sequence[tuple[str, str]]] = ()
    """(regular expression that matches a whole official name, why) of tensors that our networks do not have"""
    option_files: ClassVar[tuple[str, ...]] = ()
    """names of the text files beside a checkpoint in which the release keeps its options, the most telling first"""
    also_needed: ClassVar[str] = ""
    """what the release's own scripts read beside the files that we write, for people"""

    @abstractmethod
    def detect(self, shapes: TensorShapes) -> bool:
        """Whether a checkpoint with these tensors is of this format. Must be False for every other paper's."""

    def may_be(self, shapes: TensorShapes) -> bool:
        """Whether a checkpoint with these tensors is of this format if the user, or options beside it, say so.

        For releases in which two papers save the same networks. The default: what `detect` knows, and no other.
        """
        return self.detect(shapes)

    def fits(self, clues: Clues) -> bool:
        """Whether the clues allow this release; asked only where the tensors may be of several formats."""
        del clues
        return True

    def canonical(self, names: Collection[str]) -> Mapping[str, str | Drop]:
        """For tensors that a file may name in another way than the table does: the table's name, or a `Drop`.

        `names` are those of all tensors; one that the result does not have stays. The default: all stay.
        """
        del names
        return {}

    @abstractmethod
    def infer(self, shapes: TensorShapes, clues: Clues) -> InferredConfig[C]:
        """Return the Config the checkpoint was trained with, from shapes and from everything else that tells it.

        `shapes` have the table's names. Every field that shapes do not show must be settled with `Findings`, so that
        nothing is guessed in silence: what nobody says is then shown and kept as taken for granted, and only such
        fields can be set by the user.

        Raises CheckpointError when the shapes contradict each other.
        """

    def infer_config(self, shapes: TensorShapes) -> C:
        """Return the Config by shapes alone, which may be named in any way that files do. Raises as `infer`."""
        return self.infer(canonical_shapes(self, shapes), Clues()).config

    def repair(self, tensors: dict[str, Tensor], missing: TensorShapes) -> dict[str, Tensor]:
        """Official tensors with what files of this release left out filled in; the default changes nothing.

        `missing`: names and shapes of what our networks need at this Config and the files do not hold. What stays
        missing is an error.
        """
        del missing
        return tensors

    @abstractmethod
    def table(self, config: C) -> NameTable:
        """Return the official name of everything that our networks hold at this Config. It may have rows for more."""

    def complete(self, tensors: dict[str, Tensor], config: C) -> dict[str, Tensor]:
        """Our tensors under official names with what the release's own code reads beside; the default adds nothing."""
        del config
        return tensors

    @abstractmethod
    def files(self, config: C) -> Sequence[OfficialFile]:
        """Return the files that the release would write.

        Together they hold all names of the table and of `complete`.
        """


def numbered(names: Collection[str], pattern: str) -> list[int]:
    """Return the numbers in names that match a regular expression whole, whose one group they are; in order.

    Raises CheckpointError when they do not count from 0 without gaps.
    """
    numbers = sorted({int(match[1]) for name in names if (match := re.fullmatch(pattern, name))})
    if numbers != list(range(len(numbers))):
        raise CheckpointError(
            found=f"parts that are numbered {numbers}: {pattern}",
            expected="numbers from 0 without gaps",
            fix="the checkpoint is damaged, was changed, or lacks a file",
        )
    return numbers


_WEIGHTS = {2: "a linear layer: outputs and inputs", 4: "a convolution: channels, and height and width of its kernel"}


def weight_shape(shapes: TensorShapes, key: str, rank: Literal[2, 4]) -> tuple[int, ...]:
    """Return the shape of the weights of a linear layer (`rank` 2) or of a two-dimensional convolution (4).

    Raises CheckpointError when they are missing, of another rank, or empty.
    """
    shape = shapes.get(key)
    if shape is None or len(shape) != rank or 0 in shape:
        raise CheckpointError(
            found=f"{key} is missing" if shape is None else f"{key} is of shape {shape}",
            expected=f"the weights of {_WEIGHTS[rank]}",
            fix="the file is incomplete, damaged, or of another network: download it again",
        )
    return shape


def possible_configs(kind: type[C], candidates: Iterable[Mapping[str, object]]) -> Iterator[C]:
    """Yield the Configs of those fields that fit each other, in their order."""
    for fields in candidates:
        try:
            config = kind.model_validate(fields)
        except ValidationError:
            continue
        yield config


def checked_config(kind: type[C], fields: Mapping[str, object], *, found: str, expected: str, fix: str) -> C:
    """Return the Config of fields that were read off tensors; `found` says what they are, and the problem follows it.

    Raises CheckpointError for those that no Config has.
    """
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        problem = error.errors()[0]
        said = (".".join(map(str, problem["loc"])), problem["msg"].removeprefix("Value error, "))
        raise CheckpointError(f"{found}: {' '.join(filter(None, said))}", expected, fix) from error


def untrained(name: str, shape: tuple[int, ...]) -> Tensor:
    """Return the value of a tensor that no training came to.

    Ones for scales and variances of norms, zeros for all others.
    """
    import torch  # noqa: PLC0415 - this module is imported without it

    return torch.full(shape, 1.0 if name.endswith(("norm.weight", "norm.running_var")) else 0.0)


def canonical_shapes(official: OfficialFormat[C], shapes: TensorShapes) -> dict[str, tuple[int, ...]]:
    """Shapes under the table's names; those that are left out as repetitions are not in it."""
    names = official.canonical(shapes.keys())
    named = {names.get(key, key): shape for key, shape in shapes.items()}
    return {name: shape for name, shape in named.items() if isinstance(name, str)}


def _allows(options: ReleaseOptions, name: str, values: Collection[object]) -> bool:
    """Whether what is written is one of the values: 0, 0.0 and False are the same."""
    text = options.values[name]
    for value in values:
        try:
            same = text == value if isinstance(value, str) else TypeAdapter(type(value)).validate_python(text) == value
        except ValueError:
            continue
        if same:
            return True
    return False
