"""An unpickler that builds tensors and inert records, and nothing else.

Old checkpoints are pickles of whole objects. Three things can happen to a global that such a file names:

- it is on the short allow-list of functions that rebuild tensors and sets: it is called, through a wrapper that the
  file cannot alter;
- it is a class or function of some package: it becomes an `InertRecord` type that stores what it is given; calling it
  makes a record, whatever the original would have done;
- it belongs to Python's standard library and is no plain data type (os.system, builtins.eval): the file is refused, and
  the name is told.

No module is imported on behalf of a file.
"""

from __future__ import annotations

import collections
import io
import pickle
import sys
from collections.abc import Callable
from typing import BinaryIO, ClassVar, Self

import torch
from torch import _utils  # pyright: ignore[reportPrivateUsage] - what tensors are pickled as has no public name

from i2i_registry.errors import CheckpointError

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
    "collections": frozenset({"defaultdict", "deque", "Counter", "ChainMap", "UserDict"}),
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
"""Standard-library names that are plain data in checkpoints. They become records like any other class."""

_PYTHON_2_MODULES = frozenset({"__builtin__", "commands", "copy_reg", "exceptions", "popen2", "urllib2", "thread"})
_STANDARD_LIBRARY = sys.stdlib_module_names | _PYTHON_2_MODULES


class InertRecord:
    """What an object of a class we do not know left in a file: its arguments, state and items, without behaviour."""

    type_name: ClassVar[str] = ""
    """"package.module.Class", as the file names it"""
    dump_patches: ClassVar[bool] = False
    """torch asks whole modules for this, and writes files when it is true"""

    args: tuple[object, ...]
    state: object
    items: dict[object, object]
    values: list[object]

    def __new__(cls, *args: object, **kwargs: object) -> Self:
        """Take any arguments. pickle makes most objects by `__new__` alone, and then sets their state."""
        record = super().__new__(cls)
        record.args = (*args, *kwargs.values())
        record.state, record.items, record.values = None, {}, []
        return record

    def __setstate__(self, state: object) -> None:
        self.state = state

    def __setitem__(self, key: object, value: object) -> None:
        self.items[key] = value

    def append(self, value: object) -> None:
        """Take an item, if the object was a kind of list."""
        self.values.append(value)

    def extend(self, values: list[object]) -> None:
        """Take items, if the object was a kind of list."""
        self.values.extend(values)

    def add(self, value: object) -> None:
        """Take an item, if the object was a kind of set."""
        self.values.append(value)


class _Sealed:
    """A function that a file may call but not alter: pickle's BUILD would set attributes on a bare function."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., object]) -> None:
        self._function = function

    def __call__(self, *args: object) -> object:
        return self._function(*args)

    def __setstate__(self, _state: object) -> None:
        raise pickle.UnpicklingError("the file sets attributes on a function")


def _from_type(rebuild: object, _kind: object, args: tuple[object, ...], _state: object) -> object:
    """A tensor of a subclass, or with attributes: the plain tensor."""
    if not isinstance(rebuild, _Sealed):
        raise pickle.UnpicklingError("the file rebuilds a tensor with something that is no rebuild function")
    return rebuild(*args)


def _parameter_with_state(data: object, *_rest: object) -> object:
    """A parameter with attributes: its tensor."""
    return data


def _reconstruct(kind: object, _base: object, _state: object) -> object:
    """How protocols 0 and 1 make an object: the class is a record type here, and the base is not needed."""
    if isinstance(kind, type) and issubclass(kind, InertRecord):
        return kind()
    raise pickle.UnpicklingError(f"the file rebuilds {kind!r}, which is no class of its own")


class InertUnpickler(pickle.Unpickler):
    """Reads one pickle under the rules of this module. Raises CheckpointError for a file that would run code."""

    # The first are torch's own reading of its tensors; they have been stable since 2018.
    _allowed: ClassVar[dict[tuple[str, str], Callable[..., object]]] = {
        ("torch._utils", "_rebuild_tensor"): _utils._rebuild_tensor,  # pyright: ignore[reportPrivateUsage]  # noqa: SLF001
        ("torch._utils", "_rebuild_tensor_v2"): _utils._rebuild_tensor_v2,  # pyright: ignore[reportPrivateUsage]  # noqa: SLF001
        ("torch._utils", "_rebuild_parameter"): _parameter_with_state,
        ("torch._utils", "_rebuild_parameter_with_state"): _parameter_with_state,
        ("torch._tensor", "_rebuild_from_type_v2"): _from_type,
        ("torch", "Size"): lambda sizes=(): tuple(sizes),  # pyright: ignore[reportUnknownLambdaType]
        ("builtins", "set"): set,
        ("__builtin__", "set"): set,
        ("copyreg", "_reconstructor"): _reconstruct,
        ("copy_reg", "_reconstructor"): _reconstruct,
    }

    def find_class(self, module_name: str, global_name: str, /) -> object:
        """What a global of the file stands for; never the global itself, but for ordered dicts and dtypes."""
        if (module_name, global_name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module_name, global_name) == ("torch.storage", "_load_from_bytes"):
            return _Sealed(_load_from_bytes)
        function = self._allowed.get((module_name, global_name))
        if function is not None:
            return _Sealed(function)
        if module_name == "torch" and isinstance(vars(torch).get(global_name), torch.dtype):
            return vars(torch)[global_name]
        _refuse_code(module_name, global_name)
        return record_type(f"{module_name}.{global_name}")


def record_type(type_name: str) -> type[InertRecord]:
    """A record type for the class of that name; a new one for every mention, so that files cannot meet in it."""
    return type("InertRecord", (InertRecord,), {"type_name": type_name})


def load(file: BinaryIO, **_ignored: object) -> object:
    """Read one pickle. Text of Python 2 is taken byte for byte. Raises CheckpointError and pickle's own errors."""
    return InertUnpickler(file, encoding="latin1").load()


class PickleModule:
    """What torch's reader of its own containers wants in place of the module `pickle`."""

    Unpickler = InertUnpickler
    load = staticmethod(load)


def load_torch(file: BinaryIO) -> object:
    """Read a file of torch.save, in any of its formats that are not tar, under the rules of this module."""
    # weights_only names torch's own unpickler; here ours takes its place, and is stricter about what may be called.
    return torch.load(file, map_location="cpu", pickle_module=PickleModule, weights_only=False)  # noqa: TID251


def _load_from_bytes(data: bytes) -> object:
    """How a storage is pickled outside torch.save (NVlabs): a whole torch file inside the pickle."""
    return load_torch(io.BytesIO(data))


def _refuse_code(module_name: str, global_name: str) -> None:
    if module_name.partition(".")[0] not in _STANDARD_LIBRARY:
        return
    plain = _PLAIN.get(module_name, frozenset[str]())
    if plain is _ANY or global_name in plain:
        return
    raise CheckpointError(
        found=f"the file would run {module_name}.{global_name} when it is opened; nothing was run",
        expected="tensors, numbers and text",
        fix="treat the file as malicious: delete it, and get the weights from their authors",
    )
