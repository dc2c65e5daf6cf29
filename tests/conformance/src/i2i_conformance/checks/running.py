"""The runtime gives what torch gives: every operation and branch, at edge sizes, for images as apps have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from i2i_conformance.calls import SEED, Call, own_size, smallest
from i2i_conformance.errors import ConformanceError
from i2i_conformance.promises import promised
from i2i_conformance.reference import run_operation
from i2i_registry.interfaces.model import Model
from i2i_runtime.bundle import Bundle
from i2i_runtime.errors import ImageError, OptionError
from i2i_runtime.kinds.base import RandomInput
from i2i_runtime.kinds.mask import MaskInput
from i2i_runtime.records import Record
from i2i_runtime.schema.operations import HeatmapOutput, ImageOutput, Operation

HALF_A_LEVEL = 0.5 / 255

Images = Sequence[NDArray[np.uint8]] | Sequence[NDArray[np.float32]]
Rows = list[dict[str, NDArray[np.generic]]]
"""one dictionary per item: output -> value"""


@promised("Model.operations")
def check_runtime_equals_torch(model: Model[Record], bundle: Bundle, call: Call) -> None:
    """Tensors from onnxruntime are those from torch, and images are torch's within half a step of 8 bits."""
    expected = _by_torch(model, call)
    feeds = {name: tensor.numpy() for name, tensor in call.tensors().items()}
    found = bundle.compute(call.operation.name, feeds, call.branch, list(expected))
    allowed = _allowed(model, call.operation)
    for name, tensor in expected.items():
        _check_close(f"{call}: {name}", found[name], tensor.numpy(), allowed)
    for output in call.operation.outputs:
        if isinstance(output, HeatmapOutput):
            _check_heatmap(f"{call}: {output.name}", expected[output.name])
        if isinstance(output, ImageOutput):
            _check_images(call, bundle, output, expected[output.name], allowed)


@promised("Model.operations")
def check_refuses_smaller(bundle: Bundle, operation: Operation) -> None:
    """An image below the smallest size is refused with a message, and never reaches the graph."""
    main = operation.main_image
    if main is None:
        return
    side = smallest(main.size) - main.size.multiple if main.size.dynamic else main.size.height - 1
    if side < 1:
        return
    image = np.zeros((side, side, main.channels), np.uint8)
    call = Call(operation, (side, side), 1, next(operation.branches()))
    try:
        bundle.run(operation.name, [image], call.options(), fit="native")
    except ImageError:
        return
    raise ConformanceError(
        found=f"{operation.name} took an image of {side}x{side} pixels",
        expected=main.size.describe(),
        fix="state the true minimum in SizeRule",
    )


@promised("Model.operations")
def check_refuses_small_results(bundle: Bundle, operation: Operation) -> None:
    """A result below the smallest size is refused with a message, and never reaches the graph."""
    value, main = operation.size, operation.main_image
    if value is None or max(value.minimum_height, value.minimum_width) == 1:
        return
    call = Call(operation, own_size(operation), 1, next(operation.branches()))
    small = (value.minimum_height - value.multiple, value.minimum_width - value.multiple)
    maps = {value.name for value in operation.of(RandomInput)}  # the runtime makes them as small
    options = {name: given for name, given in call.options().items() if name not in maps} | {"size": small}
    try:
        bundle.run(operation.name, call.images(main) if main else None, options, outputs=[operation.outputs[0].name])
    except OptionError:
        return
    raise ConformanceError(
        found=f"{operation.name} made a result of {small[0]}x{small[1]} pixels",
        expected=value.describe(),
        fix="state the true minimum in SizeInput",
    )


@promised("Model.operations")
def check_animation(bundle: Bundle, operation: Operation) -> None:
    """The frames of a walk differ from each other, and one seed gives the same ones again."""
    if operation.walk is None:
        return
    animations = [
        [np.asarray(frame) for frame in bundle.frames(operation.name, count=3, seed=seed)] for seed in (7, 7, 8)
    ]
    first, again, other = animations
    if not all(np.array_equal(one, two) for one, two in zip(first, again, strict=True)):
        raise ConformanceError(
            f"{operation.name}: seed 7 gives two animations", expected="one", fix="draw nothing in a graph"
        )
    still = np.array_equal(first[0], first[1]) or all(map(np.array_equal, first, other))
    if still:
        raise ConformanceError(
            found=f"{operation.name}: frames, or animations of two seeds, are equal",
            expected="a walk through the noise maps",
            fix="use the maps in the graph",
        )


@promised("Model.operations")
def check_repeats(bundle: Bundle, operation: Operation) -> None:
    """One seed gives the same bits twice; another seed gives something else, where anything is drawn at all."""
    first, again, other = (_drawn(bundle, operation, count=1, seed=seed)[0] for seed in (7, 7, 8))
    for name, value in first.items():
        if not np.array_equal(value, again[name]):
            raise ConformanceError(
                found=f"{operation.name}: {name} differs between two calls with seed 7",
                expected="the same bits",
                fix="draw nothing inside the graph: make it a latent input",
            )
    drawn = [value.name for value in operation.of(RandomInput) if value.is_drawn]
    if drawn and all(np.array_equal(value, other[name]) for name, value in first.items()):
        raise ConformanceError(
            found=f"{operation.name}: seeds 7 and 8 give the same outputs",
            expected=f"outputs that depend on {', '.join(drawn)}",
            fix="use the random vector in the graph, or delete the input",
        )


@promised("Model.operations")
def check_batch_invariance(model: Model[Record], bundle: Bundle, operation: Operation) -> None:
    """Three items in one batch give what they give one by one."""
    allowed = _allowed(model, operation)
    alone = _drawn(bundle, operation, count=3, seed=5, batch_size=1)
    together = _drawn(bundle, operation, count=3, seed=5, batch_size=3)
    for index, (one, row) in enumerate(zip(alone, together, strict=True)):
        for name, value in one.items():
            _check_close(f"{operation.name}: {name} of item {index} in a batch of 3", row[name], value, allowed)


@promised("Model.operations")
def check_every_input_matters(model: Model[Record], operation: Operation) -> None:
    """Another image, class or number gives another output."""
    call = Call(operation, own_size(operation), 2, next(operation.branches()))
    # Half-transparent masks show what is behind them as well.
    masks = {mask.name for mask in operation.of(MaskInput)}
    tensors = {name: tensor / 2 if name in masks else tensor for name, tensor in call.tensors().items()}
    base = run_operation(model, operation, tensors)
    unseen = _outside_graphs(operation)
    for value in (each for each in operation.inputs if each.name not in unseen):
        for name in value.forms(operation.named):
            changes = [{**tensors, name: torch.from_numpy(other)} for other in value.others(tensors[name].numpy())]
            results = [run_operation(model, operation, changed) for changed in changes]
            if results and all(_equal(base, result) for result in results):
                raise ConformanceError(
                    found=f"{operation.name}: changing the {value.noun()} {name!r} changes no output",
                    expected="inputs that matter",
                    fix="wire it to a graph that uses it, or delete it",
                )


def _outside_graphs(operation: Operation) -> set[str]:
    """The inputs that only the runtime uses: sizes, and the numbers that grids and walks are made from."""
    inputs = operation.named
    unfed = {name for name, value in inputs.items() if not value.forms(inputs)}
    fed = {name for step in operation.steps for name in step.inputs.values()}
    unfed |= {name for value in inputs.values() for name in value.uses(inputs) - fed}
    return unfed | ({operation.walk.pull, operation.walk.inertia} if operation.walk else set())


def _equal(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return all(torch.equal(tensor, other[name]) for name, tensor in one.items())


@dataclass(frozen=True, slots=True)
class _Allowed:
    """How far an operation may be from torch: most values, and the few that a graph lets be outliers."""

    error: float
    share: float
    outlier_error: float

    def misses(self, errors: NDArray[np.floating], extra: float = 0.0) -> bool:
        """Whether these errors are more than that, `extra` added to what each value may miss."""
        ordinary = float(np.quantile(errors, 1 - self.share)) if errors.size else 0.0
        return not (ordinary <= self.error + extra and float(errors.max(initial=0)) <= self.outlier_error + extra)


def _check_images(call: Call, bundle: Bundle, output: ImageOutput, expected: Tensor, allowed: _Allowed) -> None:
    """What `run` hands to an app for uint8 and for float images, against torch's tensor scaled to [0, 1]."""
    main = call.operation.main_image
    low, high = output.value_range
    unit = ((expected.numpy() - low) / (high - low)).clip(0, 1).transpose(0, 2, 3, 1)
    for images in (call.images(main), call.floats(main)) if main else (None,):
        fit, count = ("native", None) if images else (None, call.count)
        rows = bundle.run(
            call.operation.name, images, call.options(), outputs=[output.name], seed=SEED, fit=fit, count=count
        )
        for row, wanted in zip(rows, unit, strict=True):
            _check_image(f"{call}: {output.name}", row[output.name], wanted, allowed)


def _check_image(what: str, image: object, wanted: NDArray[np.float32], allowed: _Allowed) -> None:
    """`image`: an array of levels or of numbers in [0, 1], or a PIL image where the app gave none."""
    array = np.asarray(image)
    whole = not np.issubdtype(array.dtype, np.floating)
    found = array.astype(np.float32) / 255 if whole else array
    rounding = HALF_A_LEVEL if whole else 0.0
    errors = np.abs(found - wanted) if found.shape == wanted.shape else np.array([np.inf])
    if allowed.misses(errors, allowed.error + rounding):
        raise ConformanceError(
            found=f"{what} as {array.dtype} {array.shape} is {errors.max():.2g} away from torch's {wanted.shape} "
            "in [0, 1]",
            expected=f"at most {2 * allowed.error + rounding:.2g}",
            fix="value_range of the operation's inputs and outputs has to be that of the graph",
        )


def _check_close(what: str, found: NDArray[np.generic], expected: NDArray[np.generic], allowed: _Allowed) -> None:
    """Relative to the largest value; of levels in 8 bits, one step more: the same value may be rounded both ways."""
    if found.shape != expected.shape:
        raise ConformanceError(f"{what} has the shape {found.shape}", expected=str(expected.shape))
    largest = float(np.abs(expected).max(initial=0.0)) or 1.0
    errors = np.abs(found.astype(np.float64) - expected.astype(np.float64)) / largest
    if allowed.misses(errors, 1 / largest if np.issubdtype(found.dtype, np.integer) else 0.0):
        raise ConformanceError(
            found=f"{what} differs by {errors.max():.1e} of its largest value",
            expected=f"at most {allowed.error:.1e}",
            fix="statistics over the batch, sizes frozen while tracing, and unstable sums look like this",
        )


def _by_torch(model: Model[Record], call: Call) -> dict[str, Tensor]:
    try:
        return run_operation(model, call.operation, call.tensors())
    except RuntimeError as error:
        raise ConformanceError(
            found=f"{call}: torch fails: {error}",
            expected="a network that takes every size its SizeRule allows",
            fix="state the true minimum and multiple, in SizeRule and in the graph's axes",
        ) from error


def _allowed(model: Model[Record], operation: Operation) -> _Allowed:
    """The declared tolerances of the graphs that an operation calls, added up: errors travel along a chain."""
    graphs = model.graphs()
    chains = [[graphs[step.graph] for step in operation.steps_for(branch)] for branch in operation.branches()]
    error = max(sum(graph.tolerance for graph in chain) for chain in chains)
    tolerances = [graph.outliers for chain in chains for graph in chain if graph.outliers]
    share, outlier_error = (
        max((each.share for each in tolerances), default=0.0),
        max((s.tolerance for s in tolerances), default=0.0),
    )
    return _Allowed(error, share, max(error, outlier_error))


def _check_heatmap(what: str, tensor: Tensor) -> None:
    if tensor.ndim != 4 or tensor.shape[1] != 1 or bool((tensor < 0).any()):
        raise ConformanceError(
            found=f"{what} has the shape {tuple(tensor.shape)} and a smallest value of {float(tensor.min()):.3g}",
            expected="values of 0 or more, [n, 1, h, w]",
            fix="end it with a relu, a square or a sigmoid, or declare a vector",
        )


def _drawn(bundle: Bundle, operation: Operation, *, count: int, seed: int, batch_size: int | None = None) -> Rows:
    """All outputs for float images of the model's own size, every random vector drawn by the runtime.

    Without an image that goes in, those that come out are arrays of 8 bits.
    """
    main = operation.main_image
    call = Call(operation, own_size(operation), count, next(operation.branches()))
    names = [output.name for output in operation.outputs]
    images = call.floats(main) if main else None
    count_asked = None if main else count
    rows = bundle.run(
        operation.name, images, call.options(), outputs=names, seed=seed, batch_size=batch_size, count=count_asked
    )
    return [{name: np.asarray(value) for name, value in row.items()} for row in rows]
