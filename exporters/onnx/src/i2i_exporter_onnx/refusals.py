"""Constructs that torch exports to ONNX without an error and wrongly, or not at all, refused by name.

Found by measurement; the parity gate would catch most of them too, but only this says what to write instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import torch
from torch import SymInt, Tensor
from torch.export import ExportedProgram
from torch.fx import GraphModule, Node
from torch.overrides import TorchFunctionMode

from i2i_registry.errors import ExportError

RANDOM = frozenset(
    {
        "alpha_dropout",
        "bernoulli",
        "exponential",
        "feature_alpha_dropout",
        "feature_dropout",
        "geometric",
        "multinomial",
        "native_dropout",
        "normal",
        "normal_functional",
        "poisson",
        "rand",
        "rand_like",
        "randint",
        "randint_like",
        "randn",
        "randn_like",
        "random",
        "randperm",
        "rrelu_with_noise",
        "uniform",
    }
)
SOLVERS = frozenset(
    {
        "_linalg_det",
        "_linalg_eigh",
        "_linalg_solve_ex",
        "_linalg_svd",
        "cholesky_solve",
        "inverse",
        "linalg_cholesky",
        "linalg_cholesky_ex",
        "linalg_det",
        "linalg_eigh",
        "linalg_inv",
        "linalg_inv_ex",
        "linalg_lu",
        "linalg_lstsq",
        "linalg_pinv",
        "linalg_qr",
        "linalg_solve",
        "linalg_solve_ex",
        "linalg_solve_triangular",
        "linalg_svd",
    }
)
TRAINING_FLAG = {"batch_norm": 5, "native_batch_norm": 5, "_native_batch_norm_legit": 5, "dropout": 2}
"""operator -> position of the argument that switches its training behaviour on"""

_OVERLOAD = type(torch.ops.aten.relu.default)
"""the class of traced operators, which has no public name"""

DATA_DEPENDENT = "compute sizes from shapes of inputs, or make the number a graph input that only enters arithmetic"


def refuse(program: ExportedProgram, graph: str) -> None:
    """Raise ExportError naming the first construct of the traced program that would be exported wrongly."""
    for node in _calls(program):
        reason = _REASONS.get(_operator(node), _fine)(node)
        if reason is not None:
            found, fix = reason
            raise ExportError(
                found=f"graph {graph!r} uses {found}{_place(node)}",
                expected="only constructs whose export was measured to be right",
                fix=fix,
            )


class FreeLengths(TorchFunctionMode):
    """Watches a trace for calls that fix a free length while they are traced, of which the program shows nothing."""

    def __init__(self, graph: str) -> None:
        super().__init__()
        self.graph = graph

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: object,
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        """Call through. Raises ExportError for linspace and logspace with a length that depends on an input's shape."""
        given = kwargs or {}
        if func in {torch.linspace, torch.logspace} and any(
            isinstance(value, SymInt) for value in (*args, *given.values())
        ):
            raise ExportError(
                found=f"graph {self.graph!r} uses {func.__name__} with a length that is free",
                expected="only constructs whose export was measured to be right",
                fix="write start + step * torch.arange(length)",
            )
        return func(*args, **given)


Reason = tuple[str, str]
"""(what was found, what to write instead)"""


def _batch_statistics(node: Node) -> Reason | None:
    if not _argument(node, TRAINING_FLAG[_operator(node)]):
        return None
    return (
        "batch norm with the statistics of the batch (training=True)",
        "for per-image statistics write F.instance_norm(x) * weight + bias; for a frozen norm pass training=False",
    )


def _dropout(node: Node) -> Reason | None:
    if not _argument(node, TRAINING_FLAG["dropout"]):
        return None
    return "dropout that stays on (training=True)", "use nn.Dropout, which evaluation mode turns off"


def _random(node: Node) -> Reason | None:
    return f"random numbers ({_operator(node)})", "make the noise an input of the graph; the runtime draws it by seed"


def _solver(node: Node) -> Reason | None:
    return f"{_operator(node)}, which ONNX does not have", "solve it outside and make the result an input of the graph"


def _adaptive_pool(node: Node) -> Reason | None:
    """Pooling to 1 is exact; a larger target freezes the kernel at the traced size when the side is free."""
    source, targets = node.args[0], node.args[1]
    if not isinstance(source, Node) or not isinstance(targets, list | tuple):
        return None
    value = source.meta["val"]
    sides = value.shape[-len(targets) :] if isinstance(value, Tensor) else ()
    if all(target == 1 or not isinstance(side, SymInt) for side, target in zip(sides, targets, strict=True)):
        return None
    return (
        f"adaptive pooling to {list(targets)} from a side that is free",
        "pool with a kernel of known size, pool to 1, or make height and width fixed numbers",
    )


def _item(_: Node) -> Reason | None:
    return "a value read out of a tensor (.item())", DATA_DEPENDENT


def _fine(_: Node) -> Reason | None:
    return None


_REASONS: Mapping[str, Callable[[Node], Reason | None]] = {
    **dict.fromkeys(RANDOM, _random),
    **dict.fromkeys(SOLVERS, _solver),
    **dict.fromkeys(("batch_norm", "native_batch_norm", "_native_batch_norm_legit"), _batch_statistics),
    **{f"adaptive_{kind}_pool{rank}d": _adaptive_pool for kind in ("avg", "max") for rank in (1, 2, 3)},
    **dict.fromkeys(("item", "_local_scalar_dense"), _item),
    "dropout": _dropout,
}


def _calls(program: ExportedProgram) -> Iterator[Node]:
    for part in program.graph_module.modules():
        if isinstance(part, GraphModule):
            yield from (node for node in part.graph.nodes if node.op == "call_function")


def _operator(node: Node) -> str:
    """Return the bare name: batch_norm for aten::batch_norm, dropout for the in-place aten::dropout_.

    Empty for the rest.
    """
    if not isinstance(node.target, _OVERLOAD):
        return ""
    return node.target.name().partition("::")[2].partition(".")[0].rstrip("_")


def _argument(node: Node, position: int) -> object:
    return node.args[position] if position < len(node.args) else None


def _place(node: Node) -> str:
    """Where in the author's code the call stands, when the tracer knows."""
    lines = [line.strip() for line in str(node.meta.get("stack_trace") or "").splitlines() if line.strip()]
    places = [line for line in lines if line.startswith("File ")]
    return f" ({places[-1]})" if places else ""
