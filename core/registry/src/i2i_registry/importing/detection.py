"""Which paper's checkpoint some files are, and where in them it lies."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from i2i_registry.errors import CheckpointError, PluginError
from i2i_registry.importing.choice import command
from i2i_registry.importing.clues import gather_clues
from i2i_registry.importing.config_inference import knows, may_know
from i2i_registry.importing.files import CheckpointSet, prefix_of
from i2i_registry.importing.naming import reason_to_leave_out
from i2i_registry.importing.validation import odd_shapes
from i2i_registry.importing.wrappers import Unwrapped, beside, part_at, parts, whole
from i2i_registry.interfaces.cards import ModelCard
from i2i_registry.interfaces.official import OfficialFormat, TensorShapes
from i2i_registry.plugins.discovery import Registry
from i2i_runtime.errors import UsageError
from i2i_runtime.records import Record
from i2i_runtime.untrusted_text import printable

_SHOWN_KEYS = 8
_SHOWN_COMMANDS = 6

Formats = Sequence[tuple[str, OfficialFormat[Record]]]
"""name of a model, and its format"""


@dataclass(frozen=True, slots=True)
class RecognisedCheckpoint:
    """A checkpoint of one paper."""

    model: str
    official: OfficialFormat[Record]
    checkpoint: CheckpointSet
    """with the tensors as the release names them"""
    left_out: Mapping[str, str] = field(default_factory=dict[str, str])
    """name in the files -> why it was left out with a wrapper"""
    remarks: tuple[str, ...] = ()


def recognise_checkpoint(
    registry: Registry, checkpoint: CheckpointSet, wanted: str | None, network: str | None
) -> RecognisedCheckpoint:
    """Return the one model that knows the checkpoint, as it lies or with its wrappers off.

    `wanted` is asked first; the others say what it is instead. `network` is where in the file it lies.

    Raises CheckpointError when no model knows it, or several do; UsageError when the files hold several networks, or
    none at `network`.
    """
    search = _Search(registry, checkpoint, wanted)
    asked = None if network is None else _at(checkpoint, network)
    for unwrapped in whole(checkpoint.tensors, tuple(checkpoint.files)) if asked is None else [asked]:
        knowing = search.knowing(unwrapped)
        if knowing:
            return search.one(unwrapped, knowing)
    if asked is None:
        bare = _compiled_off(checkpoint)
        for level in parts(bare):
            found = [(part, knowing) for part in level if (knowing := search.knowing(part))]
            if len(found) == 1:
                part, knowing = found[0]
                return search.one(beside(bare, part), knowing)
            if found:
                raise _several_networks(checkpoint, [part.place for part, _ in found], wanted)
    raise search.unknown()


class _Search:
    """What each installed format says of some tensors."""

    def __init__(self, registry: Registry, checkpoint: CheckpointSet, wanted: str | None) -> None:
        self._registry, self._checkpoint, self._wanted = registry, checkpoint, wanted
        if wanted is not None and registry.model_card(wanted).official is None:
            raise CheckpointError(f"{wanted} imports no official checkpoints", expected="a model that does")
        self._models = registry.models if wanted is None else [wanted]

    def knowing(self, unwrapped: Unwrapped) -> Formats:
        """Return the models that the clues allow, and of these the ones that know the tensors, if some do.

        Only formats that the card gives a chance are loaded.
        """
        shapes = {name: tuple(tensor.shape) for name, tensor in unwrapped.tensors.items()}
        near = [name for name in self._models if _has_mark(self._registry.model_card(name), shapes)]
        possible = [each for each in _formats(self._registry, near) if may_know(each[1], shapes)]
        if len(possible) > 1:
            names = tuple(dict.fromkeys(name for _, official in possible for name in official.option_files))
            clues = gather_clues(self._checkpoint, names, {})
            possible = [each for each in possible if each[1].fits(clues)] or possible
        return [each for each in possible if knows(each[1], shapes)] or possible

    def one(self, unwrapped: Unwrapped, knowing: Formats) -> RecognisedCheckpoint:
        """Return the one model that knows the tensors. Raises CheckpointError for several."""
        checkpoint = self._checkpoint
        if len(knowing) > 1:
            raise CheckpointError(
                found=f"{checkpoint.title} fits several models: {', '.join(name for name, _ in knowing)}",
                expected="one",
                fix=" or ".join(_command(checkpoint, model=name) for name, _ in knowing),
            )
        ((name, official),) = knowing
        remarks = unwrapped.remarks
        if unwrapped.place:
            remarks = (*remarks, f"taken: the network {printable(unwrapped.place)}; the others are left out")
        return RecognisedCheckpoint(
            name, official, replace(checkpoint, tensors=unwrapped.tensors), unwrapped.left_out, remarks
        )

    def unknown(self) -> CheckpointError:
        """Return what the checkpoint is, if it is none of what it should be."""
        checkpoint, wanted = self._checkpoint, self._wanted
        left_out = self._left_out_everywhere()
        if left_out is not None:
            return left_out
        if wanted is None:
            odd = odd_shapes(checkpoint.shapes)
            return CheckpointError(
                found=f"{checkpoint.title} fits no installed model; it begins {_keys_in_words(checkpoint.shapes)}"
                + (f"; {odd}" if odd else ""),
                expected="a checkpoint of " + (", ".join(sorted(self._registry.models)) or "an installed plugin"),
                fix=f"pip install the paper's plugin; {_look(checkpoint)}",
            )
        everyone = _formats(self._registry, self._registry.models)
        others = [name for name, official in everyone if knows(official, checkpoint.shapes)]
        official = self._registry.official_format(wanted)
        return CheckpointError(
            found=f"{checkpoint.title} is no checkpoint of {wanted}; it is one of "
            + (" and ".join(others) or f"no installed model, and begins {_keys_in_words(checkpoint.shapes)}"),
            expected=f"a checkpoint of {official.source}" if official else "",
            fix=_command(checkpoint, model=others[0]) if others else _look(checkpoint),
        )

    def _left_out_everywhere(self) -> CheckpointError | None:
        """Return what files are of which a model has a place for every tensor, and uses none: discriminators alone."""
        checkpoint = self._checkpoint
        # A file alone has no prefix; its name says which network it is.
        alone = len(checkpoint.files) == 1
        network = prefix_of(Path(next(iter(checkpoint.files.values())).path.name)) if alone else ""
        starts = dict.fromkeys(("", f"{network}." if network else ""))
        knowing: dict[str, str] = {}
        for name, official in _formats(self._registry, self._models):
            for start in starts:
                reasons = {reason_to_leave_out(official.left_out, start + key) for key in checkpoint.tensors}
                reason = reasons.pop() if len(reasons) == 1 else None
                if reason is not None:
                    knowing[name] = reason
        if not knowing:
            return None
        return CheckpointError(
            found=f"{checkpoint.title} holds only what is left out of {' and '.join(knowing)}: "
            + " or ".join(dict.fromkeys(knowing.values())),
            expected="the networks that make images",
            fix="name their files beside it, or the folder of the training",
        )


def _has_mark(card: ModelCard, names: Iterable[str]) -> bool:
    """Whether the tensors may be of the model's format, by what the card says of their names."""
    return card.official is not None and any(mark in name for name in names for mark in card.official.marks)


def _formats(registry: Registry, models: Iterable[str]) -> Iterator[tuple[str, OfficialFormat[Record]]]:
    """Yield the formats of those models that load; one that does not must not stand in the way of the others."""
    for name in models:
        try:
            official = registry.official_format(name)
        except PluginError:
            continue
        if official is not None:
            yield name, official


def _compiled_off(checkpoint: CheckpointSet) -> Unwrapped:
    """Return the tensors without the wrapper that has no name of its own in the file."""
    candidates = list(whole(checkpoint.tensors, ()))
    return next((each for each in candidates[1:] if not each.left_out and not _opened(each)), candidates[0])


def _opened(unwrapped: Unwrapped) -> bool:
    return any("torch.compile" not in remark for remark in unwrapped.remarks)


def _at(checkpoint: CheckpointSet, network: str) -> Unwrapped:
    bare = _compiled_off(checkpoint)
    found = beside(bare, part_at(bare, network))
    if not found.tensors:
        places = dict.fromkeys(name.partition(".")[0] for name in checkpoint.tensors if "." in name)
        if not places:
            raise UsageError(
                found=f"{checkpoint.title} is one network alone: nothing in it lies at {printable(network)}",
                expected="a file of several networks for --network",
                fix="leave --network away",
            )
        raise UsageError(
            found=f"no tensor of {checkpoint.title} lies at {printable(network)}",
            expected="one of " + ", ".join(map(printable, list(places)[:_SHOWN_KEYS])),
            fix=_look(checkpoint),
        )
    return found


def _several_networks(checkpoint: CheckpointSet, places: Sequence[str], wanted: str | None) -> UsageError:
    commands = [_command_for(checkpoint, wanted, place) for place in places[:_SHOWN_COMMANDS]]
    return UsageError(
        found=f"{checkpoint.title} holds {len(places)} networks: {printable(', '.join(places))}",
        expected="one checkpoint",
        fix=" or ".join(commands),
    )


def _command_for(checkpoint: CheckpointSet, model: str | None, place: str) -> str:
    """Return the command that imports the network at a place, from its own file alone where files have names."""
    for prefix, file in checkpoint.files.items():
        if prefix and f"{place}.".startswith(f"{prefix}."):
            inside = place.removeprefix(prefix).removeprefix(".")
            return _command(replace(checkpoint, files={"": file}), model=model, network=inside or None)
    return _command(checkpoint, model=model, network=place)


def _command(checkpoint: CheckpointSet, model: str | None = None, network: str | None = None) -> str:
    """Return the command that imports these files, for a shell."""
    files = [f"{prefix}={file.path}" if prefix else file.path for prefix, file in checkpoint.files.items()]
    said = command([*([model] if model else []), *files])
    return said + (f" --network {printable(shlex.quote(network))}" if network else "")


def _look(checkpoint: CheckpointSet) -> str:
    first, *others = checkpoint.files.values()
    look = f"i2i-registry inspect {printable(shlex.quote(str(first.path)), 400)}"
    if not others:
        return f"see what it holds: {look}"
    return f"see what each file holds ({look}), and say it: G=FILE E=FILE"


def _keys_in_words(shapes: TensorShapes) -> str:
    if not shapes:
        return "with no tensor at all"
    return "with " + ", ".join(map(printable, sorted(shapes)[:_SHOWN_KEYS]))
