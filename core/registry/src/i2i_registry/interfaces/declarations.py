"""What a model declares, looked at before anything is made with it: operations, and graphs that they can call.

Asked before a training takes its first step and before a checkpoint is stored, so that nobody trains for days what no
export can ever carry. What only running tells is the exporter's to find.
"""

from __future__ import annotations

from pydantic import ValidationError

from i2i_registry.interfaces.config_values import as_set
from i2i_registry.interfaces.model import Model
from i2i_registry.interfaces.resolved_graphs import resolved_graphs
from i2i_runtime.errors import OptionError
from i2i_runtime.records import Record


def check_declarations(model: Model[Record]) -> None:
    """Check that the model's Config has operations, and that its graphs take what they feed.

    Raises OptionError when the Config is one that no operation allows, and PluginError when operations and graphs do
    not go together.
    """
    try:
        resolved_graphs(model)
    except ValidationError as error:
        raise _refused(
            model, "; ".join(each["msg"].removeprefix("Value error, ") for each in error.errors())
        ) from error
    except ValueError as error:
        raise _refused(model, str(error)) from error


def _refused(model: Model[Record], reason: str) -> OptionError:
    config, usual = model.config, next(iter(type(model).presets.values()))
    changed = [key for key, value in usual if getattr(config, key) != value and isinstance(value, int | float | str)]
    given = ", ".join(f"{key}={getattr(config, key)}" for key in changed)
    return OptionError(
        found=f"{model.name} with {given or 'the values of its preset'}: {reason}",
        expected="values with which what is trained can be exported and run",
        fix=f"values that go together: {as_set(usual, changed)}" if changed else "this is a fault of the plugin",
    )
