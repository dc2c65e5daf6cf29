"""A checkpoint of an official implementation becomes ours: recognised, renamed key by key, compared, stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from i2i_registry.checkpoints.tensor_files import check_shapes
from i2i_registry.errors import CheckpointError
from i2i_registry.importing.config_inference import Asked, infer_from, misfit_of_settings, understood
from i2i_registry.importing.detection import RecognisedCheckpoint, recognise_checkpoint
from i2i_registry.importing.files import CheckpointSet, FoundFiles, read_checkpoint_files
from i2i_registry.importing.naming import (
    KeyReport,
    NamedTensors,
    map_names,
    name_tensors,
    official_names,
    reason_to_leave_out,
    repair,
)
from i2i_registry.importing.validation import as_weights, refuse_empty
from i2i_registry.interfaces.cards import (
    Imported,
    ImportedFile,
    Settled,
    WeightsCard,
    WeightsDraft,
    check_recordable,
)
from i2i_registry.interfaces.model import Model
from i2i_registry.interfaces.official import InferredConfig, OfficialFormat
from i2i_registry.interfaces.resolved_graphs import check_declarations
from i2i_registry.plugins.discovery import Registry
from i2i_registry.weights.catalogue import Catalogue
from i2i_registry.weights.store import Store
from i2i_runtime.records import Record

if TYPE_CHECKING:
    from torch import Tensor, dtype


@dataclass(frozen=True, slots=True)
class ConvertedCheckpoint:
    """What a checkpoint is, and its tensors as weights of ours."""

    known: RecognisedCheckpoint
    inferred: InferredConfig[Record]
    beside: tuple[ImportedFile, ...]
    """the option files that were read"""
    keys: KeyReport
    tensors: Mapping[str, Tensor]
    """under our names"""
    types: Mapping[str, str]
    """official key -> what was converted: "float16 to float32" """


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
    files: Path | Mapping[str, Path] | FoundFiles,
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
    found = files if isinstance(files, FoundFiles) else FoundFiles(files)
    for path in found.files.values():
        check_recordable(path)
    known = recognise_checkpoint(registry, read_checkpoint_files(found.files), model, network)
    catalogue.check_name(name, known.model)
    made = convert_checkpoint(registry, known, Asked(values, domains))
    draft = WeightsDraft(
        name=name,
        model=known.model,
        summary=f"a checkpoint in the layout of {known.official.source}",
        config=made.inferred.config.model_dump(mode="json"),
        licence=known.official.licence,
        provenance=Imported(
            source=known.official.source,
            files=_hashed(known.checkpoint),
            beside=made.beside,
            dropped=dict(made.keys.dropped),
            settled=made.inferred.settled,
        ),
        plugin=registry.sources[known.model].label,
    )
    card = store.add(made.tensors, draft)
    return ImportReport(
        card,
        made.inferred.config,
        made.keys,
        made.types,
        made.inferred.settled,
        remarks=(*found.remarks, *known.remarks, *made.inferred.remarks),
        records=known.checkpoint.records(),
    )


def convert_checkpoint(registry: Registry, known: RecognisedCheckpoint, asked: Asked) -> ConvertedCheckpoint:
    """Read the Config off a checkpoint that was recognised, and give its tensors our names.

    Raises OptionError or UsageError when what the user says does not fit, CheckpointError when the tensors do not map
    name for name, do not fit together, or are no weights.
    """
    official, checkpoint = known.official, known.checkpoint
    model_class = registry.model_class(known.model)
    named = name_tensors(official, checkpoint.tensors)
    refuse_empty(_kept_shapes(official, named))
    with understood(checkpoint.title):
        inferred, beside = infer_from(official, model_class.Config, checkpoint, named.shapes, asked)
    wanted = kept_tensors(model_class, inferred.config)
    names = official_names(official, inferred.config, wanted)
    repaired = repair(official, named, {names[key]: shape for key, (shape, _) in wanted.items()})
    keys = map_names(official, named, repaired, names)
    keys = replace(keys, dropped={**keys.dropped, **known.left_out})
    tensors = {named.in_files.get(name, name): tensor for name, tensor in repaired.items()}
    try:
        _check_fits(checkpoint, {target: tensors[key] for key, target in keys.used.items()}, wanted)
    except CheckpointError as error:
        raise misfit_of_settings(asked.values, error) from error
    types = {key: (target, wanted[target][1]) for key, target in keys.used.items()}
    ours, converted = as_weights(tensors, checkpoint.tensors, types)
    return ConvertedCheckpoint(known, inferred, beside, keys, ours, converted)


def _kept_shapes(official: OfficialFormat[Record], named: NamedTensors) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the tensors that are not left out, under the names that the files have."""
    kept = named.shapes.items()
    return {named.in_files[name]: s for name, s in kept if reason_to_leave_out(official.left_out, name) is None}


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
    """Return the files, by the hashes of the bytes that the tensors were read from."""
    files = checkpoint.files.items()
    return tuple(ImportedFile(name=file.path.name, prefix=prefix, sha256=file.sha256) for prefix, file in files)
