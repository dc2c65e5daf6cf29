"""Two names of each tensor, the release's and ours: a format's table, read in both directions.

Import: names in the files -> names of the release -> ours. Export: ours -> names of the release. What every release
needs is here, once: counters of batches, and statistics that no norm uses.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from i2i_registry.checkpoints.tensor_files import some
from i2i_registry.errors import CheckpointError, PluginError
from i2i_registry.interfaces.official import Drop, OfficialFormat, TensorShapes, rename
from i2i_runtime.records import Record

if TYPE_CHECKING:
    from torch import Tensor

C = TypeVar("C", bound=Record)

COUNTER = "num_batches_tracked"
_STATISTICS = ("running_mean", "running_var", COUNTER)
_UNUSED = "statistics that torch before 0.4 saved with InstanceNorm and never used"


@dataclass(frozen=True, slots=True)
class KeyReport:
    """What became of every tensor of a checkpoint."""

    used: Mapping[str, str]
    """official key, as the files have it -> ours"""
    dropped: Mapping[str, str]
    """official key -> why"""
    filled: tuple[str, ...] = ()
    """official keys of ours that no file has, and that were filled in: what old releases left out"""


@dataclass(frozen=True, slots=True)
class NamedTensors:
    """The tensors of a checkpoint under the names that the format's table has."""

    tensors: Mapping[str, Tensor]
    in_files: Mapping[str, str]
    """name -> what the files call it; those that are filled in are not here"""
    dropped: Mapping[str, str]
    """name in the files -> why it is left out"""

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name -> shape."""
        return {name: tuple(tensor.shape) for name, tensor in self.tensors.items()}


def name_tensors(official: OfficialFormat[C], tensors: Mapping[str, Tensor]) -> NamedTensors:
    """Give tensors of files the names that the format's table has.

    Raises CheckpointError when two tensors come to one name.
    """
    names = official.canonical(tensors.keys())
    fates = {key: names.get(key, key) for key in tensors}
    refuse_twice(fate for fate in fates.values() if isinstance(fate, str))
    return NamedTensors(
        {fate: tensors[key] for key, fate in fates.items() if isinstance(fate, str)},
        {fate: key for key, fate in fates.items() if isinstance(fate, str)},
        {key: fate.reason for key, fate in fates.items() if isinstance(fate, Drop)},
    )


def refuse_twice(names: Iterable[str]) -> None:
    """Raise CheckpointError when a name occurs twice."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise CheckpointError(some("two tensors would become one", twice), expected="one source for each of ours")


def official_names(official: OfficialFormat[C], config: C, ours: Iterable[str]) -> dict[str, str]:
    """Our name -> the official one, for all our tensors at this Config.

    Raises PluginError for a tensor of ours that the format's table has no row for, and for two that have one.
    """
    turned = {our: their for their, our in official.table(config).items()}
    names: dict[str, str] = {}
    for key in ours:
        name = rename(turned, key)
        if name is None:
            raise PluginError(
                found=f"the table of {official.source} has no row for {key}",
                expected="an official name for every tensor of ours",
                fix="add the row to the format's table()",
            )
        names[key] = name
    if len(set(names.values())) < len(names):
        twice = [name for name, count in Counter(names.values()).items() if count > 1]
        raise PluginError(some(f"the table of {official.source} has twice", twice), expected="one row for each")
    return names


def repair(official: OfficialFormat[C], named: NamedTensors, needed: TensorShapes) -> dict[str, Tensor]:
    """Return the tensors with what old files left out: counters of batch norms, and what the format itself fills in.

    `needed`: official names and shapes of all tensors that our networks have. Counters that old files keep as floats
    are made whole numbers.
    """
    repaired = {name: t.long() if name.endswith(COUNTER) else t for name, t in named.tensors.items()}
    missing = {name: shape for name, shape in needed.items() if name not in repaired}
    for name in list(missing):
        mean = repaired.get(f"{name.removesuffix(COUNTER)}running_mean")
        if name.endswith(COUNTER) and mean is not None:
            repaired[name] = mean.new_zeros(missing.pop(name)).long()
    return official.repair(repaired, missing)


def map_names(
    official: OfficialFormat[C], named: NamedTensors, repaired: Mapping[str, Tensor], names: Mapping[str, str]
) -> KeyReport:
    """Return what becomes of every tensor. `names`: ours -> official, as `official_names` gives them.

    Raises CheckpointError for tensors that have no row in the format's table and are not left out on purpose.
    """
    ours = {their: our for our, their in names.items()}
    used: dict[str, str] = {}
    dropped = dict(named.dropped)
    unknown: list[str] = []
    for name in repaired:
        key = named.in_files.get(name, name)
        reason = _reason(official.left_out, name, repaired)
        if name in ours:
            used[key] = ours[name]
        elif reason is None:
            unknown.append(key)
        elif name in named.in_files:
            dropped[key] = reason
    if unknown:
        missing = [our for their, our in ours.items() if their not in repaired]
        raise CheckpointError(
            found="; ".join(filter(None, (some("no rule for", unknown), some("missing", missing)))),
            expected="every tensor of the checkpoint to be known to the plugin's table of names",
            fix="import the files of one training"
            if missing
            else "the file holds more than a release of this paper does; report it with `i2i-registry inspect`",
        )
    return KeyReport(used, dropped, tuple(name for name in repaired if name in ours and name not in named.in_files))


def reason_to_leave_out(rules: Sequence[tuple[str, str]], name: str) -> str | None:
    """Why a format leaves a tensor out; None: it does not."""
    return next((reason for pattern, reason in rules if re.fullmatch(pattern, name)), None)


def _reason(rules: Sequence[tuple[str, str]], name: str, tensors: Mapping[str, Tensor]) -> str | None:
    norm, _, leaf = name.rpartition(".")
    if leaf in _STATISTICS and f"{norm}.weight" not in tensors:
        return _UNUSED
    return reason_to_leave_out(rules, name)
