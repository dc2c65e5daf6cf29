"""The Config of a checkpoint: what its tensors show, what clues tell, and what the user sets, told apart."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from pydantic import ValidationError

from i2i_registry.errors import CheckpointError
from i2i_registry.importing.clues import gather_clues
from i2i_registry.importing.files import CheckpointSet
from i2i_registry.interfaces.cards import ImportedFile, Settled
from i2i_registry.interfaces.config_values import field_values
from i2i_registry.interfaces.official import Clues, InferredConfig, OfficialFormat, TensorShapes
from i2i_runtime.errors import OptionError, UsageError
from i2i_runtime.records import Record

DOMAINS = "domains"
"""The field of a Config that no checkpoint of any paper fills: what its domains are called."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the user says about the Config."""

    values: Sequence[str] = ()
    """each "key=value" """
    domains: Sequence[str] = ()
    """names in the checkpoint's order"""


def infer_from(
    official: OfficialFormat[Record], kind: type[Record], checkpoint: CheckpointSet, shapes: TensorShapes, asked: Asked
) -> tuple[InferredConfig[Record], tuple[ImportedFile, ...]]:
    """Return the Config of a checkpoint with how it was come to, and the option files that were read for it.

    `shapes` are those of its tensors under the names of the format's table.

    Raises OptionError or UsageError when what the user says is no value of the Config, or contradicts the tensors;
    CheckpointError when the tensors contradict each other.
    """
    settings = field_values(kind, asked.values)
    domains = _domains(kind, settings.pop(DOMAINS, None), asked.domains)
    clues = gather_clues(checkpoint, official.option_files, settings)
    inferred = _read(official, shapes, clues)
    own = {settled.field for settled in inferred.settled}
    for name, value in settings.items():
        shown: object = getattr(inferred.config, name)
        if name not in own and value != shown:
            raise _contradiction(name, value, f"{name} = {shown}")
    config = _with_settings(inferred.config, settings)
    named = _named(replace(inferred, config=config), domains) if DOMAINS in kind.model_fields else inferred
    return named, clues.read


_NOT_UNDERSTOOD = (ArithmeticError, LookupError, TypeError, ValueError)
"""What a plugin's code raises for shapes that no release has: ranks and sizes that it counts on are not there."""


def knows(official: OfficialFormat[Record], shapes: TensorShapes) -> bool:
    """Whether a format recognises tensors of these shapes, which may be any."""
    return _answer(official.detect, shapes)


def may_know(official: OfficialFormat[Record], shapes: TensorShapes) -> bool:
    """Whether tensors of these shapes, which may be any, can be of a format if something else says so."""
    return _answer(official.may_be, shapes)


def _answer(question: Callable[[TensorShapes], bool], shapes: TensorShapes) -> bool:
    try:
        return question(shapes)
    except _NOT_UNDERSTOOD:
        return False


@contextmanager
def understood(title: str) -> Generator[None]:
    """Raise CheckpointError in place of whatever a plugin raises for shapes that no release has."""
    try:
        yield
    except _NOT_UNDERSTOOD as error:
        raise CheckpointError(
            found=f"{title} has the names of a release, and shapes that it never has ({type(error).__name__}: {error})",
            expected="the tensors as the release saves them",
            fix="the file is damaged, or was changed: fetch it again, and look at it with i2i-registry inspect",
        ) from error


def misfit_of_settings(values: Sequence[str], error: CheckpointError) -> CheckpointError | OptionError:
    """Return what a misfit of tensors and Config is called.

    `error` itself, unless the user set fields that may cause it.
    """
    if not values:
        return error
    said = " ".join(f"--set {value}" for value in values)
    return OptionError(
        found=f"the tensors contradict {said}: {error.found}",
        expected="values of fields that tensors do not show",
        fix="leave out --set, and see what is taken for granted",
    )


def _read(official: OfficialFormat[Record], shapes: TensorShapes, clues: Clues) -> InferredConfig[Record]:
    try:
        return official.infer(shapes, clues)
    except CheckpointError as error:
        if not clues.settings:
            raise
        # If it fails without what the user says as well, that is the true cause.
        official.infer(shapes, replace(clues, settings={}))
        values = [f"{name}={value}" for name, value in clues.settings.items()]
        raise misfit_of_settings(values, error) from error


def _contradiction(name: str, value: object, shown: str) -> OptionError:
    return OptionError(
        found=f"--set {name}={value} contradicts the tensors, which show {shown}",
        expected="a value of a field that tensors do not show",
        fix=f"leave out --set {name}",
    )


def _with_settings(config: Record, settings: Mapping[str, object]) -> Record:
    try:
        return type(config).model_validate({**config.model_dump(), **settings})
    except ValidationError as error:
        raise OptionError(
            found=f"{', '.join(settings)}: {error.errors()[0]['msg'].removeprefix('Value error, ')}",
            expected="values that fit each other and what the tensors show",
            fix="leave out --set, and see what the tensors show",
        ) from error


def _domains(kind: type[Record], value: object, names: Sequence[str]) -> tuple[str, ...]:
    """Return the names that the user gives, in either way."""
    said = names or (value if isinstance(value, tuple) else ())
    if said and DOMAINS not in kind.model_fields:
        raise UsageError("this model has no domains to name", expected="no --domains")
    return tuple(str(name) for name in said)


def _named(inferred: InferredConfig[Record], domains: tuple[str, ...]) -> InferredConfig[Record]:
    """With the names of domains, which are taken for granted where the user gives none."""
    config = inferred.config
    own: tuple[str, ...] = getattr(config, DOMAINS)
    if not domains:
        return replace(inferred, settled=(*inferred.settled, Settled(field=DOMAINS, value=own)))
    if len(domains) != len(own):
        raise UsageError(
            found=f"{len(domains)} domains: {', '.join(domains)}",
            expected=f"{len(own)}, as many as the checkpoint was trained with, in place of {', '.join(own)}",
            fix="--domains with a name for each, in the checkpoint's order",
        )
    try:
        config = type(config).model_validate({**config.model_dump(), DOMAINS: domains})
    except ValidationError as error:
        raise UsageError(
            found=f"the domains {', '.join(domains)} do not fit: {error.errors()[0]['msg']}",
            expected=f"names in place of {', '.join(own)}",
            fix="--domains first,second",
        ) from error
    settled = Settled(field=DOMAINS, value=domains, by="--domains")
    return InferredConfig(config, (*inferred.settled, settled), inferred.remarks)
