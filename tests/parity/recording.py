"""One recorded file, and the account of what of it has been compared and used.

An adapter sees tensors and metadata and never the file's name, so that nothing can be told from the name.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar, cast

from pydantic import ValidationError
from safetensors import safe_open
from torch import Tensor

from .comparison import Movement, Row, absolute_error, allowed_turns, gradient_error, relative_error, scale_of
from .options import Options

O = TypeVar("O", bound=Options)  # noqa: E741 - the letter of options elsewhere

COMPARED = ("output/", "loss/", "grad/", "after")
"""What the official code computed: all of it has to be compared with something."""

ABOUT = ("config", "source", "notes")
"""Entries of the metadata that are no options by themselves; any other entry counts as one."""


def read_metadata(path: Path) -> dict[str, str]:
    """The metadata of a .safetensors file."""
    with safe_open(path, "pt") as file:
        return file.metadata() or {}


@dataclass
class Recording:
    """Tensors and metadata of one file; every `Row` comes from here, which is how the account is kept."""

    tensors: Mapping[str, Tensor]
    config: Mapping[str, object]
    """the options; "mode" and what else the metadata has beside them included"""
    compared: set[str] = field(default_factory=set[str])
    ignored: dict[str, str] = field(default_factory=dict[str, str])
    """options that are declared irrelevant -> why"""
    up_to: float = 1.0
    """The size of the numbers that the tolerances of outputs are stated for. Rounding is relative: where recorded
    numbers are larger, so much more is allowed."""
    _options: list[Options] = field(default_factory=list[Options])

    @classmethod
    def read(cls, path: Path) -> Recording:
        """Read a .safetensors file and its metadata."""
        metadata = read_metadata(path)
        with safe_open(path, "pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a mapping
        config = cast("object", json.loads(metadata.get("config", "{}")))
        if not isinstance(config, dict):
            raise TypeError(f"config is {type(config).__name__}, and should be a mapping of options")
        beside = {key: value for key, value in metadata.items() if key not in ABOUT}
        return cls(tensors=tensors, config={**beside, **cast("dict[str, object]", config)})

    def options(self, kind: type[O]) -> O:
        """The metadata's options; those that nothing reads are misses (`left_over`)."""
        try:
            options = kind.model_validate(self.config)
        except ValidationError as error:
            wrong = ("{}: {}".format(".".join(map(str, one["loc"])), one["msg"]) for one in error.errors())
            raise ValueError("options: " + "; ".join(wrong)) from error
        self._options.append(options)
        return options

    def ignore(self, reason: str, *options: str) -> None:
        """Declare that options (those of parts with a point between) decide nothing of what the file holds."""
        self.ignored |= dict.fromkeys(options, reason)

    def is_ignored(self, option: str) -> bool:
        """Whether an option is declared irrelevant."""
        return option in self.ignored

    def agrees(self, option: str, stated: object, found: object) -> Row:
        """Compare what an option states with what tensors show, or with what our code makes of the other options."""
        if stated == found:
            return self.row(f"config/{option}", 0.0, 0.0)
        return self.row(f"config/{option}: {stated} is stated, {found} found", math.inf, 0.0)

    def under(self, prefix: str) -> dict[str, Tensor]:
        """The tensors whose key begins with `prefix`, under the rest of their key."""
        return {key.removeprefix(prefix): t for key, t in self.tensors.items() if key.startswith(prefix)}

    def series(self, prefix: str) -> list[Tensor]:
        """The tensors whose key is `prefix` and a number, in the order of the numbers."""
        numbered = {int(rest): tensor for rest, tensor in self.under(prefix).items() if rest.isdecimal()}
        return [numbered[number] for number in sorted(numbered)]

    def holds(self, prefix: str) -> bool:
        """Whether there is a tensor whose key begins with `prefix`."""
        return any(key.startswith(prefix) for key in self.tensors)

    def networks(self) -> list[str]:
        """Official names of the networks whose state is recorded."""
        return sorted({key.split("/")[0] for key in self.under("state/")})

    def output(self, key: str, found: Tensor, tolerance: float, *, by: str = "") -> Row:
        """Compare with output/`key`; `by` says what computed it when several things do."""
        self.compared.add(f"output/{key}")
        recorded = self.tensors[f"output/{key}"]
        error = absolute_error(found, recorded) / max(1.0, scale_of(recorded) / self.up_to)
        return self.row(f"output/{key}" + (f" by {by}" if by else ""), error, tolerance)

    def loss(self, key: str, found: float, tolerance: float) -> Row:
        """Compare with loss/`key`, relatively."""
        self.compared.add(f"loss/{key}")
        return self.row(f"loss/{key}", relative_error(found, float(self.tensors[f"loss/{key}"])), tolerance)

    def gradient(self, key: str, found: Tensor | None, tolerance: float) -> Row:
        """Compare with grad/`key`, relative to the tensor's largest entry."""
        self.compared.add(f"grad/{key}")
        error = math.inf if found is None else gradient_error(found, self.tensors[f"grad/{key}"])
        return self.row(f"grad/{key}", error, tolerance)

    def movement(self, key: str, learning_rate: float, steps: int = 1) -> Movement:
        """How the tensor `key`, "<network>/<official key>", moved in the recorded step of so many updates."""
        return Movement(
            before=self.tensors[f"state/{key}"],
            after=self.tensors[f"after/{key}"],
            gradient=self.tensors.get(f"grad/{key}"),
            learning_rate=learning_rate,
            steps=steps,
        )

    def after(self, key: str, found: Tensor, tolerance: float, learning_rate: float, steps: int = 1) -> Iterator[Row]:
        """Compare with after/`key`: as a share of the movement, and how many weak entries turned round."""
        self.compared.add(f"after/{key}")
        movement = self.movement(key, learning_rate, steps)
        yield self.row(f"after/{key}", movement.error(found), tolerance)
        if movement.weak.any():
            yield self.row(f"after/{key} turned", movement.turned(found, tolerance), allowed_turns(found))

    def row(self, quantity: str, error: float, tolerance: float) -> Row:
        """A row about anything else."""
        return Row(quantity, error, tolerance)

    def left_over(self) -> Iterator[Row]:
        """A failing row for every recorded result that was compared with nothing, and every option nothing read."""
        for key in sorted(self.tensors):
            if key.startswith(COMPARED) and key not in self.compared:
                yield self.row(f"{key} (never compared)", math.inf, 0.0)
        for options in self._options:
            for name in options.unread():
                if not self.is_ignored(name):
                    yield self.row(f"config/{name} (never used)", math.inf, 0.0)
