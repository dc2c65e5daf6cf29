"""The card tells the truth about the class behind it, and says what people need to know."""

from __future__ import annotations

import inspect

from i2i_conformance.cases import ModelCase
from i2i_conformance.errors import ConformanceError
from i2i_conformance.promises import promised
from i2i_registry.errors import PluginError
from i2i_registry.interfaces.model import Model
from i2i_registry.interfaces.trainer import AnyTrainer, Trainer
from i2i_registry.plugins.discovery import import_attribute
from i2i_runtime.records import Record


@promised("ModelCard")
def check_resolves(attribute: str, base: type) -> None:
    """`attribute` ("module:name") imports, and is a concrete class below `base`."""
    try:
        found = import_attribute(attribute)
    except PluginError as error:
        raise ConformanceError(error.found, error.expected, "correct the string on the card") from error
    if not isinstance(found, type) or not issubclass(found, base):
        raise ConformanceError(
            found=f"{attribute} is {found!r}",
            expected=f"a class derived from {base.__name__}",
            fix="put the class itself on the card",
        )
    missing = sorted(getattr(found, "__abstractmethods__", ()))
    if missing:
        raise ConformanceError(
            found=f"{attribute} does not implement {', '.join(missing)}",
            expected=f"everything that {base.__name__} declares abstract",
            fix=f"write {missing[0]}(); its docstring in {base.__module__} says what it returns",
        )


@promised("ModelCard")
def check_card_resolves(case: ModelCase) -> None:
    """The model and the trainer on the card can be imported."""
    check_resolves(case.card.model, Model)
    if case.card.trainer is not None:
        check_resolves(case.card.trainer, Trainer)
    try:
        case.registry.official_format(case.name)
    except PluginError as error:
        raise ConformanceError(error.found, error.expected, error.fix or "correct the string on the card") from error


@promised("ModelCard")
def check_card_equals_class(case: ModelCase) -> None:
    """Name and presets on the card are those of the class, the operations those of all its presets together."""
    card, model_class = case.card, case.model_class
    _compare("name", card.name, model_class.name)
    _compare("presets", list(card.presets), list(model_class.presets))
    declared = {
        preset.preset: [operation.name for operation in preset.build_on_meta().operations()] for preset in case.presets
    }
    offered = list(dict.fromkeys(name for names in declared.values() for name in names))
    promised = [name for name in card.operations if name in offered]
    _compare("operations", list(card.operations), [*promised, *(name for name in offered if name not in promised)])
    for preset, names in declared.items():
        _compare(f"operations (preset {preset!r})", [name for name in card.operations if name in names], names)


@promised("ModelCard")
def check_card_informs(case: ModelCase) -> None:
    """What a list of models, an app's "about" page and a lawyer read is filled in."""
    card = case.card
    texts = {
        "summary": card.summary,
        "licence.spdx": card.licence.spdx,
        "paper.title": card.paper.title,
        "paper.authors": card.paper.authors,
        "paper.year": str(card.paper.year or ""),
        "the docstring of the model class": _own_doc(case.model_class),
        "the docstring of its Config": _own_doc(case.model_class.Config),
    }
    if case.trainer_class is not None:
        texts["the docstring of the trainer class"] = _own_doc(case.trainer_class)
        texts["the docstring of its Options"] = _own_doc(case.trainer_class.Options)
    for operation in case.presets[0].build_on_meta().operations():
        texts[f"the summary of operation {operation.name!r}"] = operation.summary
        texts |= {
            f"the summary of {operation.name}'s {kind} {value.name!r}": value.summary
            for kind, values in (("input", operation.inputs), ("output", operation.outputs))
            for value in values
        }
    empty = [name for name, text in texts.items() if not text.strip()]
    if empty:
        raise ConformanceError(
            found=f"{card.name}: {'; '.join(empty)} is empty",
            expected="a few words of each, since command-line help and app pages are made of them",
            fix="fill them in",
        )


@promised("Model.presets")
def check_has_presets(case: ModelCase) -> None:
    """There is a default preset, and every preset is a Config."""
    presets = case.model_class.presets
    wrong = [name for name, preset in presets.items() if type(preset) is not case.model_class.Config]
    if not presets or wrong:
        raise ConformanceError(
            found=f"{case.name} has the presets {list(presets)}" + (f"; {wrong} are of another type" if wrong else ""),
            expected="at least one preset, each an instance of the model's Config",
            fix='presets = {"default": Config()}',
        )


def _compare(what: str, on_card: object, on_class: object) -> None:
    if on_card != on_class:
        raise ConformanceError(
            found=f"the card's {what}: {on_card!r}",
            expected=f"{on_class!r}, as the class has it",
            fix="write the card from the class's values",
        )


def _own_doc(documented: type[Model[Record] | AnyTrainer | Record]) -> str:
    """The docstring written for this class, not one it inherits."""
    return inspect.cleandoc(documented.__dict__.get("__doc__") or "")
