"""A checkpoint of an official implementation becomes ours: recognised, renamed key by key, compared, stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from i2i_registry.checkpoints.tensor_files import check_shapes, some
from i2i_registry.errors import CheckpointError
from i2i_registry.importing.config_inference import Asked, contradiction, infer, understood
from i2i_registry.importing.detection import Recognised, recognise
from i2i_registry.importing.files import CheckpointSet, Found, read_files
from i2i_registry.importing.validation import as_weights, refuse_empty
from i2i_registry.interfaces.cards import Imported, ImportedFile, Settled, WeightsCard, WeightsDraft
from i2i_registry.interfaces.declarations import check_declarations
from i2i_registry.interfaces.model import Drop, KeyMap, Model, rename
from i2i_registry.output_paths import check_recordable
from i2i_registry.plugins.discovery import Registry
from i2i_registry.weights.catalogue import Catalogue
from i2i_registry.weights.store import Store
from i2i_runtime.schema.operations import Record

if TYPE_CHECKING:
    from torch import Tensor, dtype


@dataclass(frozen=True, slots=True)
class KeyReport:
    """What became of every tensor of a checkpoint."""

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
    network: str | None = None,
) -> ImportReport:
    """Read a checkpoint in the layout of an official release, executing nothing, and store its weights as `name`.

    `files` is one file, prefix -> file, or what `find` finds in places. `model` says which paper it should be; without
    it, all installed ones are asked. `domains` names the domains, for papers whose Config has them; `values` sets
    fields of the Config that tensors do not show, each "key=value". `network` says where in the files it lies, if they
    hold several.

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
    known = recognise(registry, read_files(found.files), model, network)
    catalogue.check_name(name, known.model)
    model_class = registry.model_class(known.model)
    refuse_empty(_mapped(known))
    with understood(known.checkpoint.title):
        inferred, beside = infer(known.official, model_class.Config, known.checkpoint, asked)
        tensors = known.official.repair(dict(known.checkpoint.tensors))
    keys = _account(known, tensors)
    wanted = kept_tensors(model_class, inferred.config)
    try:
        _check_fits(known.checkpoint, {target: tensors[key] for key, target in keys.used.items()}, wanted)
    except CheckpointError as error:
        raise contradiction(asked.values, error) from error
    types = {key: (target, wanted[target][1]) for key, target in keys.used.items()}
    ours, converted = as_weights(tensors, known.checkpoint.tensors, types)
    draft = WeightsDraft(
        name=name,
        model=known.model,
        summary=f"a checkpoint in the layout of {known.official.source}",
        config=inferred.config.model_dump(mode="json"),
        licence=known.official.licence,
        provenance=Imported(
            source=known.official.source,
            files=_hashed(known.checkpoint),
            beside=beside,
            dropped=dict(keys.dropped),
            settled=inferred.settled,
        ),
        plugin=registry.sources[known.model].label,
    )
    remarks = (*found.remarks, *known.remarks, *inferred.remarks)
    card = store.add(ours, draft)
    records = known.checkpoint.records()
    return ImportReport(card, inferred.config, keys, converted, inferred.settled, remarks, records)


def _mapped(known: Recognised) -> dict[str, tuple[int, ...]]:
    """The shapes of the tensors that become ours."""
    shapes = known.checkpoint.shapes
    return {key: shape for key, shape in shapes.items() if isinstance(rename(known.official.keys, key), str)}


def _account(known: Recognised, tensors: Mapping[str, Tensor]) -> KeyReport:
    """What becomes of every tensor, those that a wrapper left out and those that the plugin filled in among them."""
    keys = map_keys(known.official.keys, tensors)
    filled = tuple(key for key in keys.used if key not in known.checkpoint.tensors)
    return KeyReport(keys.used, {**keys.dropped, **known.left_out}, filled)


def _check_fits(
    checkpoint: CheckpointSet, ours: Mapping[str, Tensor], wanted: Mapping[str, tuple[tuple[int, ...], dtype]]
) -> None:
    shapes = {target: tuple(tensor.shape) for target, tensor in ours.items()}
    check_shapes(shapes, {key: shape for key, (shape, _) in wanted.items()}, checkpoint.title, fix=_misfit(checkpoint))


def kept_tensors(model_class: type[Model[Record]], config: Record) -> dict[str, tuple[tuple[int, ...], dtype]]:
    """Shape and type of every tensor that the model keeps; no memory is taken for it, whatever sizes a file claims.

    Raises OptionError for a Config of which no export could be made.
    """
    import torch  # noqa: PLC0415 - heavy

    with torch.device("meta"):
        model = model_class(config)
        check_declarations(model)
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
    twice = [target for target, count in Counter(used.values()).items() if count > 1]
    if twice:
        raise CheckpointError(some("two tensors would become one", twice), expected="one source for each of ours")
    return KeyReport(used, dropped)
