"""How large the result of a call is to be, before it is made."""

from __future__ import annotations

from collections.abc import Mapping

from i2i_runtime.call.arguments import gathering
from i2i_runtime.image.reading import ImageSource
from i2i_runtime.image.resizing import Fit
from i2i_runtime.kinds.base import Option
from i2i_runtime.kinds.size import size_of_result
from i2i_runtime.schema.operations import Operation


def result_size(
    operation: Operation, source: ImageSource | None, options: Mapping[str, Option], *, fit: Fit | None
) -> tuple[int, int]:
    """Height and width of the result of a call, before it is made; (0, 0) where no caller chooses.

    Raises what the call would raise about its size and its image.
    """
    wanted = size_of_result(gathering(operation, None if source is None else [source], options, fit=fit, seed=0), 0)
    return (wanted.height, wanted.width) if wanted else (0, 0)
