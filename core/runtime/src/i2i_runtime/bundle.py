"""The face of the runtime: load a bundle, call its operations."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Literal, Self, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from i2i_runtime.animation.rendering import animate
from i2i_runtime.archive.opening import OpenBundle, open_bundle
from i2i_runtime.call.arguments import check_indices
from i2i_runtime.call.batching import Arrays, run_step
from i2i_runtime.call.limits import Limits
from i2i_runtime.call.results import Value
from i2i_runtime.call.running import NamedOutputs, OperationRunner, is_one
from i2i_runtime.device import providers as devices
from i2i_runtime.device.cpus import thread_count
from i2i_runtime.errors import UnknownOperationError, nearest
from i2i_runtime.image.reading import ImageSource
from i2i_runtime.image.resizing import Fit
from i2i_runtime.kinds.base import Option
from i2i_runtime.schema.operations import Operation
from i2i_runtime.schema.wiring import needed_steps
from i2i_runtime.untrusted_text import printable

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    # What goes in comes out; where nothing or a path goes in, a PIL image comes out.
    Given = TypeVar("Given", Image.Image, bytes, NDArray[np.uint8], NDArray[np.floating], default=Image.Image)

_PathName: TypeAlias = str | os.PathLike[str]

Result: TypeAlias = Value | NamedOutputs | Sequence[Value] | Sequence[NamedOutputs]
"""One value; for a list of output names a dictionary; for a list of images a list of either."""

_NO_OPTIONS: Mapping[str, Option] = MappingProxyType({})


def load(
    path: str | Path,
    device: str = "auto",
    threads: int | None = None,
    *,
    max_pixels: int | None = None,
    memory: int | str | None = None,
) -> Bundle:
    """Open a bundle: its folder, a .zip of it, or one .onnx file of it.

    All files are checked against the manifest, and the device is tried out, before this returns.

    Args:
        path: where the bundle lies.
        device: "auto", "cpu", "cuda", "cuda:N", "tensorrt" or "tensorrt:N".
        threads: for each session; None: what I2I_THREADS says, else the CPUs this process may use.
        max_pixels: largest image, at the size that the graphs see, and largest result. None: any.
        memory: most that one call may take, in bytes or as in "4GB"; a call that would take more is refused before it
            starts. None: on the CPU, 80 % of what is free when the call comes (of the machine, and of the control
            group).

    Raises:
        UsageError: there is no bundle at `path`, `threads` is not a positive number, or a limit is none.
        BundleError: the bundle is damaged, hostile, or newer than this runtime.
        DeviceError: the device asked for is not usable here; the message says what is missing.
    """
    count = thread_count(threads)
    taken = devices.resolve(device)
    limits = Limits.of(max_pixels, memory)
    return Bundle(Path(path).absolute(), open_bundle(path), taken, count, (device, threads, limits))


def _loaded(path: Path, device: str, threads: int | None, limits: Limits) -> Bundle:
    """Return what a pickled bundle becomes again."""
    return load(path, device, threads, max_pixels=limits.max_pixels, memory=limits.memory)


class Bundle:
    """A loaded bundle. Each of its operations is a method: `bundle.translate(image, domain="anime")`.

    Safe to use from several threads. Pickled by its path and opened again on the other side. `close()` it, use it in
    a `with` statement, or leave that to garbage collection.
    """

    def __init__(
        self,
        path: Path,
        opened: OpenBundle,
        device: devices.Device,
        threads: int,
        request: tuple[str, int | None, Limits],
    ) -> None:
        self.path = path
        self.manifest = opened.manifest
        self.operations: Mapping[str, Operation] = {each.name: each for each in opened.manifest.operations}
        """What the bundle can do, by name."""
        self.threads = threads
        self._device = device
        self._request = request
        self._runner = OperationRunner(opened, device, threads, request[2])

    @property
    def device(self) -> str:
        """The device that is used: "cpu", "cuda:0" ..."""
        return self._device.name

    @property
    def report(self) -> str:
        """One line for logs: what runs where, and why there."""
        return (
            f"{printable(self.manifest.name)} on {self.device}, {self.threads} threads a session; {self._device.reason}"
        )

    def __getattr__(self, name: str) -> BoundOperation:
        if name.startswith("_"):  # copy and pickle ask for these
            raise AttributeError(f"'Bundle' object has no attribute {name!r}")
        return BoundOperation(self._operation(name), self._runner)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self.operations})

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return _loaded, (self.path, *self._request)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the sessions. Calls after it are errors; closing twice is fine."""
        self._runner.sessions.close()

    def run(
        self,
        operation: str,
        x: ImageSource | Sequence[ImageSource] | None = None,
        options: Mapping[str, Option] = _NO_OPTIONS,
        *,
        outputs: Sequence[str] = ("image",),
        seed: int | None = None,
        fit: Fit | None = None,
        batch_size: int | None = None,
        count: int | None = None,
    ) -> list[NamedOutputs]:
        """Run an operation whose name, inputs or outputs are known at run time only.

        Gives a list, with all outputs of each result by name; one image, or none, gives a list of one. Where the
        operation is known, `bundle.translate(x, domain="anime")` is shorter, and gives the image itself.

        Args:
            operation: one of `operations`.
            x: the image, or a list of them; None for operations that start from nothing.
            options: the operation's other inputs by name: class names, numbers, random vectors, more images. Also a
                vector that one step makes for the next, such as the style that `encode` has read from an image: then
                what leads to it is left out.
            outputs: "image" is the first image the operation makes, under its own name. Only what is asked for is
                computed.
            seed: for random vectors that are not given: the same seed gives the same image. Item i of a list uses
                seed + i, whatever the batch size. None: a new seed for every call.
            fit: how images are brought to the model's size; None: as the bundle says. "face" cuts the face out,
                upright, where the model can find it.
            batch_size: most images in one run; images of different sizes never share a run.
            count: how many results of one image, or of an operation without any: each with a seed of its own.
                None: one.

        Raises:
            OptionError: unknown operation, output or option (the nearest name is offered), or a value out of range.
            ImageError: an image cannot be read, has a size the model cannot take, or is larger than `load` allows.
            RunError: the model failed, or gave a wrong shape, or values that are not finite.
        """
        return self._runner.run(
            self._operation(operation),
            x,
            options,
            outputs=outputs,
            seed=seed,
            fit=fit,
            batch_size=batch_size,
            count=count,
        )

    def frames(
        self,
        operation: str,
        x: ImageSource | None = None,
        options: Mapping[str, Option] = _NO_OPTIONS,
        *,
        to: Mapping[str, Option] | None = None,
        count: int = 25,
        seed: int | None = None,
        fit: Fit | None = None,
        batch_size: int | None = None,
    ) -> list[Value]:
        """Return the images of an animation: one result turning into another, or a walk among results.

            bundle.translate.frames("edges.png", seed=1, to={"seed": 2})
            bundle.translate_like.frames("me.jpg", reference="a.jpg", to={"reference": "b.jpg"})
            bundle.retarget.frames("me.jpg", to={"scale": [(1, 2), (2, 2)]})
            bundle.animate.frames(count=100, seed=3)

        The operation says what moves and how (`Operation.interpolation`, `Operation.walk`); everything else stays.
        Frames of different sizes lie in the upper left corner of a black canvas that holds the largest.

        Args:
            operation: one of `operations` that has an `interpolation` or a `walk`.
            x: the image, for operations that take one.
            options: the operation's other inputs by name, as in `run`, for the first frame.
            to: for an `interpolation`, what the last frame is made from where it differs: "seed", or options by name; a
                size or scale may be a list of them, which are gone through in turn.
            count: frames; at least 2 for an `interpolation`.
            seed: of the first frame; None: a new one.
            fit: as in `run`.
            batch_size: most frames in one run.

        Raises:
            OptionError: the operation makes no animation, `to` changes nothing; and what `run` raises.
        """
        return animate(
            self._runner,
            self._operation(operation),
            x,
            options,
            to=to or {},
            count=count,
            seed=seed,
            fit=fit,
            batch_size=batch_size,
        )

    def compute(
        self,
        operation: str,
        values: Mapping[str, NDArray[np.generic]],
        labels: Mapping[str, str],
        wanted: Collection[str],
    ) -> Arrays:
        """Run an operation on tensors as its graphs take them, without any pre- or post-processing.

        Args:
            operation: one of `operations`.
            values: input name -> tensor with batch axis, in the input's value range; labels as int64 indices.
            labels: label input -> class, for the labels that steps depend on.
            wanted: names of the outputs; no graph runs that they do not need.

        Raises:
            OptionError: unknown operation, or a label index that names no class.
            RunError: onnxruntime failed, on tensors of a wrong shape for instance.
        """
        chosen = self._operation(operation)
        check_indices(chosen, values)
        known: Arrays = dict(values)
        for step in needed_steps(chosen.steps_for(dict(labels)), wanted):
            known |= run_step(self._runner.sessions, step, known)
        return {name: known[name] for name in wanted}

    def _operation(self, name: str) -> Operation:
        if name not in self.operations:
            raise UnknownOperationError(
                found=f"{printable(self.manifest.name)} has no operation {name!r}",
                expected=nearest(name, self.operations),
            )
        return self.operations[name]


@dataclass(frozen=True, slots=True)
class BoundOperation:
    """One operation of a loaded bundle, ready to be called: `bundle.translate`."""

    operation: Operation
    runner: OperationRunner

    # Without `outputs`: the image, of the kind that was passed. (Vector outputs are asked for by name.)
    @overload
    def __call__(
        self,
        x: Given | _PathName | None = ...,  # pyright: ignore[reportInvalidTypeVarUse] - without x it is the default
        *,
        outputs: Literal["image"] = ...,
        seed: int | None = ...,
        fit: Fit | None = ...,
        batch_size: int | None = ...,
        count: None = ...,
        **options: Option,
    ) -> Given: ...
    @overload
    def __call__(
        self,
        x: Sequence[Given | _PathName],
        *,
        outputs: Literal["image"] = ...,
        seed: int | None = ...,
        fit: Fit | None = ...,
        batch_size: int | None = ...,
        count: None = ...,
        **options: Option,
    ) -> list[Given]: ...
    @overload
    def __call__(
        self,
        x: Given | _PathName | None = ...,  # pyright: ignore[reportInvalidTypeVarUse] - without x it is the default
        *,
        outputs: Literal["image"] = ...,
        seed: int | None = ...,
        fit: Fit | None = ...,
        batch_size: int | None = ...,
        count: int,
        **options: Option,
    ) -> list[Given]: ...
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
        rows = self.runner.run(
            self.operation, x, options, outputs=names, seed=seed, fit=fit, batch_size=batch_size, count=count
        )
        made = [value for row in rows for value in row.values()] if isinstance(outputs, str) else rows
        return made[0] if is_one(x) and count is None else made

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
        return animate(
            self.runner, self.operation, x, options, to=to or {}, count=count, seed=seed, fit=fit, batch_size=batch_size
        )
