"""Official checkpoints are recognised, mapped completely, and refused when anything is odd about them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from i2i_conformance.building import state
from i2i_conformance.cases import ModelCase, PresetCase
from i2i_conformance.errors import ConformanceError
from i2i_registry.errors import CheckpointError
from i2i_registry.importing.importer import import_checkpoint
from i2i_registry.interfaces.model import OfficialFormat, Shapes, rename
from i2i_registry.plugins.discovery import Registry
from i2i_registry.weights.loading import build_model, load_into
from i2i_registry.weights.store import Store

Tensors = dict[str, Tensor]
Damage = Callable[[Tensors, str], str]
"""changes the tensors around the named key, and returns a word that the error has to contain"""


def check_recognition(case: PresetCase, official: OfficialFormat, others: Mapping[str, Shapes]) -> None:
    """`detect` knows the checkpoint of this preset, and none of the `others` (what it is -> its shapes)."""
    if not official.detect(official.example(case.config)):
        raise ConformanceError(
            found=f"detect() does not recognise example() of {case}",
            expected="True for every checkpoint of this format",
            fix="look for keys that all of them have",
        )
    for name, shapes in others.items():
        if official.detect(shapes):
            raise ConformanceError(
                found=f"detect() of {case.model} takes {name} for its own",
                expected="False",
                fix="look for keys that only this format has",
            )


def check_inferred_config(case: PresetCase, official: OfficialFormat) -> None:
    """`infer_config` gives a Config whose model has this preset's tensors (sizes that no tensor shows may differ)."""
    inferred = official.infer_config(official.example(case.config))
    expected = {name: tuple(tensor.shape) for name, tensor in state(case.build().networks).items()}
    with torch.device("meta"):
        model = case.model.model_class(inferred)
    found = {name: tuple(tensor.shape) for name, tensor in state(model.networks).items()}
    if found != expected:
        different = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
        raise ConformanceError(
            found=f"infer_config() of {case} gives {inferred!r}, whose {different[0]} is {found.get(different[0])}",
            expected=f"{expected.get(different[0])}, as with {case.config!r}",
            fix="read the size from the shape of a tensor that shows it",
        )


def check_total_map(case: PresetCase, official: OfficialFormat, folder: Path) -> None:
    """A checkpoint file of this preset is imported: every tensor of ours is filled, with the official values."""
    tensors = random_checkpoint(official.example(case.config))
    store = Store(folder / "store")
    report = import_checkpoint(case.model.registry, store, _write(tensors, folder), "imported", model=case.model.name)
    if set(report.keys.used) | set(report.keys.dropped) != set(tensors):
        raise ConformanceError("the import does not account for every key", expected="used or dropped, each of them")
    model = build_model(case.model.registry, report.card)
    load_into(model, store.path_of(report.card))
    repaired, ours = official.repair(dict(tensors)), state(model.networks)
    wrong = [key for key, target in report.keys.used.items() if not torch.equal(ours[target], repaired[key])]
    if wrong:
        raise ConformanceError(f"{wrong[0]} did not arrive in {report.keys.used[wrong[0]]}", expected="its values")


def check_refuses_damage(case: PresetCase, official: OfficialFormat, folder: Path) -> None:
    """A missing, an unknown and a transposed tensor are each an error that names the tensor; nothing is stored."""
    for number, damage in enumerate((_remove, _add, _transpose)):
        tensors = random_checkpoint(official.example(case.config))
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


def external_shapes(registry: Registry, own: ModelCase) -> dict[str, Shapes]:
    """What a format must not take for its own: nothing, our own weights, and every other plugin's checkpoints."""
    shapes: dict[str, Shapes] = {"an empty file": {}, "another network": {"conv.weight": (8, 3, 3, 3)}}
    for preset in own.presets:
        shapes[f"our own weights of {preset}"] = {n: tuple(t.shape) for n, t in state(preset.build().networks).items()}
    for name in registry.models:
        other = ModelCase(registry, name)
        official = other.model_class.official
        if name != own.name and official is not None:
            shapes |= {f"a checkpoint of {preset}": official.example(preset.config) for preset in other.presets}
    return shapes


def random_checkpoint(shapes: Shapes) -> Tensors:
    """Random values in these shapes, none of them equal."""
    generator = torch.Generator().manual_seed(0)
    return {key: torch.randn(shape, generator=generator) for key, shape in shapes.items()}


def _write(tensors: Tensors, folder: Path) -> Path:
    file = folder / "official.pth"
    torch.save(tensors, file)
    return file


def _victim(official: OfficialFormat, tensors: Tensors, *, lopsided: bool) -> str | None:
    """A tensor of ours without which the checkpoint is still recognised; `lopsided`: of a new shape when transposed."""
    shapes = {key: tuple(tensor.shape) for key, tensor in tensors.items()}
    for key, shape in reversed(shapes.items()):
        is_ours = isinstance(rename(official.keys, key), str)
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
