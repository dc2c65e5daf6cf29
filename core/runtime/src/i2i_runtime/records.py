"""What all records of the runtime share: they do not change, and take no field that they do not know."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
"""A name that is also a Python identifier, a command-line option and an ONNX value name."""


class Record(BaseModel):
    """Immutable, and strict about unknown fields: a newer field must never be ignored in silence."""

    model_config = ConfigDict(frozen=True, extra="forbid")
