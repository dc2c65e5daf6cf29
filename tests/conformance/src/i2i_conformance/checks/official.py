"""Official checkpoints are recognised, mapped completely, refused when anything is odd about them, and written."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from i2i_conformance.building import build, state, stirred
from i2i_conformance.cases import ModelCase, PresetCase
from i2i_conformance.errors import ConformanceError
from i2i_conformance.promises import promised
from i2i_registry.checkpoints.tensor_files import read_tensors
from i2i_registry.errors import CheckpointError, PluginError
from i2i_registry.importing.files import find_checkpoint
from i2i_registry.importing.importer import import_checkpoint
from i2i_registry.importing.releasing import OfficialExport, export_official, official_tensors
from i2i_registry.interfaces.cards import Trained, WeightsDraft
from i2i_registry.interfaces.model import Model
from i2i_registry.interfaces.official import OfficialFormat, TensorShapes
from i2i_registry.plugins.discovery import Registry
from i2i_registry.weights.loading import build_model, load_into, tensors_of
from i2i_registry.weights.store import Store
from i2i_runtime.records import Record

Tensors = dict[str, Tensor]
Damage = Callable[[Tensors, str], str]
"""changes the tensors around the named key, and returns a word that the error has to contain"""
Format = OfficialFormat[Record]


@cache
def _checkpoint(model_class: type[Model[Record]], official: Format, preset: str) -> Mapping[str, Tensor]:
    config = model_class.shrunk(model_class.presets[preset])
    try:
        return official_tensors(official, stirred(build(model_class, config)))
    except PluginError as error:
        raise ConformanceError(error.found, error.expected, error.fix) from error


def checkpoint_of(case: PresetCase, official: Format) -> Tensors:
    """The tensors of this preset under their official names."""
    return dict(_checkpoint(case.model.model_class, official, case.preset))


def shapes_of(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """Name -> shape."""
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


@promised("OfficialFormat.detect")
def check_recognition(case: PresetCase, official: Format, others: Mapping[str, TensorShapes]) -> None:
    """`detect` knows the checkpoint of this preset, and none of the `others` (what it is -> its shapes)."""
    shapes = shapes_of(checkpoint_of(case, official))
    if not official.detect(shapes) and not official.may_be(shapes):
        raise ConformanceError(
            found=f"neither detect() nor may_be() recognises the tensors of {case} under their official names",
            expected="True for every checkpoint of this format",
            fix="look for keys that all of them have",
        )
    card = case.model.card.official
    if card is None or not any(mark in name for name in shapes for mark in card.marks):
        raise ConformanceError(
            found=f"no tensor of {case} has a name with one of the card's marks in it",
            expected="in every checkpoint of the format at least one",
            fix="add a part of a name that they have to `official.marks` on the card",
        )
    for name, external in others.items():
        if official.detect(external):
            raise ConformanceError(
                found=f"detect() of {case.model} takes {name} for its own",
                expected="False",
                fix="look for keys that only this format has",
            )


@promised("OfficialFormat.infer_config")
def check_inferred_config(case: PresetCase, official: Format) -> None:
    """`infer` gives a Config whose model has this preset's tensors (sizes that no tensor shows may differ)."""
    inferred = official.infer_config(shapes_of(checkpoint_of(case, official)))
    expected = {name: tuple(tensor.shape) for name, tensor in state(case.build().networks).items()}
    with torch.device("meta"):
        model = case.model.model_class(inferred)
    found = {name: tuple(tensor.shape) for name, tensor in state(model.networks).items()}
    if found != expected:
        different = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
        raise ConformanceError(
            found=f"infer() of {case} gives {inferred!r}, whose {different[0]} is {found.get(different[0])}",
            expected=f"{expected.get(different[0])}, as with {case.config!r}",
            fix="read the size from the shape of a tensor that shows it",
        )


@promised("OfficialFormat.table")
def check_total_map(case: PresetCase, official: Format, folder: Path) -> None:
    """A checkpoint file of this preset is imported: every tensor of ours is filled, with the official values."""
    tensors = random_checkpoint(shapes_of(checkpoint_of(case, official)))
    store = Store(folder / "store")
    report = import_checkpoint(case.model.registry, store, _write(tensors, folder), "imported", model=case.model.name)
    if set(report.keys.used) | set(report.keys.dropped) != set(tensors):
        raise ConformanceError("the import does not account for every key", expected="used or dropped, each of them")
    model = build_model(case.model.registry, report.card)
    load_into(model, store.path_of(report.card))
    ours, used = state(model.networks), report.keys.used
    wrong = [key for key, target in used.items() if not torch.equal(ours[target], tensors[key].to(ours[target].dtype))]
    if wrong:
        raise ConformanceError(f"{wrong[0]} did not arrive in {used[wrong[0]]}", expected="its values")


@promised("OfficialFormat.table")
def check_round_trip(case: PresetCase, folder: Path) -> None:
    """Exported in the official form, read as the official code reads it, and imported again, the weights are the same.

    The Config too, but for fields that have no effect, with what the export says that an import has to be told.
    """
    registry, store = case.model.registry, Store(folder / "store")
    model = stirred(case.build())
    card = store.add(tensors_of(model), _draft(case, registry))
    for place in (folder / "official", folder / "official.safetensors"):
        report = export_official(registry, store, card.reference, place)
        _check_read_by_torch(report)
        asked, found, name = report.asked, find_checkpoint([str(place)]), case.model.name
        again = import_checkpoint(
            registry, store, found, "again", model=name, values=asked.values, domains=asked.domains
        )
        config = again.config.model_dump() | {name: getattr(case.config, name) for name in report.untold}
        ours, theirs = read_tensors(store.path_of(card)), read_tensors(store.path_of(again.card))
        same = ours.keys() == theirs.keys() and all(torch.equal(tensor, theirs[key]) for key, tensor in ours.items())
        if not same or config != case.config.model_dump():
            raise ConformanceError(
                found=f"{case} is not the same after `export --official` and `{report.command}`",
                expected="the same tensors, bit for bit, and the same Config",
                fix="look at table(), complete() and repair() of the format: each has to undo the other",
            )


def _draft(case: PresetCase, registry: Registry) -> WeightsDraft:
    return WeightsDraft(
        name="own",
        model=case.model.name,
        config=case.config.model_dump(mode="json"),
        licence=case.model.card.licence,
        provenance=Trained(data="nothing", command="", seed=0, steps=0),
        plugin=registry.sources[case.model.name].label,
    )


def _check_read_by_torch(report: OfficialExport) -> None:
    """Each file of a release is plain containers and tensors."""
    for name in report.files:
        torch.load(report.place / name, weights_only=True)  # noqa: TID251 - written by this check, read as releases do


@promised("OfficialFormat.table")
def check_refuses_damage(case: PresetCase, official: Format, folder: Path) -> None:
    """A missing, an unknown and a transposed tensor are each an error that names the tensor; nothing is stored."""
    for number, damage in enumerate((_remove, _add, _transpose)):
        tensors = random_checkpoint(shapes_of(checkpoint_of(case, official)))
        victim = _victim(official, tensors, lopsided=damage is _transpose)
        if victim is None:
            continue  # every single tensor is needed to recognise the file, or none is lopsided
        word = damage(tensors, victim)
        place = folder / str(number)
        place.mkdir()
        _check_refused(case, tensors, place, what=damage.__name__.strip("_"), word=word)


def _check_refused(case: PresetCase, tensors: Tensors, folder: Path, *, what: str, word: str) -> None:
    store = Store(folder / "store")
    try:
        import_checkpoint(case.model.registry, store, _write(tensors, folder), "damaged", model=case.model.name)
    except CheckpointError as error:
        if word in str(error) and not store.cards():
            return
        raise ConformanceError(
            found=f"a checkpoint damaged by {what}() is refused with: {error}",
            expected=f"a message that names {word!r}, and nothing in the store",
            fix="leave missing and misshapen tensors to the import, which names them",
        ) from error
    raise ConformanceError(
        found=f"a checkpoint damaged by {what}() at {word!r} is imported",
        expected="CheckpointError",
        fix="make every key an entry of `keys`, without patterns that match anything",
    )


def external_shapes(registry: Registry, own: ModelCase) -> dict[str, TensorShapes]:
    """What a format must not take for its own: nothing, our own weights, and every other plugin's checkpoints."""
    shapes: dict[str, TensorShapes] = {"an empty file": {}, "another network": {"conv.weight": (8, 3, 3, 3)}}
    for preset in own.presets:
        shapes[f"our own weights of {preset}"] = {n: tuple(t.shape) for n, t in state(preset.build().networks).items()}
    for name in registry.models:
        other, official = ModelCase(registry, name), registry.official_format(name)
        if name != own.name and official is not None:
            presets = other.presets
            shapes |= {f"a checkpoint of {preset}": shapes_of(checkpoint_of(preset, official)) for preset in presets}
    return shapes


def random_checkpoint(shapes: TensorShapes) -> Tensors:
    """Random values in these shapes, none of them equal."""
    generator = torch.Generator().manual_seed(0)
    return {key: torch.randn(shape, generator=generator) for key, shape in shapes.items()}


def _write(tensors: Tensors, folder: Path) -> Path:
    file = folder / "official.pth"
    torch.save(tensors, file)
    return file


def _victim(official: Format, tensors: Tensors, *, lopsided: bool) -> str | None:
    """A tensor of ours without which the checkpoint is still recognised; `lopsided`: of a new shape when transposed."""
    shapes = {key: tuple(tensor.shape) for key, tensor in tensors.items()}
    needed = official.canonical(shapes.keys())
    for key, shape in reversed(shapes.items()):
        is_ours = not any(re.fullmatch(pattern, key) for pattern, _ in official.left_out) and key not in needed
        fits = not lopsided or (len(shape) > 1 and shape[0] != shape[1])
        if is_ours and fits and official.detect({k: s for k, s in shapes.items() if k != key}):
            return key
    return None


def _remove(tensors: Tensors, key: str) -> str:
    del tensors[key]
    return "missing"


def _add(tensors: Tensors, key: str) -> str:
    tensors["surprise.weight"] = tensors[key].clone()
    return "surprise.weight"


def _transpose(tensors: Tensors, key: str) -> str:
    tensors[key] = tensors[key].transpose(0, 1).contiguous()
    return str(tuple(tensors[key].shape))
