"""What all records of the runtime share: they do not change, and take no field that they do not know."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

MAX_SIDE = 2**16
"""pixels"""

MAX_PIXELS = 2**27
"""of one image; a record asks for no larger one, whatever a caller may do"""

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=100)]
"""A name that is also a Python identifier, a command-line option and an ONNX value name."""

Side = Annotated[int, Field(ge=1, le=MAX_SIDE)]
"""Height or width of an image or a map, pixels."""

Channels = Annotated[int, Field(ge=1, le=64)]
"""How many channels an image has; the bound keeps what a manifest can ask for small."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

OperationName = Literal[
    "translate",
    "translate_like",
    "sample",
    "reconstruct",
    "encode",
    "retarget",
    "harmonize",
    "edit",
    "paint",
    "super_resolve",
    "animate",
    "enhance",
    "stylize_mix",
]
"""The canonical verbs. Apps swap models because two papers that do the same thing call it the same."""


Number = Annotated[float, Field(ge=-1e30, le=1e30)]
"""A number that is fed as float32."""

_NARROWEST, _WIDEST = 1e-6, 1e9
"""of a range; float32 has seven digits"""


def _ascending(limits: tuple[float, float]) -> tuple[float, float]:
    low, high = limits
    if not low < high:
        raise ValueError(f"a range from {low:g} to {high:g}: the first number has to be the smaller one")
    if not _NARROWEST <= high - low <= _WIDEST or max(-low, high) > _WIDEST:
        raise ValueError(f"a range from {low:g} to {high:g} cannot be told apart in float32")
    return limits


Range = Annotated[tuple[float, float], AfterValidator(_ascending)]
"""Smallest and largest value."""


class Record(BaseModel):
    """Immutable, of finite numbers, and strict about unknown fields: a newer one must never be ignored in silence."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return the same with other values in some fields; what was computed from the old ones is not copied."""
        copied = super().model_copy(update=update, deep=deep)
        for computed in vars(copied).keys() - type(self).model_fields.keys():
            vars(copied).pop(computed)
        return copied
