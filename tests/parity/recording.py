"""One recorded file, and the account of which of its tensors have been compared."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from safetensors import safe_open
from torch import Tensor

from .judging import TURNED_SHARE, Movement, Row, absolute_error, gradient_error, relative_error

JUDGED = ("output/", "loss/", "grad/", "after/")
"""What the official code computed: all of it has to be compared with something."""


def read_metadata(path: Path) -> dict[str, str]:
    """The metadata of a .safetensors file."""
    with safe_open(path, "pt") as file:
        return file.metadata() or {}


@dataclass
class Recording:
    """Tensors and metadata of one file; every `Row` comes from here, which is how the account is kept."""

    paper: str
    """name of the folder"""
    case: str
    tensors: Mapping[str, Tensor]
    config: Mapping[str, object]
    mode: str = ""
    source: str = ""
    compared: set[str] = field(default_factory=set)

    @classmethod
    def read(cls, path: Path) -> Recording:
        """Read a .safetensors file and its metadata."""
        metadata = read_metadata(path)
        with safe_open(path, "pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a mapping
        return cls(
            paper=path.parent.name,
            case=path.stem,
            tensors=tensors,
            config=json.loads(metadata.get("config", "{}")),
            mode=metadata.get("mode", ""),
            source=metadata.get("source", ""),
        )

    def __str__(self) -> str:
        return f"{self.paper}/{self.case}"

    def under(self, prefix: str) -> dict[str, Tensor]:
        """The tensors whose key begins with `prefix`, under the rest of their key."""
        return {key.removeprefix(prefix): t for key, t in self.tensors.items() if key.startswith(prefix)}

    def networks(self) -> list[str]:
        """Official names of the networks whose state is recorded."""
        return sorted({key.split("/")[0] for key in self.under("state/")})

    def output(self, key: str, found: Tensor, tolerance: float, *, by: str = "") -> Row:
        """Compare with output/`key`, absolutely; `by` says what computed it when several things do."""
        self.compared.add(f"output/{key}")
        error = absolute_error(found, self.tensors[f"output/{key}"])
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

    def movement(self, key: str, learning_rate: float) -> Movement:
        """How the tensor `key`, "<network>/<official key>", moved in the recorded step."""
        return Movement(
            before=self.tensors[f"state/{key}"],
            after=self.tensors[f"after/{key}"],
            gradient=self.tensors.get(f"grad/{key}"),
            learning_rate=learning_rate,
        )

    def after(self, key: str, found: Tensor, tolerance: float, learning_rate: float) -> Iterator[Row]:
        """Compare with after/`key`: as a share of the movement, and how many weak entries turned round."""
        self.compared.add(f"after/{key}")
        movement = self.movement(key, learning_rate)
        yield self.row(f"after/{key}", movement.error(found), tolerance)
        if movement.weak.any():
            yield self.row(f"after/{key} turned", movement.turned(found, tolerance), TURNED_SHARE)

    def row(self, quantity: str, error: float, tolerance: float) -> Row:
        """A row about anything else."""
        return Row(str(self), quantity, error, tolerance)

    def left_over(self) -> Iterator[Row]:
        """A failing row for every recorded result that was compared with nothing."""
        for key in sorted(self.tensors):
            if key.startswith(JUDGED) and key not in self.compared:
                yield self.row(f"{key} (never compared)", math.inf, 0.0)
