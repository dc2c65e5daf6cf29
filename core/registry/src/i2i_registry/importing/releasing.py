"""Weights of ours become a checkpoint that the official implementation reads: its names, its files, its nesting.

What was written is imported again before it appears: the same tensors, bit for bit, and the same Config.
"""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from i2i_registry.checkpoints.tensor_files import some, write_tensors
from i2i_registry.errors import ExportError, StoreError
from i2i_registry.importing.config_inference import DOMAINS, Asked
from i2i_registry.importing.detection import recognise_checkpoint
from i2i_registry.importing.files import SUFFIXES, find_checkpoint, read_checkpoint_files
from i2i_registry.importing.importer import ConvertedCheckpoint, convert_checkpoint
from i2i_registry.importing.naming import official_names
from i2i_registry.interfaces.cards import WeightsCard
from i2i_registry.interfaces.config_values import as_texts
from i2i_registry.interfaces.official import OfficialFile, OfficialFormat
from i2i_registry.output_paths import check_new
from i2i_registry.plugins.discovery import Registry
from i2i_registry.weights.catalogue import Catalogue
from i2i_registry.weights.loading import open_card, tensors_of
from i2i_registry.weights.store import Store
from i2i_runtime.errors import UsageError
from i2i_runtime.files.atomic import atomic_folder, atomic_write
from i2i_runtime.records import Record

if TYPE_CHECKING:
    from torch import Tensor

    from i2i_registry.interfaces.model import Model

C = TypeVar("C", bound=Record)

SAFETENSORS = ".safetensors"


@dataclass(frozen=True, slots=True)
class OfficialExport:
    """A checkpoint in the form of a release."""

    card: WeightsCard
    source: str
    """the release: "owner/name" """
    place: Path
    files: tuple[str, ...]
    """what lies in the folder `place`; empty where that is one file"""
    asked: Asked
    """what an import has to be told, to get the same Config"""
    also_needed: str
    """what the release's own scripts read beside, for people"""
    untold: tuple[str, ...] = ()
    """fields of the Config that have no effect at this Config, and that the files do not tell"""

    @property
    def command(self) -> str:
        """The command that imports it again, as the same weights."""
        words = ["i2i-registry", "import", self.card.model, str(self.place), "--as", "NAME"]
        words += [word for text in self.asked.values for word in ("--set", text)]
        return shlex.join([*words, *(("--domains", ",".join(self.asked.domains)) if self.asked.domains else ())])


def export_official(registry: Registry, store: Store, reference: str, out: Path | None = None) -> OfficialExport:
    """Write the weights that `reference` means as the files of the official implementation.

    `out` is a new folder, by default NAME-official in the current one; or a file, by its suffix, which may be
    .safetensors for any model, and any other where the release writes one file.

    Raises UsageError where the model has no official format, or `out` exists or cannot be that, UnknownName, and
    ExportError when an import of what was written does not give the same weights; nothing is left at `out` then.
    """
    catalogue = Catalogue.gather(registry, store)
    card = catalogue.find(reference)
    official = _format_of(registry, card)
    out = out or Path(f"{reference.replace('@', '-')}-official")
    check_new(out)
    model = open_card(catalogue, card)
    files = official.files(model.config)
    _check_form(out, card, files)
    with _writing(out) as partial:
        _write(partial, out.suffix.lower(), files, official_tensors(official, model))
        asked, untold = _check_identity(registry, card.model, model, partial)
    names = () if out.suffix.lower() in SUFFIXES else tuple(file.name for file in files)
    return OfficialExport(card, official.source, out, names, asked, official.also_needed, untold)


def official_tensors(official: OfficialFormat[C], model: Model[C]) -> dict[str, Tensor]:
    """All tensors of a model under their official names, with what the release's own code reads beside."""
    ours = tensors_of(model)
    names = official_names(official, model.config, ours)
    return official.complete({names[key]: tensor for key, tensor in ours.items()}, model.config)


def official_contents(files: Sequence[OfficialFile], tensors: Mapping[str, Tensor]) -> dict[str, object]:
    """Return what the release has in each of its files.

    Name of the file -> dictionaries or a list, as they are pickled.
    """
    inside: dict[str, dict[str, Tensor]] = {file.name: {} for file in files}
    prefixes = {file.prefix: file for file in files}
    for name, tensor in tensors.items():
        file, key = _place(prefixes, name)
        inside[file.name][key] = tensor
    return {file.name: _FORMS[file.form](inside[file.name]) for file in files}


def _place(prefixes: Mapping[str, OfficialFile], name: str) -> tuple[OfficialFile, str]:
    """Return the file of a tensor, by the longest prefix that its name begins with, and its name in it."""
    prefix = name
    while prefix and prefix not in prefixes:
        prefix = prefix.rpartition(".")[0]
    return prefixes[prefix], name[len(prefix) :].removeprefix(".")


def _networks(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    networks: dict[str, dict[str, Tensor]] = defaultdict(dict)
    for name, tensor in tensors.items():
        network, _, key = name.partition(".")
        networks[network][key] = tensor
    return dict(networks)


def _list(tensors: Mapping[str, Tensor]) -> list[Tensor | int]:
    return [tensors.get(str(number), 1) for number in range(1 + max(map(int, tensors)))]


_FORMS = {"tensors": dict[str, "Tensor"], "networks": _networks, "list": _list}


def _format_of(registry: Registry, card: WeightsCard) -> OfficialFormat[Record]:
    official = registry.official_format(card.model)
    if official is None:
        having = [name for name, model in sorted(registry.models.items()) if model.official]
        raise UsageError(
            found=f"{card.model} has no official checkpoint format",
            expected=f"weights of {', '.join(having)}" if having else "a model that has one",
            fix=f"i2i-registry export {card.name} --onnx, or `i2i-registry info {card.name}` for the file itself",
        )
    return official


def _check_form(out: Path, card: WeightsCard, files: Sequence[OfficialFile]) -> None:
    """Raise UsageError where one file was asked for and the release writes several."""
    suffix = out.suffix.lower()
    if suffix in SUFFIXES - {SAFETENSORS} and len(files) > 1:
        raise UsageError(
            found=f"-o {out} is one file, and {card.model} is {len(files)}: {', '.join(file.name for file in files)}",
            expected="a folder for them, or one file of safetensors",
            fix=f"-o {out.with_suffix('')}, or -o {out.with_suffix(SAFETENSORS)}",
        )


@contextmanager
def _writing(out: Path) -> Generator[Path]:
    try:
        with (atomic_write if out.suffix.lower() in SUFFIXES else atomic_folder)(out) as partial:
            yield partial
    except OSError as error:
        raise StoreError(
            found=f"{out} could not be written: {error.strerror or error}",
            expected="a writable folder with room for the weights",
            fix="free some space or choose another place with -o; nothing was left behind",
        ) from error


def _write(place: Path, suffix: str, files: Sequence[OfficialFile], tensors: Mapping[str, Tensor]) -> None:
    """Write one file of this suffix, or without one a folder of all."""
    import torch  # noqa: PLC0415 - heavy

    if suffix == SAFETENSORS:
        alone = f"{files[0].prefix}." if len(files) == 1 else ""
        write_tensors({name.removeprefix(alone): tensor for name, tensor in tensors.items()}, place)
        return
    for name, content in official_contents(files, tensors).items():
        file = place if suffix in SUFFIXES else place / name
        file.parent.mkdir(exist_ok=True)
        torch.save(content, file)


def _check_identity(registry: Registry, name: str, model: Model[Record], place: Path) -> tuple[Asked, tuple[str, ...]]:
    """Import what was written. Returns what the files do not tell: what a user has to say, and what has no effect.

    Raises ExportError when a tensor or a field is another then.
    """
    known = recognise_checkpoint(registry, read_checkpoint_files(find_checkpoint([str(place)]).files), name, None)
    asked = _untold(convert_checkpoint(registry, known, Asked()), model.config)
    made = convert_checkpoint(registry, known, asked)
    changed = _changed(made.inferred.config, model.config)
    # What tensors do not show and no format settles is read by nothing that this Config has.
    settled = {each.field for each in made.inferred.settled}
    different = [key for key, tensor in tensors_of(model).items() if not tensor.equal(made.tensors[key])]
    different += [name for name in changed if name in settled]
    if different:
        raise ExportError(
            found=some("not the same after export and import", different),
            expected="the weights that were exported",
            fix="this is a fault of the plugin's official format: please report it",
        )
    return asked, tuple(changed)


def _untold(made: ConvertedCheckpoint, config: Record) -> Asked:
    """Return what differs from a Config among the fields that can be set."""
    settled = {each.field for each in made.inferred.settled}
    changed = [name for name in _changed(made.inferred.config, config) if name in settled]
    names: tuple[str, ...] = getattr(config, DOMAINS) if DOMAINS in changed else ()
    return Asked(as_texts(config, [name for name in changed if name != DOMAINS]), names)


def _changed(found: Record, config: Record) -> list[str]:
    return [name for name in type(config).model_fields if getattr(found, name) != getattr(config, name)]
