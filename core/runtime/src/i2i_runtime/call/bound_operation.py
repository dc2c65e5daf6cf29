"""`bundle.translate(...)` and its siblings, typed: the result is of the kind that went in."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, TypeVar, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from i2i_runtime.call.results import Value
from i2i_runtime.image.reading import ImageSource
from i2i_runtime.image.resizing import Fit
from i2i_runtime.kinds.base import Option
from i2i_runtime.schema.operations import Operation
from i2i_runtime.type_guards import is_list_or_tuple

Result: TypeAlias = Value | dict[str, Value] | Sequence[Value] | Sequence[dict[str, Value]]
"""One value; for a list of output names a dictionary; for a list of images a list of either."""
_Named: TypeAlias = str | os.PathLike[str] | Image.Image
_AsItIs = TypeVar("_AsItIs", bytes, NDArray[np.uint8])
"""kinds of images that come back as the type that went in"""


class OperationRunner(Protocol):
    """What runs operations by their names: a `Bundle`, which documents the arguments."""

    def run(
        self,
        operation: str,
        x: ImageSource | Sequence[ImageSource] | None,
        options: Mapping[str, Option],
        *,
        outputs: Sequence[str],
        seed: int | None,
        fit: Fit | None,
        batch_size: int | None,
        count: int | None,
    ) -> list[dict[str, Value]]:
        """Run an operation."""
        ...

    def frames(
        self,
        operation: str,
        x: ImageSource | None,
        options: Mapping[str, Option],
        *,
        to: Mapping[str, Option] | None,
        count: int,
        seed: int | None,
        fit: Fit | None,
        batch_size: int | None,
    ) -> list[Value]:
        """Return the images of an animation."""
        ...


@dataclass(frozen=True, slots=True)
class BoundOperation:
    """One operation of a loaded bundle, ready to be called: `bundle.translate`."""

    bundle: OperationRunner
    operation: Operation

    # Without `outputs`: the image, of the kind that was passed. (Vector outputs are asked for by name.)
    @overload
    def __call__(
        self,
        x: _Named | None = ...,
        *,
        outputs: Literal["image"] = ...,
        seed: int | None = ...,
        fit: Fit | None = ...,
        batch_size: int | None = ...,
        count: None = ...,
        **options: Option,
    ) -> Image.Image: ...
    @overload
    def __call__(
        self,
        x: _AsItIs,
        *,
        outputs: Literal["image"] = ...,
        seed: int | None = ...,
        fit: Fit | None = ...,
        batch_size: int | None = ...,
        count: None = ...,
        **options: Option,
    ) -> _AsItIs: ...
    @overload
    def __call__(
        self,
        x: NDArray[np.floating],
        *,
        outputs: Literal["image"] = ...,
        seed: int | None = ...,
        fit: Fit | None = ...,
        batch_size: int | None = ...,
        count: None = ...,
        **options: Option,
    ) -> NDArray[np.float32]: ...
    @overload
    def __call__(
        self,
        x: Sequence[_Named],
        *,
        outputs: Literal["image"] = ...,
        seed: int | None = ...,
        fit: Fit | None = ...,
        batch_size: int | None = ...,
        count: None = ...,
        **options: Option,
    ) -> list[Image.Image]: ...
    @overload
    def __call__(
        self,
        x: Sequence[_AsItIs],
        *,
        outputs: Literal["image"] = ...,
        seed: int | None = ...,
        fit: Fit | None = ...,
        batch_size: int | None = ...,
        count: None = ...,
        **options: Option,
    ) -> list[_AsItIs]: ...
    @overload
    def __call__(
        self,
        x: Sequence[NDArray[np.floating]],
        *,
        outputs: Literal["image"] = ...,
        seed: int | None = ...,
        fit: Fit | None = ...,
        batch_size: int | None = ...,
        count: None = ...,
        **options: Option,
    ) -> list[NDArray[np.float32]]: ...
    # With `count`: a list of results of one image, or of none.
    @overload
    def __call__(
        self,
        x: _Named | None = ...,
        *,
        outputs: Literal["image"] = ...,
        seed: int | None = ...,
        fit: Fit | None = ...,
        batch_size: int | None = ...,
        count: int,
        **options: Option,
    ) -> list[Image.Image]: ...
    @overload
    def __call__(
        self,
        x: _AsItIs,
        *,
        outputs: Literal["image"] = ...,
        seed: int | None = ...,
        fit: Fit | None = ...,
        batch_size: int | None = ...,
        count: int,
        **options: Option,
    ) -> list[_AsItIs]: ...
    @overload
    def __call__(
        self,
        x: ImageSource | Sequence[ImageSource] | None = ...,
        *,
        outputs: str | Sequence[str] = ...,
        seed: int | None = ...,
        fit: Fit | None = ...,
        batch_size: int | None = ...,
        count: int | None = ...,
        **options: Option,
    ) -> Result: ...

    def __call__(
        self,
        x: ImageSource | Sequence[ImageSource] | None = None,
        *,
        outputs: str | Sequence[str] = "image",
        seed: int | None = None,
        fit: Fit | None = None,
        batch_size: int | None = None,
        count: int | None = None,
        **options: Option,
    ) -> Result:
        """Run the operation; images come back as the kind they went in.

        A path or a PIL image gives a PIL image, bytes give the bytes of a PNG, uint8 arrays [h, w, 3] give
        uint8, float arrays in [0, 1] float32. A list gives a list, and so does `count`. Of `outputs` a name gives that
        output, and a list of names a dictionary. `Bundle.run` says what else may be passed, and what is raised.
        """
        names = [outputs] if isinstance(outputs, str) else outputs
        rows = self.bundle.run(
            self.operation.name, x, options, outputs=names, seed=seed, fit=fit, batch_size=batch_size, count=count
        )
        made = [first_of(row) for row in rows] if isinstance(outputs, str) else rows
        return made if count is not None or is_list_or_tuple(x) else made[0]

    def frames(
        self,
        x: ImageSource | None = None,
        *,
        to: Mapping[str, Option] | None = None,
        count: int = 25,
        seed: int | None = None,
        fit: Fit | None = None,
        batch_size: int | None = None,
        **options: Option,
    ) -> list[Value]:
        """Return the images of an animation; see `Bundle.frames`."""
        name = self.operation.name
        return self.bundle.frames(name, x, options, to=to, count=count, seed=seed, fit=fit, batch_size=batch_size)


def first_of(row: Mapping[str, Value]) -> Value:
    """Return the output that was asked for first."""
    return next(iter(row.values()))
