"""How much memory an operation takes for each pixel: measured on a small image, so that a large one can be refused.

Every value that a node of a graph makes is asked for, at some 64 pixels a side. How long each of them is needed follows
from the order of the nodes, so the largest sum of those needed at once is what the graph holds there. onnxruntime holds
less where it fuses nodes and works in place, and more where it copies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from i2i_runtime.archive.onnx_files import giving, nodes_of
from i2i_runtime.archive.opening import GraphSource
from i2i_runtime.call.arguments import gather
from i2i_runtime.call.batching import Call
from i2i_runtime.device import providers as devices
from i2i_runtime.device.sessions import Sessions, Tensor
from i2i_runtime.errors import I2IError, RunError
from i2i_runtime.kinds.image import ImageInput
from i2i_runtime.schema.manifest import Manifest
from i2i_runtime.schema.operations import Operation

ASSUMED = 4096.0
"""Bytes a pixel of an operation that cannot be tried."""

MOST = 16_384.0
"""Bytes a pixel that no network of this kind takes: what fits at this rate need not be measured."""

REACH = 3.0
"""What onnxruntime takes for each byte that its values need at once: its arena grows in powers of two, and convolutions
keep copies in another order. Measured on the CPU: 2.4 at most, at 3 megapixels."""

COPIES = 100
"""Bytes a pixel that this runtime takes besides: the image as levels and as numbers, and the result as both."""

_SIDE = 64
_LARGEST_TRY = 2**20
"""pixels of a fixed size; an operation that is larger is not tried"""


def bytes_per_pixel(operation: Operation, manifest: Manifest, graphs: Mapping[str, GraphSource]) -> float:
    """Most memory that a call takes, for each pixel of the operation's image or result, whichever is larger.

    ASSUMED where the operation cannot be tried.
    """
    images = {value.name: _image(value) for value in operation.of(ImageInput)}
    pixels = [image.shape[0] * image.shape[1] for image in images.values()]
    own = operation.size.height * operation.size.width if operation.size and not operation.size.image else 0
    if max([own, *pixels]) > _LARGEST_TRY:
        return ASSUMED
    main = operation.main_image
    counting = _Counting(manifest, graphs)
    try:
        call = gather(
            operation,
            [images[main.name]] if main else None,
            1,
            {value.name: value.examples(images)[0] for value in operation.free_inputs if value.is_required},
            fit="native" if main else None,
            seed=0,
        )
        ((_, tensors),) = Call(operation, counting, operation.outputs, (), 1).run(call.columns, 1)
    except I2IError:
        return ASSUMED
    maps = [tensor for tensor in tensors.values() if tensor.ndim == 3]  # noqa: PLR2004 - channels, height, width
    pixels += [tensor.shape[1] * tensor.shape[2] for tensor in maps]
    return REACH * counting.peak / max(pixels, default=1) + COPIES


def _image(value: ImageInput) -> NDArray[np.float32]:
    """Return a small image that may be fed as it is: noise, so that nothing is 0 by chance."""
    rule = value.size
    height, width = rule.height, rule.width
    if rule.dynamic:
        height = width = -(-max(_SIDE, rule.minimum) // rule.multiple) * rule.multiple
    if height * width > _LARGEST_TRY:
        return np.empty((height, width, 0), np.float32)  # takes no memory, and is not fed
    return np.random.default_rng(0).random((height, width, value.channels), dtype=np.float32)


class _Counting(Sessions):
    """Runs each graph with all its values as outputs, on the CPU, and keeps the most bytes needed at once."""

    def __init__(self, manifest: Manifest, graphs: Mapping[str, GraphSource]) -> None:
        super().__init__(manifest, graphs, devices.Device("cpu", 0, "to measure memory"), threads=1)
        self.peak = 0

    def run(self, graph: str, feeds: Mapping[str, Tensor], outputs: Sequence[str]) -> dict[str, Tensor]:
        """As `Sessions.run`, without its checks."""
        ort = devices.onnxruntime()
        data = self._source(graph).read()
        nodes = nodes_of(data)
        given = {tensor.name for tensor in self._manifest.graphs[graph].outputs}
        inner = [name for _, made in nodes for name in made if name not in given]
        options = self._options()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        try:
            session = ort.InferenceSession(
                giving(data, inner), options, providers=[devices.PROVIDERS["cpu"]], enable_fallback=0
            )
            names = [node.name for node in session.get_outputs()]
            values = dict(zip(names, map(np.asarray, session.run(names, dict(feeds))), strict=True))
        except devices.failures() as error:
            raise RunError(found=f"graph {graph!r} cannot be measured: {error}") from error
        sizes = {name: value.nbytes for name, value in (*feeds.items(), *values.items())}
        self.peak = max(self.peak, _most_at_once(nodes, sizes, {*feeds, *given}))
        return {name: values[name] for name in outputs}


def _most_at_once(nodes: Sequence[tuple[list[str], list[str]]], sizes: Mapping[str, int], kept: set[str]) -> int:
    """Bytes: each value lives from the node that makes it to the last that takes it; those `kept` live all the time."""
    last = {name: index for index, (taken, _) in enumerate(nodes) for name in taken}
    live = sum(sizes.get(name, 0) for name in kept)
    most = live
    for index, (taken, made) in enumerate(nodes):
        live += sum(sizes.get(name, 0) for name in made if name not in kept)
        most = max(most, live)
        ended = [name for name in {*taken, *made} if last.get(name, index) == index and name not in kept]
        live -= sum(sizes[name] for name in ended if name in sizes)
    return most
