"""onnxruntime sessions of one bundle: made on first use, kept, shared by all threads."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from i2i_runtime.archive.opening import GraphSource
from i2i_runtime.device import providers as devices
from i2i_runtime.device.memory import lacks_memory
from i2i_runtime.device.providers import Device
from i2i_runtime.errors import BundleError, RunError, UsageError
from i2i_runtime.schema.graphs import GraphFile, TensorSpec
from i2i_runtime.schema.manifest import Manifest
from i2i_runtime.untrusted_text import printable

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

Tensor = NDArray[np.generic]


class Sessions:
    """The graphs of a bundle on one device.

    `run` may be called from several threads at once: onnxruntime's sessions allow it, and only their making is locked.
    """

    def __init__(self, manifest: Manifest, graphs: Mapping[str, GraphSource], device: Device, threads: int) -> None:
        self._manifest = manifest
        self._graphs = graphs
        self._device = device
        self._threads = threads
        self._made: dict[str, InferenceSession] = {}
        self._closed = False
        self._lock = threading.Lock()

    def run(self, graph: str, feeds: Mapping[str, Tensor], outputs: Sequence[str]) -> dict[str, Tensor]:
        """Compute the named outputs of a graph, and no others.

        Raises:
            UsageError: the sessions were closed.
            BundleError: the file of the graph is not here (a lone .onnx), or is not what the manifest says.
            RunError: onnxruntime failed, or an output has another shape than the manifest says, or holds values that
                are not finite.
        """
        session = self.session(graph)
        try:
            results = session.run(list(outputs), dict(feeds))
        except (MemoryError, *devices.failures()) as error:
            shapes = ", ".join(f"{name} {value.dtype}{list(value.shape)}" for name, value in feeds.items())
            reason = printable(str(error), 1000)
            if lacks_memory(error):
                raise RunError(
                    found=f"there was not enough memory for graph {graph!r} on {shapes}: {reason}",
                    expected="a size that fits into what is free",
                    fix="a smaller image or size; fit='resize', the model's own size; batch_size=1",
                ) from error
            raise RunError(found=f"graph {graph!r} failed on {shapes}: {reason}") from error
        values = dict(zip(outputs, (np.asarray(result) for result in results), strict=True))
        sides = _sides(self._manifest.graphs[graph], feeds)
        for spec in self._manifest.graphs[graph].outputs:
            if spec.name in values:
                _check_shape(graph, spec, values[spec.name], sides, {value.shape[:1] for value in feeds.values()})
                _check_finite(graph, spec.name, values[spec.name])
        return values

    def close(self) -> None:
        """Free the sessions; a later `run` is an error."""
        with self._lock:
            self._closed = True
            self._made.clear()

    def session(self, graph: str) -> InferenceSession:
        """Return the session of a graph, made when it is first asked for. Raises what `run` raises before it runs."""
        with self._lock:
            if self._closed:
                raise UsageError(found="the bundle is closed", fix="load it again")
            if graph not in self._made:
                self._made[graph] = self._make(graph)
            return self._made[graph]

    def _source(self, graph: str) -> GraphSource:
        """Raise BundleError for a graph that is not in the file that was loaded."""
        if graph not in self._graphs:
            here = ", ".join(source.where for source in self._graphs.values())
            raise BundleError(
                found=f"graph {graph!r} is needed and not here: {here} is one file of a bundle",
                fix="load the bundle's folder or zip",
            )
        return self._graphs[graph]

    def _make(self, graph: str) -> InferenceSession:
        record, source = self._manifest.graphs[graph], self._source(graph)
        ort = devices.onnxruntime()
        cache = self._engine_cache(source, ort.__version__)
        chain = devices.providers(self._device, fixed_size=_has_fixed_size(record), cache=cache)
        data = source.read()
        try:
            # When a device fails, its fallback prints so and goes on with the CPU, for which it keeps the bytes.
            session: InferenceSession = ort.InferenceSession(data, self._options(), providers=chain, enable_fallback=0)
        except (MemoryError, *devices.failures()) as error:
            reason = printable(str(error), 1000)
            if lacks_memory(error):
                raise RunError(
                    found=f"there was not enough memory to load {source.where} ({len(data)} bytes): {reason}",
                    fix="a machine with more memory, or one bundle at a time",
                ) from error
            raise BundleError(found=f"onnxruntime cannot load {source.where}: {reason}") from error
        vars(session)["_model_bytes"] = None
        devices.check_took(self._device, session.get_providers())
        _check_names(source.where, record, session)
        return session

    def _options(self) -> Any:  # noqa: ANN401 - onnxruntime has no type for its options
        options = devices.onnxruntime().SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # Bytes that look like its own other format would be read as that one, past what was checked.
        options.add_session_config_entry("session.load_model_format", "ONNX")
        if len(self._graphs) > 1:
            # Waiting threads that spin take the CPU from the session that works: 38 % slower in turns (measured).
            options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        return options

    def _engine_cache(self, source: GraphSource, version: str) -> Path | None:
        if self._device.kind != "tensorrt":
            return None
        folder = devices.cache_folder() / f"{source.sha256[:16]}-onnxruntime-{version}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def _has_fixed_size(record: GraphFile) -> bool:
    """Whether only the batch axis is free."""
    return all(isinstance(side, int) for tensor in record.inputs for side in tensor.shape[1:])


def _check_names(where: str, record: GraphFile, session: InferenceSession) -> None:
    for what, listed, actual in (
        ("inputs", record.inputs, session.get_inputs()),
        ("outputs", record.outputs, session.get_outputs()),
    ):
        names, real = {tensor.name for tensor in listed}, {node.name for node in actual}
        if names != real:
            raise BundleError(
                found=f"{where} has the {what} {printable(str(sorted(real)))}",
                expected=f"{sorted(names)}, as its manifest says",
            )


def _sides(record: GraphFile, feeds: Mapping[str, Tensor]) -> dict[str, int]:
    """Return the lengths of the free axes, by name, as they were fed; one that inputs disagree about says nothing."""
    found: dict[str, set[int]] = {}
    for spec in record.inputs:
        if spec.name in feeds:
            for side, length in zip(spec.shape, feeds[spec.name].shape, strict=False):
                if isinstance(side, str):
                    found.setdefault(side, set()).add(length)
    return {name: lengths.pop() for name, lengths in found.items() if len(lengths) == 1}


def _check_shape(
    graph: str, spec: TensorSpec, value: Tensor, sides: Mapping[str, int], batches: Collection[tuple[int, ...]]
) -> None:
    """Type, axes and fixed lengths as the manifest says; what is free and named as in an input has its length.

    The first axis is the batch of the inputs, whatever it is called. Raises RunError.
    """
    expected = [sides.get(side, side) if isinstance(side, str) else side for side in spec.shape]
    same = all(side == have or isinstance(side, str) for side, have in zip(expected, value.shape, strict=False))
    if value.dtype != spec.dtype or value.ndim != len(expected) or not same or value.shape[:1] not in batches:
        raise RunError(
            found=f"output {spec.name!r} of graph {graph!r} is {value.dtype}{list(value.shape)}",
            expected=f"{spec.dtype}[{', '.join(printable(str(side), 40) for side in expected)}], as the manifest says",
            fix="export the bundle again",
        )


def _check_finite(graph: str, name: str, value: Tensor) -> None:
    if np.issubdtype(value.dtype, np.floating) and not np.isfinite(value).all():
        count = int(value.size - np.isfinite(value).sum())
        raise RunError(
            found=f"output {name!r} of graph {graph!r} has {count} of {value.size} values that are not finite",
            expected="numbers",
            fix="an fp16 bundle may overflow on this image: export it with --precision fp32",
        )
