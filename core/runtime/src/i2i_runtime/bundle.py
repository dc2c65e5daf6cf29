"""The face of the runtime: load a bundle, call its operations."""

from __future__ import annotations

import shutil
import weakref
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from i2i_runtime import devices, inputs, results
from i2i_runtime.calls import BoundOperation, Result
from i2i_runtime.cpus import thread_count
from i2i_runtime.errors import OptionError, UnknownOperationError, nearest
from i2i_runtime.inputs import Item, Option
from i2i_runtime.operations import Fit, ImageOutput, Operation, Output, Step
from i2i_runtime.pictures import PictureSource
from i2i_runtime.reading import OpenBundle, open_bundle
from i2i_runtime.results import Kind, Value
from i2i_runtime.sessions import Sessions

Values: TypeAlias = dict[str, NDArray[np.generic]]

GPU_BATCH = 8
"""Pictures in one run on a GPU when the caller does not say. On a CPU it is 1: larger batches only cost memory."""


def load(path: str | Path, device: str = "auto", threads: int | None = None) -> Bundle:
    """Open a bundle: its folder, a .zip of it, or one .onnx file of it.

    All files are checked against the manifest, and the device is tried out, before this returns.

    Args:
        path: where the bundle lies.
        device: "auto", "cpu", "cuda", "cuda:N", "tensorrt" or "tensorrt:N".
        threads: for each session; None: what I2I_THREADS says, else the CPUs this process may use.

    Raises:
        UsageError: there is no bundle at `path`, or `threads` is not a positive number.
        BundleError: the bundle is damaged, hostile, or newer than this runtime.
        DeviceError: the device asked for is not usable here; the message says what is missing.
    """
    count = thread_count(threads)
    taken = devices.resolve(device)
    return Bundle(Path(path).absolute(), open_bundle(path), taken, count, (device, threads))


class Bundle:
    """A loaded bundle. Each of its operations is a method: `bundle.translate(picture, domain="anime")`.

    Safe to use from several threads. Pickled by its path and opened again on the other side. `close()` it, use it in
    a `with` statement, or leave that to garbage collection.
    """

    def __init__(
        self, path: Path, opened: OpenBundle, device: devices.Device, threads: int, request: tuple[str, int | None]
    ) -> None:
        self.path = path
        self.manifest = opened.manifest
        self.threads = threads
        self._device = device
        self._request = request
        self._sessions = Sessions(opened.manifest, opened.graphs, device, threads)
        self._cleanup = weakref.finalize(self, _remove, opened.unpacked)

    @property
    def device(self) -> str:
        """The device that is used: "cpu", "cuda:0" ..."""
        return self._device.name

    @property
    def report(self) -> str:
        """One line for logs: what runs where, and why there."""
        return f"{self.manifest.name} on {self.device}, {self.threads} threads a session; {self._device.reason}"

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

    def __reduce__(self) -> tuple[object, tuple[Path, str, int | None]]:
        return load, (self.path, *self._request)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free the sessions and what was unpacked. Calls after it are errors; closing twice is fine."""
        self._sessions.close()
        self._cleanup()

    def run(
        self,
        operation: str,
        x: PictureSource | Sequence[PictureSource] | None = None,
        *,
        outputs: str | Sequence[str] = "image",
        seed: int | None = None,
        fit: Fit | None = None,
        batch_size: int | None = None,
        count: int | None = None,
        **options: Option,
    ) -> Result:
        """Run an operation; pictures come back as the kind they went in.

        A path or a PIL picture gives a PIL picture, bytes give the bytes of a PNG, uint8 arrays [h, w, 3] give
        uint8, float arrays in [0, 1] float32. A list gives a list.

        Args:
            operation: one of `operations`.
            x: the picture, or a list of them; None for operations that start from nothing.
            outputs: "image" is the first picture the operation makes; another name is that output; a list of names
                gives a dictionary. Only what is asked for is computed.
            seed: for random vectors that are not given: the same seed gives the same picture. Item i of a list uses
                seed + i, whatever the batch size. None: a new seed for every call.
            fit: how pictures are brought to the model's size; None: as the bundle says.
            batch_size: most pictures in one run; pictures of different sizes never share a run.
            count: how many results for an operation without a picture, as a list; None: one, by itself.
            **options: the operation's other inputs by name: class names, numbers, random vectors, more pictures.

        Raises:
            OptionError: unknown operation, output or option (the nearest name is offered), or a value out of range.
            PictureError: a picture cannot be read, or has a size the model cannot take.
            RunError: the model failed, or gave values that are not finite.
        """
        chosen = self._operation(operation)
        wanted = _wanted(chosen, outputs)
        sources = _sources(chosen, x, count)
        kinds = [results.kind_of(source) for source in sources] if sources is not None else [Kind.PIL] * (count or 1)
        items = inputs.gather(chosen, sources, len(kinds), options, fit=fit, seed=seed)
        values = self._run_items(chosen, items, kinds, wanted, self._batch_size(batch_size))
        single = not isinstance(x, (list, tuple)) and count is None
        if isinstance(outputs, str):
            first = [value[wanted[0].name] for value in values]
            return first[0] if single else first
        return values[0] if single else values

    def compute(
        self,
        operation: str,
        values: Mapping[str, NDArray[np.generic]],
        labels: Mapping[str, str],
        wanted: Collection[str],
    ) -> Values:
        """Run an operation on tensors as its graphs take them, without any pre- or post-processing.

        Args:
            operation: one of `operations`.
            values: input name -> tensor with batch axis, in the input's value range; labels as int64 indices.
            labels: label input -> class, for the labels that steps depend on.
            wanted: names of the outputs; no graph runs that they do not need.
        """
        chosen = self._operation(operation)
        known: Values = dict(values)
        for step, graph_outputs in _needed(chosen.steps_for(dict(labels)), wanted):
            feeds = {name: known[value] for name, value in step.inputs.items()}
            made = self._sessions.run(step.graph, feeds, graph_outputs)
            known |= {step.outputs[name]: tensor for name, tensor in made.items()}
        return {name: known[name] for name in wanted}

    def _operation(self, name: str) -> Operation:
        operation = self.manifest.operation(name)
        if operation is None:
            raise UnknownOperationError(
                found=f"{self.manifest.name} has no operation {name!r}", expected=nearest(name, self.operations)
            )
        return operation

    def _batch_size(self, requested: int | None) -> int:
        if requested is not None and requested < 1:
            raise OptionError(found=f"batch_size={requested}", expected="at least 1")
        return requested or (1 if self._device.kind == "cpu" else GPU_BATCH)

    def _run_items(
        self, operation: Operation, items: Sequence[Item], kinds: Sequence[Kind], wanted: Sequence[Output], batch: int
    ) -> list[dict[str, Value]]:
        """Run the items in batches of equal size and branch; the order of the results is that of the items."""
        finished: dict[int, dict[str, Value]] = {}
        main = inputs.main_image(operation)
        for labels, members in _groups(operation, items):
            for start in range(0, len(members), batch):
                part = members[start : start + batch]
                tensors = self._run_batch(operation, [items[index] for index in part], labels, wanted)
                for row, index in enumerate(part):
                    fitted = items[index].pictures[main.name] if main else None
                    finished[index] = {
                        output.name: results.finish(output, tensors[output.name][row], fitted, kinds[index])
                        for output in wanted
                    }
        return [finished[index] for index in range(len(items))]

    def _run_batch(
        self, operation: Operation, items: Sequence[Item], labels: Mapping[str, str], wanted: Sequence[Output]
    ) -> Values:
        fed = {name for step in operation.steps_for(dict(labels)) for name in step.inputs.values()}
        values = {v.name: np.stack([item.tensor(v) for item in items]) for v in operation.inputs if v.name in fed}
        return self.compute(operation.name, values, labels, [output.name for output in wanted])


def _remove(folder: Path | None) -> None:
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


def _wanted(operation: Operation, names: str | Sequence[str]) -> list[Output]:
    available = {output.name: output for output in operation.outputs}
    images = [output for output in operation.outputs if isinstance(output, ImageOutput)]
    main = (images or list(operation.outputs))[0]
    wanted: list[Output] = []
    for name in [names] if isinstance(names, str) else names:
        output = available.get(name, main if name == "image" else None)
        if output is None:
            raise OptionError(found=f"{operation.name} has no output {name!r}", expected=nearest(name, available))
        wanted.append(output)
    if not wanted:
        raise OptionError(found="no outputs were asked for", expected=f"some of: {', '.join(available)}")
    return wanted


def _sources(
    operation: Operation, x: PictureSource | Sequence[PictureSource] | None, count: int | None
) -> list[PictureSource] | None:
    """The pictures of the main input, or None for an operation without one."""
    main = inputs.main_image(operation)
    if main is None:
        if x is not None:
            raise OptionError(found=f"a picture for {operation.name}", expected="none: it starts from nothing")
        if count is not None and count < 1:
            raise OptionError(found=f"count={count}", expected="at least 1")
        return None
    if x is None:
        raise OptionError(found=f"{operation.name} got no picture", fix=f"pass {main.name} as the first argument")
    if count is not None:
        raise OptionError(found=f"count={count} for {operation.name}", expected="as many results as pictures")
    return list(cast("Sequence[PictureSource]", x)) if isinstance(x, (list, tuple)) else [cast("PictureSource", x)]


def _groups(operation: Operation, items: Sequence[Item]) -> list[tuple[dict[str, str], list[int]]]:
    """Indices of items that may share a run: all pictures of one size, and the labels that choose steps equal."""
    branching = sorted({name for step in operation.steps for name in step.when})
    groups: defaultdict[tuple[object, ...], list[int]] = defaultdict(list)
    for index, item in enumerate(items):
        shapes = tuple(fitted.pixels.shape for fitted in item.pictures.values())
        groups[(shapes, *(item.labels[name] for name in branching))].append(index)
    return [({name: items[members[0]].labels[name] for name in branching}, members) for members in groups.values()]


def _needed(steps: Sequence[Step], wanted: Collection[str]) -> list[tuple[Step, list[str]]]:
    """The steps that lead to what is wanted, each with the graph outputs that are needed of it."""
    needed, plan = set(wanted), list[tuple[Step, list[str]]]()
    for step in reversed(steps):
        used = [name for name, value in step.outputs.items() if value in needed]
        if used:
            needed -= {step.outputs[name] for name in used}
            needed |= set(step.inputs.values())
            plan.append((step, used))
    return plan[::-1]
