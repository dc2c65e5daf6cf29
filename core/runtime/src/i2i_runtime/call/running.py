"""A call from images and options to results: what is asked for, how large it may be, the graphs, what comes back."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from i2i_runtime.archive.opening import OpenBundle
from i2i_runtime.call.arguments import gather
from i2i_runtime.call.batching import Call
from i2i_runtime.call.limits import Extent, Limits
from i2i_runtime.call.memory_use import bytes_per_pixel
from i2i_runtime.call.result_size import result_size
from i2i_runtime.call.results import ResultKind, Value, finish, kind_of
from i2i_runtime.device.providers import Device
from i2i_runtime.device.sessions import Sessions
from i2i_runtime.errors import OptionError, nearest
from i2i_runtime.image.faces import Landmarks
from i2i_runtime.image.reading import ImageSource
from i2i_runtime.image.resizing import Fit
from i2i_runtime.kinds.base import Option
from i2i_runtime.kinds.image import ImageColumn, ImageInput
from i2i_runtime.schema.operations import ImageOutput, Operation, Output

if TYPE_CHECKING:
    from typing_extensions import TypeIs

GPU_BATCH = 8
"""Images in one run on a GPU when the caller does not say. On a CPU it is 1: larger batches only cost memory."""

NamedOutputs = dict[str, Value]
"""The outputs of one result, by name, in the order in which they were asked for."""

Sides = tuple[int, int]
"""height and width, pixels"""

_SMALLER_IMAGE = "a smaller image, or fit='resize', the model's own size"
_SMALLER_SIZE = "a smaller size= or scale="
_MORE_MEMORY = "this is the model's own size: another bundle, or a machine with more memory"


class OperationRunner:
    """Runs the operations of an opened bundle on one device; `Bundle.run` documents the arguments."""

    def __init__(self, opened: OpenBundle, device: Device, threads: int, limits: Limits) -> None:
        self.sessions = Sessions(opened.manifest, opened.graphs, device, threads)
        self._manifest = opened.manifest
        self._graphs = opened.graphs
        self._on_cpu = device.kind == "cpu"
        self._limits = limits
        self._rates: dict[str, float] = {}

    def run(
        self,
        operation: Operation,
        x: ImageSource | Sequence[ImageSource] | None,
        options: Mapping[str, Option],
        *,
        outputs: Sequence[str] = ("image",),
        seed: int | None = None,
        fit: Fit | None = None,
        batch_size: int | None = None,
        count: int | None = None,
    ) -> list[NamedOutputs]:
        """Return the outputs of each item. Raises what `Bundle.run` raises."""
        wanted = _wanted(operation, outputs)
        sources = sources_of(operation, x, count)
        kinds = [ResultKind.PIL] * (count or 1) if sources is None else [kind_of(source) for source in sources]
        batch = self._batch_size(batch_size)
        together = min(len(kinds), batch)
        planned = self._check_planned(operation, options, fit, together)
        shapes = self._manifest.vector_shapes(operation, options)
        gathered = gather(
            operation, sources, len(kinds), options, fit=fit, seed=seed, shapes=shapes, locate=self._locate
        )
        way_out = _SMALLER_SIZE if operation.size else _SMALLER_IMAGE
        self._check_sizes(operation, gathered.extents() - planned, together, way_out)
        main = operation.main_image
        images = gathered.column(main.name, ImageColumn).images if main and main.name in gathered.columns else None
        rows: list[NamedOutputs] = [{} for _ in kinds]
        for index, tensors in Call(operation, self.sessions, wanted, shapes, batch).run(gathered.columns, len(kinds)):
            image = images[index] if images else None
            rows[index] = {each.name: finish(each, tensors[each.name], image, kinds[index]) for each in wanted}
        return rows

    def _check_planned(
        self, operation: Operation, options: Mapping[str, Option], fit: Fit | None, together: int
    ) -> set[Sides]:
        """Check and return the sizes that are known before images are brought to them, or noise is drawn."""
        own = {
            (value.size.height, value.size.width)
            for value in operation.of(ImageInput)
            if (fit or value.fit) != "native"
        }
        self._check_sizes(operation, own, together, _MORE_MEMORY)
        if operation.size is None or operation.size.image:
            return own
        chosen = {result_size(operation, None, options, fit=fit)}
        self._check_sizes(operation, chosen, together, _SMALLER_SIZE)
        return own | chosen

    def _check_sizes(self, operation: Operation, sizes: Collection[Sides], together: int, way_out: str) -> None:
        """Raise ImageError for a size beyond what `load` allows."""
        for height, width in sizes:
            extent = Extent(height, width, together)
            self._limits.check(extent, lambda: self._rate(operation), on_cpu=self._on_cpu, way_out=way_out)

    def _rate(self, operation: Operation) -> float:
        """Bytes a pixel, measured when it is first asked for."""
        if operation.name not in self._rates:
            self._rates[operation.name] = bytes_per_pixel(operation, self._manifest, self._graphs)
        return self._rates[operation.name]

    def _locate(self, which: Landmarks, images: NDArray[np.float32]) -> NDArray[np.generic]:
        return self.sessions.run(which.graph, {which.input: images}, [which.output])[which.output]

    def _batch_size(self, requested: int | None) -> int:
        if requested is not None and requested < 1:
            raise OptionError(found=f"batch_size={requested}", expected="at least 1")
        return requested or (1 if self._on_cpu else GPU_BATCH)


def sources_of(
    operation: Operation, x: ImageSource | Sequence[ImageSource] | None, count: int | None = None
) -> list[ImageSource] | None:
    """Return the images of the main input, `count` times the same one if asked, or None where there is none.

    Raises OptionError for an image that is missing, one too many, or a count that cannot be.
    """
    if count is not None and count < 1:
        raise OptionError(found=f"count={count}", expected="at least 1")
    main = operation.main_image
    if main is None:
        if x is not None:
            raise OptionError(found=f"an image for {operation.name}", expected="none: it starts from nothing")
        return None
    if x is None:
        raise OptionError(found=f"{operation.name} got no image", fix=f"pass {main.name} as the first argument")
    if is_one(x):
        return [x] * (count or 1)
    if count is not None:
        raise OptionError(
            found=f"count={count} and a list of {len(x)} images",
            expected="several results of one image, or one result of each image",
        )
    return list(x)


def is_one(x: ImageSource | Sequence[ImageSource] | None) -> TypeIs[ImageSource | None]:
    """Whether a caller passed one image, or none, and not a list of them."""
    return not isinstance(x, (list, tuple))


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
