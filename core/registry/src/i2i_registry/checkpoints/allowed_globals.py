"""What the names in a pickle stand for: tensors are rebuilt by our own code, all else becomes names and records.

Old checkpoints are pickles of whole objects. Three things can happen to a global that such a file names:

- it is one of the few that rebuild tensors and plain containers: our own code does what the original would have done;
- it is a class or function of some package: it becomes a `PlaceholderName`, and calling it makes a
  `PlaceholderObject`, whatever the original would have done;
- it belongs to Python's standard library and is no plain data type (os.system, builtins.eval): the file is refused, and
  the name is told.

No module is imported on behalf of a file.
"""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import Tensor

from i2i_registry.checkpoints.limits import (
    ARGUMENTS_PER_STEP,
    MOST_NAME_LENGTH,
    STEPS_PER_OBJECT,
    Allowance,
    DamageError,
)
from i2i_registry.checkpoints.placeholders import PlaceholderName, PlaceholderObject
from i2i_registry.checkpoints.restricted_unpickler import check_key
from i2i_registry.checkpoints.storages import Storage, UnreadTensor, rebuilt
from i2i_registry.errors import CheckpointError
from i2i_runtime.type_guards import is_dict, is_list_or_tuple, is_tuple
from i2i_runtime.untrusted_text import printable

Arguments = tuple[object, ...]

_OTHER_TENSORS = {
    "_rebuild_sparse_tensor": "is sparse",
    "_rebuild_sparse_csr_tensor": "is sparse",
    "_rebuild_nested_tensor": "is nested",
    "_rebuild_qtensor": "is quantised",
    "_rebuild_meta_tensor_no_storage": "has no values: it was saved from the device 'meta'",
    "_rebuild_device_tensor_from_numpy": "was saved as a NumPy array of another device",
    "_rebuild_device_tensor_from_cpu_tensor": "was saved as a copy for another device",
    "_rebuild_xla_tensor": "was saved as a NumPy array of another device",
    "_rebuild_wrapper_subclass": "is of a class that wraps others",
}
"""function of torch._utils -> what a tensor that it rebuilds is; none of them can be weights of ours"""


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


class TensorMeanings:
    """The meanings of the pickles of one file. Every other class and function is a name without behaviour."""

    def __init__(
        self,
        allowance: Allowance,
        persistent: Callable[[object], object],
        inner_file: Callable[[bytes], object],
    ) -> None:
        """Take `persistent`, for what the container knows by an identity, and `inner_file`, for files in bytes."""
        self._allowance = allowance
        self.persistent = persistent
        self._inner_file = inner_file
        self._names: dict[tuple[str, str], object] = {}
        rebuilds: dict[tuple[str, str], Callable[[Arguments], object]] = {
            ("torch._utils", "_rebuild_tensor"): _tensor,
            ("torch._utils", "_rebuild_tensor_v2"): _tensor_v2,
            ("torch._utils", "_rebuild_tensor_v3"): _tensor_v3,
            ("torch._utils", "_rebuild_parameter"): _first,
            ("torch._utils", "_rebuild_parameter_with_state"): _first,
            **{("torch._utils", name): _unread(what) for name, what in _OTHER_TENSORS.items()},
        }
        self._rebuilds = rebuilds
        self._calls: dict[tuple[str, str], Callable[[Arguments], object]] = {
            **rebuilds,
            ("torch._tensor", "_rebuild_from_type_v2"): self._tensor_of_type,
            ("torch.storage", "_load_from_bytes"): self._storage_in_bytes,
            ("torch", "Size"): _sizes,
            ("collections", "OrderedDict"): self._ordered_dict,
            ("builtins", "set"): self._set,
            ("__builtin__", "set"): self._set,
            ("builtins", "bytes"): _bytes,
            ("__builtin__", "bytes"): _bytes,
            ("builtins", "getattr"): self._attribute,
            ("__builtin__", "getattr"): self._attribute,
            ("copyreg", "_reconstructor"): _object_of_class,
            ("copy_reg", "_reconstructor"): _object_of_class,
            ("_codecs", "encode"): self._encoded,
        }

    def find(self, module: str, name: str) -> object:
        """Return a dtype of torch, or a name; the same name is the same object.

        Raises CheckpointError for what runs code.
        """
        key = (module, name)
        if key not in self._names:
            if len(module) + len(name) > MOST_NAME_LENGTH:
                raise DamageError(f"it names a class in more than {MOST_NAME_LENGTH} characters")
            _refuse_code(module, name)
            dtype = vars(torch).get(name) if module == "torch" else None
            self._names[key] = dtype if isinstance(dtype, torch.dtype) else PlaceholderName(module, name)
        return self._names[key]

    def call(self, function: object, args: Arguments) -> object:
        """Return what a call makes: a tensor, a plain container, or a record of the call."""
        if not isinstance(function, PlaceholderName):
            raise DamageError(f"its pickle calls a {type(function).__name__}")
        self._allowance.take_steps(STEPS_PER_OBJECT + _extent(args) // ARGUMENTS_PER_STEP)
        handler = self._calls.get((function.module, function.name))
        return PlaceholderObject(function.type_name, args) if handler is None else handler(args)

    def _tensor_of_type(self, args: Arguments) -> object:
        """Return a tensor of a subclass, or with attributes: the plain tensor."""
        if len(args) > 2 and isinstance(args[0], PlaceholderName) and is_tuple(inner := args[2]):  # noqa: PLR2004
            rebuild = self._rebuilds.get((args[0].module, args[0].name))
            if rebuild is not None:
                self._allowance.take_steps(_extent(inner) // ARGUMENTS_PER_STEP)
                return rebuild(inner)
        raise DamageError("its pickle rebuilds a tensor with something that is no rebuild function")

    def _storage_in_bytes(self, args: Arguments) -> object:
        """How a storage is pickled outside torch.save: a whole torch file inside the pickle."""
        if len(args) != 1 or not isinstance(args[0], bytes):
            raise DamageError("its pickle reads a storage from something that is no bytes")
        self._allowance.take_bytes(len(args[0]))
        return self._inner_file(args[0])

    def _encoded(self, args: Arguments) -> object:
        """How protocols 0 to 2 write bytes: as text of the same numbers."""
        if len(args) != 2 or not isinstance(args[0], str) or not _is_latin(args[1]):  # noqa: PLR2004
            return PlaceholderObject("_codecs.encode", args)
        self._allowance.take_bytes(len(args[0]))
        try:
            return args[0].encode("latin-1")
        except UnicodeError as error:
            raise DamageError("bytes in its pickle are written as a text that is none") from error

    def _attribute(self, args: Arguments) -> object:
        """How protocols 0 to 3 name a class inside a class; anything else stays a record."""
        if len(args) == 2 and isinstance(args[0], PlaceholderName) and isinstance(args[1], str):  # noqa: PLR2004
            return self.find(args[0].module, f"{args[0].name}.{args[1]}")
        return PlaceholderObject("builtins.getattr", args)

    def _ordered_dict(self, args: Arguments) -> object:
        made: OrderedDict[object, object] = OrderedDict()
        for pair in self._members(args):
            if not is_list_or_tuple(pair) or len(pair) != 2:  # noqa: PLR2004
                raise DamageError("its pickle makes a dictionary of something that is no pair")
            key, value = pair
            check_key(key, self._allowance)
            made[key] = value
        return made

    def _set(self, args: Arguments) -> object:
        members = self._members(args)
        for member in members:
            check_key(member, self._allowance)
        return set(members)

    def _members(self, args: Arguments) -> list[object]:
        """Return the members of the one container that is the argument, counted; none without it."""
        if not args:
            return []
        if len(args) != 1 or not is_list_or_tuple(members := args[0]):
            raise DamageError("its pickle makes a container of something that is no list")
        self._allowance.take_steps(len(members))
        return list(members)


def _refuse_code(module_name: str, global_name: str) -> None:
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


def _extent(args: Arguments) -> int:
    """How many parts a call may look at: its arguments, and what the containers among them hold."""
    return len(args) + sum(len(arg) for arg in args if is_dict(arg) or is_list_or_tuple(arg))


def _tensor(args: Arguments) -> Tensor | UnreadTensor:
    """(storage, offset, sizes, strides): the oldest form."""
    if len(args) < 4 or not isinstance(args[0], Storage):  # noqa: PLR2004
        raise DamageError("its pickle rebuilds a tensor from something that is no storage")
    return rebuilt(args[0], *args[1:4])


def _tensor_v2(args: Arguments) -> Tensor | UnreadTensor:
    """(..., requires_grad, hooks, metadata): what torch writes since 0.4."""
    return _marked(args[6:]) or _tensor(args)


def _tensor_v3(args: Arguments) -> Tensor | UnreadTensor:
    """(..., requires_grad, hooks, dtype, metadata): element types that have no storage class."""
    if len(args) < 7 or not isinstance(args[0], Storage) or not isinstance(args[6], torch.dtype):  # noqa: PLR2004
        raise DamageError("its pickle rebuilds a tensor from something that is no storage")
    return _marked(args[7:]) or rebuilt(*args[:4], dtype=args[6])  # pyright: ignore[reportArgumentType]


def _marked(metadata: Arguments) -> UnreadTensor | None:
    """Return a tensor whose values are other ones than its storage has: conjugated or negated when they are read."""
    marks = metadata[0] if metadata else None
    if not is_dict(marks):
        return None
    marked = [str(key)[:20] for key, value in marks.items() if value]
    return (
        UnreadTensor(f"is marked {', '.join(marked[:5])}: its values are not those in its storage") if marked else None
    )


def _first(args: Arguments) -> object:
    """Return a parameter: its tensor."""
    if not args or not isinstance(args[0], (Tensor, UnreadTensor)):
        raise DamageError("its pickle rebuilds a parameter from something that is no tensor")
    return args[0]


def _unread(what: str) -> Callable[[Arguments], UnreadTensor]:
    return lambda _args: UnreadTensor(f"{what}, and cannot be read")


def _bytes(args: Arguments) -> object:
    """How protocols 0 to 2 write no bytes at all."""
    return PlaceholderObject("builtins.bytes", args) if args else b""


def _is_latin(encoding: object) -> bool:
    return isinstance(encoding, str) and encoding in {"latin1", "latin-1"}


def _sizes(args: Arguments) -> object:
    return args[0] if args and isinstance(args[0], tuple) else ()


def _object_of_class(args: Arguments) -> PlaceholderObject:
    """How protocols 0 and 1 make an object. The class is a name here, and its base is not needed."""
    if args and isinstance(args[0], PlaceholderName):
        return PlaceholderObject(args[0].type_name)
    raise DamageError("its pickle makes an object of something that is no class")
