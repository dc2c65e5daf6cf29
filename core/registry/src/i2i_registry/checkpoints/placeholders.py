"""What stands for the classes, functions and objects that a pickle names: names and records without behaviour.

Old checkpoints are pickles of whole objects. Three things can happen to a global that such a file names:

- it is one of the few that rebuild tensors and plain containers (`i2i_registry.checkpoints.allowed_globals`): our own
  code does what the original would have done;
- it is a class or function of some package: it becomes a `PlaceholderName`, and calling it makes a
  `PlaceholderObject`, whatever the original would have done;
- it belongs to Python's standard library and is no plain data type (os.system, builtins.eval): the file is refused, and
  the name is told.

No module is imported on behalf of a file.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field

from i2i_registry.errors import CheckpointError
from i2i_runtime.untrusted_text import printable

_ANY = frozenset({"*"})
_PLAIN_BUILTINS = frozenset(
    [
        "object",
        "set",
        "frozenset",
        "bytearray",
        "bytes",
        "complex",
        "slice",
        "range",
        "int",
        "long",
        "float",
        "bool",
        "str",
        "unicode",
        "list",
        "tuple",
        "dict",
        "getattr",
    ]
)
_PLAIN: dict[str, frozenset[str]] = {
    "builtins": _PLAIN_BUILTINS,
    "__builtin__": _PLAIN_BUILTINS,
    "collections": frozenset({"OrderedDict", "defaultdict", "deque", "Counter", "ChainMap", "UserDict"}),
    "argparse": frozenset({"Namespace"}),
    "types": frozenset({"SimpleNamespace"}),
    "functools": frozenset({"partial"}),
    "copyreg": frozenset({"_reconstructor"}),
    "copy_reg": frozenset({"_reconstructor"}),
    "_codecs": frozenset({"encode"}),
    "datetime": _ANY,
    "decimal": _ANY,
    "fractions": _ANY,
    "pathlib": _ANY,
    "uuid": _ANY,
    "enum": _ANY,
    "random": frozenset({"Random"}),
}
"""Standard-library names that are plain data in checkpoints. They become names and records like any other."""

_PYTHON_2_MODULES = frozenset({"__builtin__", "commands", "copy_reg", "exceptions", "popen2", "urllib2", "thread"})
_STANDARD_LIBRARY = sys.stdlib_module_names | _PYTHON_2_MODULES


@dataclass(frozen=True, slots=True, eq=False)
class PlaceholderName:
    """A class or function that a file names. There is nothing behind it."""

    module: str
    name: str

    @property
    def type_name(self) -> str:
        """As the file names it: "package.module.Class"."""
        return f"{self.module}.{self.name}"


@dataclass(slots=True, eq=False, repr=False)
class PlaceholderObject:
    """What an object of a class we do not know left in a file: its arguments, state and items, without behaviour."""

    type_name: str
    """"package.module.Class", as the file names it"""
    args: tuple[object, ...] = ()
    """what it was called with, those with names last"""
    state: object = None
    """its attributes, mostly a dictionary"""
    items: dict[object, object] = field(default_factory=dict[object, object])
    """if it was a kind of dictionary"""
    values: list[object] = field(default_factory=list[object])
    """if it was a kind of list or set"""

    def __repr__(self) -> str:
        # Never what it holds: that may be large, or hold itself.
        return f"<{printable(self.type_name)}>"


def refuse_code(module_name: str, global_name: str) -> None:
    """Raise CheckpointError for a global of the standard library that is no plain data type."""
    if module_name.partition(".")[0] not in _STANDARD_LIBRARY:
        return
    plain = _PLAIN.get(module_name, frozenset[str]())
    if plain is _ANY or global_name in plain:
        return
    raise CheckpointError(
        found=f"the file would run {printable(f'{module_name}.{global_name}')} when it is opened; nothing was run",
        expected="tensors, numbers and text",
        fix="treat the file as malicious: delete it, and get the weights from their authors",
    )
