"""Which steps of an operation have to run, and what they need: asked before anything is read or computed."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from i2i_runtime.schema.operations import GraphCall, Operation


def needed_steps(steps: Sequence[GraphCall], wanted: Collection[str], given: Collection[str] = ()) -> list[GraphCall]:
    """Return the steps that lead to `wanted` from the inputs and from what is `given`, in their order.

    Each names only those of its graph's outputs that are needed of it.
    """
    needed, plan = set(wanted) - set(given), list[GraphCall]()
    for step in reversed(steps):
        used = {name: value for name, value in step.outputs.items() if value in needed}
        if used:
            needed -= set(used.values())
            needed |= set(step.inputs.values()) - set(given)
            plan.append(step if used == step.outputs else step.model_copy(update={"outputs": used}))
    return plan[::-1]


def needed_inputs(operation: Operation, given: Collection[str]) -> frozenset[str]:
    """Return the operation's inputs that still matter when some vectors between its steps are given.

    Without given vectors these are all inputs, also those that the chosen outputs could do without: what a call takes
    does not depend on what is asked of it.
    """
    if not given:
        return frozenset(operation.named)
    outputs = [value.name for value in operation.outputs]
    fed: set[str] = set()
    for choice in operation.branches():
        steps = needed_steps(operation.steps_for(choice), outputs, given)
        fed |= {value for step in steps for value in step.inputs.values()} | {name for s in steps for name in s.when}
    return _with_sources(operation, fed)


def _with_sources(operation: Operation, fed: Collection[str]) -> frozenset[str]:
    """Return the inputs that give one of these values, and those that they are made from."""
    made = {name: value.forms(operation.named).keys() for name, value in operation.named.items()}
    found, new = set[str](), {name for name, values in made.items() if name in fed or not values.isdisjoint(fed)}
    while new:
        found |= new
        new = {name for each in new for name in operation.named[each].uses(operation.named)} - found
    return frozenset(found)
