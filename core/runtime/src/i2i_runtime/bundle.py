"""The face of the runtime: load a bundle, call its operations."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self, TypeGuard, cast

import numpy as np
from numpy.typing import NDArray

from i2i_runtime.animation.frames import animated_size, on_one_canvas, size_options, walk_options, wandering
from i2i_runtime.animation.interpolation import Ends, Vector, animation_options
from i2i_runtime.archive.opening import OpenBundle, open_bundle
from i2i_runtime.call import arguments as inputs
from i2i_runtime.call import results
from i2i_runtime.call.batching import Arrays, Call, run_step
from i2i_runtime.call.bound_operation import BoundOperation, first_of
from i2i_runtime.call.limits import Extent, Limits
from i2i_runtime.call.memory_use import bytes_per_pixel
from i2i_runtime.call.result_size import result_size
from i2i_runtime.call.results import ResultKind, Value
from i2i_runtime.device import providers as devices
from i2i_runtime.device.cpus import thread_count
from i2i_runtime.device.sessions import Sessions
from i2i_runtime.errors import OptionError, UnknownOperationError, nearest
from i2i_runtime.image.faces import Landmarks
from i2i_runtime.image.reading import ImageSource
from i2i_runtime.image.resizing import Fit
from i2i_runtime.kinds.base import Option
from i2i_runtime.kinds.image import ImageColumn, ImageInput
from i2i_runtime.kinds.size import SCALE, SIZE, Pair
from i2i_runtime.schema.operations import ImageOutput, Operation, Output
from i2i_runtime.schema.wiring import needed_steps
from i2i_runtime.untrusted_text import printable

GPU_BATCH = 8
"""Images in one run on a GPU when the caller does not say. On a CPU it is 1: larger batches only cost memory."""


_SMALLER_IMAGE = "a smaller image, or fit='resize', the model's own size"
_SMALLER_SIZE = "a smaller size= or scale="
_MORE_MEMORY = "this is the model's own size: another bundle, or a machine with more memory"


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
        self.threads = threads
        self._device = device
        self._request = request
        self._limits = request[2]
        self._graphs = opened.graphs
        self._rates: dict[str, float] = {}
        self._sessions = Sessions(opened.manifest, opened.graphs, device, threads)

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

    @property
    def operations(self) -> Mapping[str, Operation]:
        """What the bundle can do, by name."""
        return {operation.name: operation for operation in self.manifest.operations}

    def __getattr__(self, name: str) -> BoundOperation:
        if name.startswith("_"):  # copy and pickle ask for these
            raise AttributeError(f"'Bundle' object has no attribute {name!r}")
        return BoundOperation(self, self._operation(name))

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
        self._sessions.close()

    def run(
        self,
        operation: str,
        x: ImageSource | Sequence[ImageSource] | None = None,
        options: Mapping[str, Option] = MappingProxyType({}),
        *,
        outputs: Sequence[str] = ("image",),
        seed: int | None = None,
        fit: Fit | None = None,
        batch_size: int | None = None,
        count: int | None = None,
    ) -> list[dict[str, Value]]:
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
        chosen = self._operation(operation)
        return self._run(chosen, x, outputs, options, seed=seed, fit=fit, batch_size=batch_size, count=count)

    def _run(
        self,
        chosen: Operation,
        x: ImageSource | Sequence[ImageSource] | None,
        outputs: Sequence[str],
        options: Mapping[str, Option],
        *,
        seed: int | None,
        fit: Fit | None,
        batch_size: int | None = None,
        count: int | None = None,
    ) -> list[dict[str, Value]]:
        wanted = _wanted(chosen, outputs)
        sources = _sources(chosen, x, count)
        kinds = (
            [results.kind_of(source) for source in sources] if sources is not None else [ResultKind.PIL] * (count or 1)
        )
        shapes = self._vector_shapes(chosen)
        together = min(len(kinds), self._batch_size(batch_size))
        self._check_planned(chosen, options, fit=fit, together=together)
        gathered = inputs.gather(
            chosen, sources, len(kinds), options, fit=fit, seed=seed, shapes=shapes, locate=self._locate
        )
        self._check_size(chosen, gathered.extents(), together, _SMALLER_SIZE if chosen.size else _SMALLER_IMAGE)
        call = Call(chosen, self._sessions, wanted, shapes.keys() & options.keys(), self._batch_size(batch_size))
        main = chosen.main_image
        images = gathered.column(main.name, ImageColumn).images if main and main.name in gathered.columns else None
        values: dict[int, dict[str, Value]] = {}
        for index, tensors in call.run(gathered.columns, gathered.count):
            image = images[index] if images else None
            values[index] = {
                output.name: results.finish(output, tensors[output.name], image, kinds[index]) for output in wanted
            }
        return [values[index] for index in range(len(kinds))]

    def frames(
        self,
        operation: str,
        x: ImageSource | None = None,
        options: Mapping[str, Option] = MappingProxyType({}),
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
        chosen = self._operation(operation)
        if isinstance(x, (list, tuple)):
            raise OptionError(found=f"frames of a list of {len(x)} images", expected="one image")
        start = secrets.randbits(32) if seed is None else seed
        if chosen.walk:
            if to:
                raise OptionError(found=f"to={dict(to)}", expected=f"nothing: {operation} wanders by itself")
            walk = walk_options(chosen, chosen.walk, options, count, start)
            return self._one_by_one(wandering(chosen, chosen.walk), x, walk, seed=start, fit=fit)
        size = animated_size(chosen)
        if size is not None:
            own = _own_size(chosen, x, options, fit)
            path = size_options(size, options, to or {}, count, own)
            return on_one_canvas(self._one_by_one(chosen, x, path, seed=start, fit=fit))

        def compute(value: str, given: Mapping[str, Option], with_seed: int) -> Vector:
            (row,) = self._run(chosen, x, [value], given, seed=with_seed, fit=fit)
            return np.asarray(row[value])

        animation = animation_options(chosen, Ends(options, start, to or {}), count, compute)
        rows = self._run(chosen, x, ["image"], animation, seed=start, fit=fit, batch_size=batch_size, count=count)
        return [first_of(row) for row in rows]

    def _one_by_one(
        self,
        operation: Operation,
        x: ImageSource | None,
        frames: Iterable[Mapping[str, Option]],
        *,
        seed: int,
        fit: Fit | None,
    ) -> list[Value]:
        """Frames that differ in size, or need so much noise that only one frame's should lie in memory."""
        rows = (self._run(operation, x, ["image"], each, seed=seed, fit=fit) for each in frames)
        return [first_of(row) for (row,) in rows]

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
        inputs.check_indices(chosen, values)
        known: Arrays = dict(values)
        for step in needed_steps(chosen.steps_for(dict(labels)), wanted):
            known |= run_step(self._sessions, step, known)
        return {name: known[name] for name in wanted}

    def _locate(self, which: Landmarks, images: NDArray[np.float32]) -> NDArray[np.generic]:
        return self._sessions.run(which.graph, {which.input: images}, [which.output])[which.output]

    def _operation(self, name: str) -> Operation:
        operation = self.manifest.operation(name)
        if operation is None:
            raise UnknownOperationError(
                found=f"{printable(self.manifest.name)} has no operation {name!r}",
                expected=nearest(name, self.operations),
            )
        return operation

    def _check_planned(
        self, operation: Operation, options: Mapping[str, Option], *, fit: Fit | None, together: int
    ) -> None:
        """Check the sizes that are known before images are brought to them, or noise of that size is drawn."""
        own = [
            (value.size.height, value.size.width)
            for value in operation.of(ImageInput)
            if (fit or value.fit) != "native"
        ]
        self._check_size(operation, own, together, _MORE_MEMORY)
        if operation.size and operation.size.image is None:
            size = result_size(operation, None, options, fit=fit)
            self._check_size(operation, [size], together, _SMALLER_SIZE)

    def _check_size(
        self, operation: Operation, sizes: Collection[tuple[int, int]], together: int, way_out: str
    ) -> None:
        """Raise ImageError for a size beyond what `load` allows."""
        for height, width in sizes:
            extent = Extent(height, width, together)
            on_cpu = self._device.kind == "cpu"
            self._limits.check(extent, lambda: self._rate(operation), on_cpu=on_cpu, way_out=way_out)

    def _rate(self, operation: Operation) -> float:
        """Bytes a pixel, measured when it is first asked for."""
        if operation.name not in self._rates:
            shapes = self._vector_shapes(operation)
            self._rates[operation.name] = bytes_per_pixel(operation, self.manifest, self._graphs, shapes)
        return self._rates[operation.name]

    def _vector_shapes(self, operation: Operation) -> dict[str, tuple[int, ...]]:
        """Return the shape, without the batch axis, of each vector that one step makes for another."""
        shapes: dict[str, tuple[int, ...]] = {}
        for step in operation.steps:
            graph = {tensor.name: tensor.shape for tensor in self.manifest.graphs[step.graph].inputs}
            for name, value in step.inputs.items():
                if value in operation.intermediates:
                    shapes[value] = tuple(side for side in graph[name][1:] if isinstance(side, int))
        return shapes

    def _batch_size(self, requested: int | None) -> int:
        if requested is not None and requested < 1:
            raise OptionError(found=f"batch_size={requested}", expected="at least 1")
        return requested or (1 if self._device.kind == "cpu" else GPU_BATCH)


def _own_size(operation: Operation, x: ImageSource | None, options: Mapping[str, Option], fit: Fit | None) -> Pair:
    """Return the size of the result that nobody asks for another size of."""
    _sources(operation, x, None)  # an image that is missing, or one too many, is told first
    rest = {name: value for name, value in options.items() if name not in {SIZE, SCALE}}
    return result_size(operation, x, rest, fit=fit)


def _wanted(operation: Operation, names: Sequence[str]) -> list[Output]:
    available = {output.name: output for output in operation.outputs}
    images = [output for output in operation.outputs if isinstance(output, ImageOutput)]
    main = (images or list(operation.outputs))[0]
    wanted: list[Output] = []
    for name in names:
        output = available.get(name, main if name == "image" else None)
        if output is None:
            raise OptionError(found=f"{operation.name} has no output {name!r}", expected=nearest(name, available))
        wanted.append(output)
    if not wanted:
        raise OptionError(found="no outputs were asked for", expected=f"some of: {', '.join(available)}")
    return wanted


def _sources(
    operation: Operation, x: ImageSource | Sequence[ImageSource] | None, count: int | None
) -> list[ImageSource] | None:
    """Return the images of the main input, `count` times the same one if asked, or None where there is none."""
    if count is not None and count < 1:
        raise OptionError(found=f"count={count}", expected="at least 1")
    main = operation.main_image
    if main is None:
        if x is not None:
            raise OptionError(found=f"an image for {operation.name}", expected="none: it starts from nothing")
        return None
    if x is None:
        raise OptionError(found=f"{operation.name} got no image", fix=f"pass {main.name} as the first argument")
    if not _are_several(x):
        return [cast("ImageSource", x)] * (count or 1)
    if count is not None:
        raise OptionError(
            found=f"count={count} and a list of {len(x)} images",
            expected="several results of one image, or one result of each image",
        )
    return list(x)


def _are_several(x: ImageSource | Sequence[ImageSource]) -> TypeGuard[Sequence[ImageSource]]:
    return isinstance(x, (list, tuple))
