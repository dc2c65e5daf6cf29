"""What all records of the runtime share: they do not change, and take no field that they do not know."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

MAX_SIDE = 2**16
"""pixels"""

MAX_PIXELS = 2**27
"""of one picture; a record asks for no larger one, whatever a caller may do"""

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=100)]
"""A name that is also a Python identifier, a command-line option and an ONNX value name."""

Side = Annotated[int, Field(ge=1, le=MAX_SIDE)]
"""Height or width of a picture or a map, pixels."""


def _ascending(limits: tuple[float, float]) -> tuple[float, float]:
    if not limits[0] < limits[1]:
        raise ValueError(f"a range from {limits[0]:g} to {limits[1]:g}: the first number has to be the smaller one")
    return limits


Range = Annotated[tuple[float, float], AfterValidator(_ascending)]
"""Smallest and largest value."""


class Record(BaseModel):
    """Immutable, of finite numbers, and strict about unknown fields: a newer one must never be ignored in silence."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
