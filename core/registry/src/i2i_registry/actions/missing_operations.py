"""Why weights cannot do what others of their model can: a generator alone has no encoder to read a style with."""

from __future__ import annotations

from collections.abc import Sequence

from i2i_registry.plugins.discovery import Registry
from i2i_runtime.schema.operations import Operation


def why_missing(registry: Registry, model: str, target: str, operations: Sequence[Operation], name: str) -> str:
    """Return what `target`, weights or a bundle of `model`, is missing for the operation `name`, and where to get it.

    Or nothing.

    `operations` are those that it has. The others of its model are told from its presets, which needs its plugin.
    """
    if model not in registry.models or name not in registry.model_card(model).operations:
        return ""
    held = {step.graph for operation in operations for step in operation.steps}
    for preset, wanted in _presets_with(registry, model, name).items():
        missing = sorted({step.graph for step in wanted.steps} - held)
        if missing:
            part = ", ".join(missing)
            return (
                f"{model} can do it, but {target} is missing the part it needs ({part}): import or train weights "
                f"that have it, as the preset {preset!r} does"
            )
    return ""


def _presets_with(registry: Registry, model: str, name: str) -> dict[str, Operation]:
    """Preset -> its operation of this name; from the model as small as it gets."""
    model_class = registry.model_class(model)
    return {
        preset: operation
        for preset, config in model_class.presets.items()
        for operation in model_class(model_class.shrunk(config)).operations()
        if operation.name == name
    }
