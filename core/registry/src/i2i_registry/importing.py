"""An official checkpoint becomes weights of ours: recognised, renamed key by key, compared, stored with a card."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from i2i_registry.cards import Imported, ImportedFile, Settled, WeightsCard, WeightsDraft
from i2i_registry.catalogue import Catalogue
from i2i_registry.checkpoint_files import CheckpointSet, Found, read_files
from i2i_registry.clues import gather
from i2i_registry.discovery import Registry
from i2i_registry.errors import CheckpointError, PluginError
from i2i_registry.inferring import Asked, contradiction, infer, knows, may_know, understood
from i2i_registry.model import Drop, KeyMap, Model, OfficialFormat, Shapes
from i2i_registry.places import check_recordable
from i2i_registry.store import Store
from i2i_registry.tensorfile import check_shapes, some
from i2i_registry.vetting import as_weights, odd_shapes, refuse_empty
from i2i_runtime.operations import Record
from i2i_runtime.untrusted_text import printable

if TYPE_CHECKING:
    from torch import Tensor, dtype

_SHOWN_KEYS = 8


@dataclass(frozen=True, slots=True)
class KeyReport:
    """What became of every tensor of an official checkpoint."""

    used: Mapping[str, str]
    """official key -> ours"""
    dropped: Mapping[str, str]
    """official key -> why"""
    filled: tuple[str, ...] = ()
    """official keys of ours that no file has, and that the plugin filled in: what old releases left out"""


@dataclass(frozen=True, slots=True)
class ImportReport:
    """The stored weights, and how they came about."""

    card: WeightsCard
    config: Record
    keys: KeyReport
    converted: Mapping[str, str] = field(default_factory=dict[str, str])
    """official key -> "float16 to float32" """
    settled: tuple[Settled, ...] = ()
    """the fields of the Config that tensors do not show, and how each was come to"""
    remarks: tuple[str, ...] = ()
    """what a person should know beside: which files were taken of several, which clues were not used, and why"""
    records: tuple[str, ...] = field(default=())
    """classes that the files name and that were not loaded"""


def import_checkpoint(
    registry: Registry,
    store: Store,
    files: Path | Mapping[str, Path] | Found,
    name: str,
    *,
    model: str | None = None,
    domains: Sequence[str] = (),
    values: Sequence[str] = (),
) -> ImportReport:
    """Read an official checkpoint, executing nothing, and store its weights as `name`.

    `files` is one file, prefix -> file, or what `find` finds in places. `model` says which paper it should be; without
    it, all installed ones are asked. `domains` names the domains, for papers whose Config has them; `values` sets
    fields of the Config that tensors do not show, each "key=value".

    Raises UsageError for a bad name, domains or fields, CheckpointError for a file that is hostile, damaged, of
    another model, or for files that do not map key for key or do not fit together; nothing is stored then.
    """
    catalogue = Catalogue.gather(registry, store)
    catalogue.check_name(name, model)
    if isinstance(files, Path):
        files = {"": files}
    found = files if isinstance(files, Found) else Found(files)
    for path in found.files.values():
        check_recordable(path)
    asked = Asked(values, domains)
    checkpoint = read_files(found.files)
    model_name, official = _recognise(registry, checkpoint, model)
    catalogue.check_name(name, model_name)
    model_class = registry.model_class(model_name)
    refuse_empty(
        {key: shape for key, shape in checkpoint.shapes.items() if isinstance(rename(official.keys, key), str)}
    )
    with understood(checkpoint.title):
        inferred, beside = infer(official, model_class.Config, checkpoint, asked)
        tensors = official.repair(dict(checkpoint.tensors))
    config = inferred.config
    keys = map_keys(official.keys, tensors)
    keys = replace(keys, filled=tuple(key for key in keys.used if key not in checkpoint.tensors))
    wanted = kept_tensors(model_class, config)
    shapes = {target: tuple(tensors[key].shape) for key, target in keys.used.items()}
    try:
        check_shapes(
            shapes, {key: shape for key, (shape, _) in wanted.items()}, checkpoint.title, fix=_misfit(checkpoint)
        )
    except CheckpointError as error:
        raise contradiction(asked.values, error) from error
    types = {key: (target, wanted[target][1]) for key, target in keys.used.items()}
    ours, converted = as_weights(tensors, checkpoint.tensors, types)
    draft = WeightsDraft(
        name=name,
        model=model_name,
        summary=f"a checkpoint in the layout of {official.source}",
        config=config.model_dump(mode="json"),
        licence=official.licence,
        provenance=Imported(
            source=official.source,
            files=_hashed(checkpoint),
            beside=beside,
            dropped=dict(keys.dropped),
            settled=inferred.settled,
        ),
        plugin=registry.sources[model_name].label,
    )
    card = store.add(_separate(ours), draft)
    return ImportReport(
        card, config, keys, converted, inferred.settled, (*found.remarks, *inferred.remarks), checkpoint.records()
    )


def kept_tensors(model_class: type[Model[Record]], config: Record) -> dict[str, tuple[tuple[int, ...], dtype]]:
    """Shape and type of every tensor that the model keeps; no memory is taken for it, whatever sizes a file claims."""
    import torch  # noqa: PLC0415 - heavy

    with torch.device("meta"):
        model = model_class(config)
    states = {name: network.state_dict() for name, network in model.networks.items()}
    return {
        f"{name}.{key}": (tuple(tensor.shape), tensor.dtype)
        for name, state in states.items()
        for key, tensor in state.items()
    }


def _misfit(checkpoint: CheckpointSet) -> str:
    if len(checkpoint.files) == 1:
        return "the file is incomplete, or of another release of the paper"
    return "import the files of one training; a file is of another size, incomplete, or of another release of the paper"


def _hashed(checkpoint: CheckpointSet) -> tuple[ImportedFile, ...]:
    """The files, by the hashes of the bytes that the tensors were read from."""
    files = checkpoint.files.items()
    return tuple(ImportedFile(name=file.path.name, prefix=prefix, sha256=file.sha256) for prefix, file in files)


def map_keys(rules: KeyMap, tensors: Mapping[str, Tensor]) -> KeyReport:
    """Send every official key through the rules, first match first.

    Raises CheckpointError when a key matches no rule, or two keys become one.
    """
    used: dict[str, str] = {}
    dropped: dict[str, str] = {}
    unknown: list[str] = []
    for key in tensors:
        match rename(rules, key):
            case None:
                unknown.append(key)
            case Drop(reason):
                dropped[key] = reason
            case str(target):
                used[key] = target
    if unknown:
        raise CheckpointError(
            found=some("no rule for", unknown),
            expected="every tensor of the checkpoint to be known to the plugin's key map",
            fix="the file holds more than a release of this paper does; report it with `i2i-registry inspect`",
        )
    targets = list(used.values())
    twice = {target for target in targets if targets.count(target) > 1}
    if twice:
        raise CheckpointError(some("two tensors would become one", twice), expected="one source for each of ours")
    return KeyReport(used, dropped)


def rename(rules: KeyMap, key: str) -> str | Drop | None:
    """Our name of an official key, a `Drop`, or None when no rule matches the whole key."""
    for pattern, target in rules:
        match = re.fullmatch(pattern, key)
        if match:
            return target if isinstance(target, Drop) else match.expand(target)
    return None


def _recognise(registry: Registry, checkpoint: CheckpointSet, wanted: str | None) -> tuple[str, OfficialFormat]:
    """The one model that knows the checkpoint. The named one is asked first; the others say what it is instead."""
    if wanted is not None:
        official = registry.model_class(wanted).official
        if official is None:
            raise CheckpointError(f"{wanted} imports no official checkpoints", expected="a model that does")
        if may_know(official, checkpoint.shapes):
            return wanted, official
    knowing = _knowing(registry, checkpoint)
    if wanted is not None:
        what = " and ".join(name for name, _ in knowing) or "no installed model"
        raise CheckpointError(
            found=f"{checkpoint.title} is no checkpoint of {wanted}; it is one of {what}",
            expected=_expectation(registry.model_class(wanted).official),
            fix=_command(knowing[0][0], checkpoint) if knowing else _look(checkpoint),
        )
    if len(knowing) == 1:
        return knowing[0]
    if knowing:
        names = ", ".join(name for name, _ in knowing)
        fix = f"say which: {_command(knowing[0][0], checkpoint)}"
        raise CheckpointError(f"{checkpoint.title} fits several models: {names}", expected="one", fix=fix)
    odd = odd_shapes(checkpoint.shapes)
    raise CheckpointError(
        found=f"{checkpoint.title} fits no installed model; it begins {_keys_in_words(checkpoint.shapes)}"
        + (f"; {odd}" if odd else ""),
        expected="an official checkpoint of " + (", ".join(sorted(registry.models)) or "an installed plugin"),
        fix=f"pip install the paper's plugin; {_look(checkpoint)}",
    )


def _knowing(registry: Registry, checkpoint: CheckpointSet) -> list[tuple[str, OfficialFormat]]:
    """The models that the clues allow, and of these the ones that know the tensors for their own, if there are any."""
    shapes = checkpoint.shapes
    possible = [each for each in _formats(registry) if may_know(each[1], shapes)]
    if len(possible) > 1:
        names = tuple(dict.fromkeys(name for _, official in possible for name in official.option_files))
        clues = gather(checkpoint, names, {})
        possible = [each for each in possible if each[1].fits(clues)] or possible
    return [each for each in possible if knows(each[1], shapes)] or possible


def _formats(registry: Registry) -> list[tuple[str, OfficialFormat]]:
    """The formats of all models that load; one that does not must not stand in the way of the others."""
    found: list[tuple[str, OfficialFormat]] = []
    for name in registry.models:
        try:
            official = registry.model_class(name).official
        except PluginError:
            continue
        if official is not None:
            found.append((name, official))
    return found


def _expectation(official: OfficialFormat | None) -> str:
    return f"a checkpoint of {official.source}" if official else ""


def _command(model: str, checkpoint: CheckpointSet) -> str:
    files = checkpoint.title if len(checkpoint.files) == 1 else "..."
    return f"i2i-registry import {model} {files} --as ..."


def _look(checkpoint: CheckpointSet) -> str:
    first, *others = checkpoint.files.values()
    if not others:
        return f"see what it holds: i2i-registry inspect {first.path}"
    return f"see what each file holds (i2i-registry inspect {first.path}), and say it: G=FILE E=FILE"


def _keys_in_words(shapes: Shapes) -> str:
    if not shapes:
        return "with no tensor at all"
    return "with " + ", ".join(map(printable, sorted(shapes)[:_SHOWN_KEYS]))


def _separate(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors that share no memory, which safetensors refuses."""
    seen: set[int] = set()
    result: dict[str, Tensor] = {}
    for key, tensor in tensors.items():
        address = tensor.untyped_storage().data_ptr()
        result[key] = tensor.clone() if address in seen else tensor
        seen.add(address)
    return result
