"""Questions to the autograd graph."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor


def reaches(total: Tensor, tensors: Iterable[Tensor]) -> bool:
    """Whether a backward pass from `total` runs through the graph that made one of `tensors`."""
    targets = {tensor.grad_fn for tensor in tensors if tensor.grad_fn is not None}
    pending, seen = [total.grad_fn], {total.grad_fn}
    while pending:
        node = pending.pop()
        if node is None:
            continue
        if node in targets:
            return True
        for following, _ in node.next_functions:
            if following not in seen:
                seen.add(following)
                pending.append(following)
    return False
