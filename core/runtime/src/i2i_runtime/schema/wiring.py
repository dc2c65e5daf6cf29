"""Which steps of an operation have to run, and what they need: asked before anything is read or computed."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from i2i_runtime.schema.operations import GraphCall, GridInput, MaskInput, Operation, SizeInput


def needed_steps(steps: Sequence[GraphCall], wanted: Collection[str], given: Collection[str] = ()) -> list[GraphCall]:
    """The steps that lead to `wanted` from the inputs and from what is `given`, in their order.

    Each names only those of its graph's outputs that are needed of it.
    """
    needed, plan = set(wanted) - set(given), list[GraphCall]()
    for step in reversed(steps):
        used = {name: value for name, value in step.outputs.items() if value in needed}
        if used:
            needed -= set(used.values())
            needed |= set(step.inputs.values()) - set(given)
            plan.append(step.model_copy(update={"outputs": used}))
    return plan[::-1]


def needed_inputs(operation: Operation, given: Collection[str]) -> frozenset[str]:
    """The operation's inputs that still matter when some vectors between its steps are given.

    Without given vectors these are all inputs, also those that the chosen outputs could do without: what a call takes
    does not depend on what is asked of it.
    """
    names = {value.name for value in operation.inputs}
    if not given:
        return frozenset(names)
    outputs = [value.name for value in operation.outputs]
    fed: set[str] = set()
    for choice in operation.branches():
        steps = needed_steps(operation.steps_for(choice), outputs, given)
        fed |= {value for step in steps for value in step.inputs.values()} | {name for s in steps for name in s.when}
    return frozenset((fed | _shaping(operation, fed)) & names)


def _shaping(operation: Operation, fed: Collection[str]) -> set[str]:
    """The inputs that decide how large others are, or lie under them; no step has to name them."""
    named: set[str | None] = set()
    for value in operation.inputs:
        if isinstance(value, GridInput):
            named |= {value.name, value.image, value.left_shift, value.right_shift}
        elif isinstance(value, SizeInput) or (isinstance(value, MaskInput) and value.name in fed):
            named |= {value.name, value.image}
    return {name for name in named if name is not None}
