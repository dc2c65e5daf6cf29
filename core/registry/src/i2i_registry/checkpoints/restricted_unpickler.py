"""The opcodes of a pickle, interpreted here: nothing is loaded or called, and no memory is taken on a mere claim.

Python's own unpickler takes gigabytes for a memo index of four bytes, and whatever time it needs to hash a key that is
nested in itself. This one executes the same opcodes (protocols 0 to 5, but for extension codes and buffers outside of
the file) with these rules:

- what is read lies in the file: lengths, memo indices and frames are checked against its size;
- numbers have at most `MOST_NUMBER_BYTES`, keys are flat and short, steps are counted (`Allowance`);
- names and calls are given a meaning by the caller (`Meanings`); objects are records.

What it makes may share parts so often that a walk through it would never end: whoever walks must count.
"""

from __future__ import annotations

import codecs
import pickle
import struct
import warnings
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol, TypeGuard

from i2i_registry.checkpoints.limits import STEPS_PER_OBJECT, Allowance, DamageError
from i2i_registry.checkpoints.placeholders import PlaceholderName, PlaceholderObject
from i2i_runtime.type_guards import is_tuple

MOST_NUMBER_BYTES = 256
"""A whole number that is longer is no number of a checkpoint."""
MOST_NUMBER_DIGITS = 600
MOST_KEY_LENGTH = 4096
"""Characters of a key."""
MOST_KEY_PARTS = 8
"""Parts of a key that is a tuple."""
MOST_TUPLE_LENGTH = 256
"""Characters of all texts in a key that is a tuple."""
MOST_KEY_BITS = 63
"""Bits of a key that is a number. Larger ones can be made to collide."""

_STOP = pickle.STOP[0]


class Meanings(Protocol):
    """What the names in a pickle stand for."""

    def find(self, module: str, name: str) -> object:
        """Return what a global stands for. Raises CheckpointError when it would run code."""
        ...

    def call(self, function: object, args: tuple[object, ...]) -> object:
        """Return what is put in the place of a call. Raises DamageError when it cannot be read."""
        ...

    def persistent(self, identity: object, /) -> object:
        """Return what an identity that the container knows stands for. Raises DamageError when there is none."""
        ...


def read_pickle(content: bytes | bytearray, start: int, meanings: Meanings, allowance: Allowance) -> tuple[object, int]:
    """One pickle, and where it ends. Text of Python 2 is taken byte for byte.

    Raises DamageError for anything that is no pickle or goes beyond the limits, and what `meanings` raise.
    """
    machine = _Machine(content, start, meanings, allowance)
    return machine.run(), machine.position


class _Machine:
    """The state of a pickle that is being read."""

    def __init__(self, content: bytes | bytearray, start: int, meanings: Meanings, allowance: Allowance) -> None:
        self._content = content
        self._view = memoryview(content)
        self.position = start
        self._start = start
        self.meanings = meanings
        self._allowance = allowance
        self._stack: list[object] = []
        self._below: list[list[object]] = []
        """the stacks under the marks"""
        self._memo: dict[int, object] = {}

    def run(self) -> object:
        """Execute up to STOP; returns what lies on top then."""
        handlers, content, end = _HANDLERS, self._content, len(self._content)
        while self.position < end:
            code = content[self.position]
            self.position += 1
            if code == _STOP:
                return self.pop()
            self._allowance.take_steps(1)
            handler = handlers.get(code)
            if handler is None:
                raise DamageError(f"its pickle has the unknown opcode {bytes([code])!r}")
            handler(self)
        raise DamageError("it ends in the middle of a pickle")

    # What the opcodes are made of

    def push(self, value: object) -> None:
        self._stack.append(value)

    def pop(self) -> object:
        if not self._stack:
            raise DamageError("its pickle takes more from its stack than lies there")
        return self._stack.pop()

    def top(self) -> object:
        if not self._stack:
            raise DamageError("its pickle takes more from its stack than lies there")
        return self._stack[-1]

    def pop_to_mark(self) -> list[object]:
        if not self._below:
            raise DamageError("its pickle ends a group that it has not begun")
        group, self._stack = self._stack, self._below.pop()
        return group

    def take(self, count: int) -> memoryview:
        """Return the next bytes, which must be there."""
        if not 0 <= count <= len(self._content) - self.position:
            raise DamageError(
                f"its pickle goes on for {count} bytes, of which {len(self._view) - self.position} are there"
            )
        taken = self._view[self.position : self.position + count]
        self.position += count
        return taken

    def number(self, size: int, *, signed: bool = False) -> int:
        return int.from_bytes(self.take(size), "little", signed=signed)

    def line(self) -> bytes:
        end = self._content.find(b"\n", self.position)
        if end < 0:
            raise DamageError("it ends in the middle of a pickle")
        line = bytes(self._view[self.position : end])
        self.position = end + 1
        return line

    def text(self, content: bytes | memoryview, encoding: str, errors: str = "strict") -> str:
        try:
            return str(content, encoding, errors)
        except UnicodeError as error:
            raise DamageError(f"a text in its pickle is damaged: {error.__class__.__name__}") from error

    def remember(self, index: int) -> None:
        # Every writer counts up, so an index beyond the bytes of the pickle so far is a trap.
        if index > self.position - self._start:
            raise DamageError(f"its pickle remembers object {index}, and has not read as many")
        self._memo[index] = self.top()

    def remember_next(self) -> None:
        self.remember(len(self._memo))

    def recall(self, index: int) -> None:
        if index not in self._memo:
            raise DamageError(f"its pickle recalls object {index}, which it has not remembered")
        self.push(self._memo[index])

    # Numbers, texts, bytes

    def frame(self) -> None:
        size = self.number(8)
        if size > len(self._content) - self.position:
            raise DamageError(
                f"its pickle has a frame of {size} bytes, of which {len(self._view) - self.position} are there"
            )

    def protocol(self) -> None:
        version = self.number(1)
        if version > pickle.HIGHEST_PROTOCOL:
            raise DamageError(
                f"its pickle has protocol {version}, and {pickle.HIGHEST_PROTOCOL} is the highest there is"
            )

    def int_line(self) -> None:
        line = self.line()
        self.push({b"00": False, b"01": True}[line] if line in {b"00", b"01"} else _whole_number(line))

    def long_line(self) -> None:
        self.push(_whole_number(self.line().removesuffix(b"L")))

    def long_number(self, size: int) -> None:
        if not 0 <= size <= MOST_NUMBER_BYTES:
            raise DamageError(f"it holds a whole number of {size} bytes, and at most {MOST_NUMBER_BYTES} are read")
        self.push(self.number(size, signed=True))

    def float_line(self) -> None:
        line = self.line()
        if len(line) > MOST_NUMBER_DIGITS:
            raise DamageError(f"it holds a number of {len(line)} digits, and at most {MOST_NUMBER_DIGITS} are read")
        try:
            self.push(float(line))
        except ValueError as error:
            raise DamageError(f"its pickle has the number {line[:40]!r}") from error

    def binary_float(self) -> None:
        (value,) = struct.unpack(">d", self.take(8))
        self.push(value)

    def quoted_string(self) -> None:
        line = self.line()
        if len(line) < len('""') or line[0] != line[-1] or line[:1] not in {b"'", b'"'}:
            raise DamageError(f"its pickle has the text {line[:40]!r} without quotes")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Python 2 did not mind escapes that mean nothing
                content, _ = codecs.escape_decode(line[1:-1])
        except ValueError as error:
            raise DamageError("a text in its pickle is damaged") from error
        self.push(self.text(content, "latin-1"))

    def string(self, size: int) -> None:
        self.push(self.text(self.take(size), "latin-1"))

    def unicode_line(self) -> None:
        self.push(self.text(self.line(), "raw-unicode-escape"))

    def unicode(self, size: int) -> None:
        self.push(self.text(self.take(size), "utf-8", "surrogatepass"))

    def binary(self, size: int) -> None:
        self.push(bytes(self.take(size)))

    def byte_array(self) -> None:
        self.push(bytearray(self.take(self.number(8))))

    # Containers

    def mark(self) -> None:
        self._below.append(self._stack)
        self._stack = []

    def empty_set(self) -> None:
        self._allowance.take_steps(STEPS_PER_OBJECT)  # four times as large as other containers
        self.push(set[object]())

    def drop(self) -> None:
        if self._stack:
            self._stack.pop()
        else:
            self.pop_to_mark()

    def drop_group(self) -> None:
        self.pop_to_mark()

    def small_tuple(self, size: int) -> None:
        if len(self._stack) < size:
            raise DamageError("its pickle takes more from its stack than lies there")
        self._stack[-size:] = [tuple(self._stack[-size:])]

    def group_as_dict(self) -> None:
        group = self.pop_to_mark()
        made: dict[object, object] = {}
        self._set_items(made, group)
        self.push(made)

    def group_as_frozen_set(self) -> None:
        group = self.pop_to_mark()
        for member in group:
            check_key(member, self._allowance)
        self.push(frozenset(group))

    def append(self) -> None:
        value = self.pop()
        self._extend(self.top(), [value])

    def appends(self) -> None:
        group = self.pop_to_mark()
        self._extend(self.top(), group)

    def set_item(self) -> None:
        value, key = self.pop(), self.pop()
        self._set_items(self.top(), [key, value])

    def set_items(self) -> None:
        group = self.pop_to_mark()
        self._set_items(self.top(), group)

    def add_items(self) -> None:
        group, target = self.pop_to_mark(), self.top()
        if isinstance(target, PlaceholderObject):
            target.values.extend(group)
            return
        if not _is_plain_set(target):
            raise DamageError(f"its pickle adds members to a {_kind(target)}")
        for member in group:
            check_key(member, self._allowance)
        target.update(group)

    def _extend(self, target: object, group: list[object]) -> None:
        if isinstance(target, PlaceholderObject):
            target.values.extend(group)
        elif _is_plain_list(target):
            target.extend(group)
        else:
            raise DamageError(f"its pickle appends to a {_kind(target)}")

    def _set_items(self, target: object, group: list[object]) -> None:
        if isinstance(target, PlaceholderObject):
            target = target.items
        if not _is_plain_dict(target):
            raise DamageError(f"its pickle sets items of a {_kind(target)}")
        if len(group) % 2:
            raise DamageError("its pickle has a key without a value")
        for key, value in zip(group[::2], group[1::2], strict=True):
            check_key(key, self._allowance)
            target[key] = value

    # Names, calls, objects

    def global_lines(self) -> None:
        module, name = (self.text(self.line(), "utf-8") for _ in range(2))
        self.push(self.meanings.find(module, name))

    def global_from_stack(self) -> None:
        name, module = self.pop(), self.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise DamageError("its pickle names a class with something that is no text")
        self.push(self.meanings.find(module, name))

    def call(self) -> None:
        args, function = self.pop(), self.pop()
        self.push(self.meanings.call(function, _arguments(args)))

    def call_with_names(self) -> None:
        named, args, function = self.pop(), self.pop(), self.pop()
        if not isinstance(named, dict):
            raise DamageError("its pickle calls something with names that are no dictionary")
        given = _arguments(args)
        if named:
            self._allowance.take_steps(len(given) + len(named))
            given = (*given, *named.values())
        self.push(self.meanings.call(function, given))

    def instance_of_lines(self) -> None:
        module, name = (self.text(self.line(), "utf-8") for _ in range(2))
        self.push(self.meanings.call(self.meanings.find(module, name), tuple(self.pop_to_mark())))

    def instance_of_group(self) -> None:
        group = self.pop_to_mark()
        if not group:
            raise DamageError("its pickle makes an object without a class")
        self.push(self.meanings.call(group[0], tuple(group[1:])))

    def set_state(self) -> None:
        state, target = self.pop(), self.top()
        if isinstance(target, PlaceholderObject):
            target.state = state
        elif type(target) is not OrderedDict:  # torch's state dicts carry versions, which are not needed
            raise DamageError(f"its pickle sets attributes on a {_kind(target)}")

    def identity_line(self) -> None:
        self.push(self.meanings.persistent(self.text(self.line(), "ascii")))

    def refused(self) -> None:
        raise DamageError("its pickle refers to something outside of the file: a buffer, or a registered extension")


def _kind(value: object) -> str:
    return "function or class" if isinstance(value, PlaceholderName) else type(value).__name__


# Of these types themselves: a class that derives one may do anything when it is added to.


def _is_plain_set(value: object) -> TypeGuard[set[object]]:
    return type(value) is set


def _is_plain_list(value: object) -> TypeGuard[list[object]]:
    return type(value) is list


def _is_plain_dict(value: object) -> TypeGuard[dict[object, object]]:
    return type(value) is dict or type(value) is OrderedDict


def _arguments(args: object) -> tuple[object, ...]:
    if not is_tuple(args):
        raise DamageError("its pickle calls something with arguments that are no tuple")
    return args


def _whole_number(line: bytes) -> int:
    if len(line) > MOST_NUMBER_DIGITS:
        raise DamageError(f"it holds a whole number of {len(line)} digits, and at most {MOST_NUMBER_DIGITS} are read")
    try:
        return int(line)
    except ValueError as error:
        raise DamageError(f"its pickle has the number {line[:40]!r}") from error


def check_key(key: object, allowance: Allowance) -> None:
    """Raise DamageError unless a value can be a key, or a member of a set, that takes no time to hash and compare."""
    if type(key).__hash__ is object.__hash__:
        return  # names and records are compared by what they are, not by what they hold
    if isinstance(key, tuple):
        allowance.take_tuple_key()
    parts = key if is_tuple(key) else (key,)
    if len(parts) > MOST_KEY_PARTS:
        raise DamageError(f"a key of its dictionaries has {len(parts)} parts, and at most {MOST_KEY_PARTS} are read")
    length = 0
    for part in parts:
        if not isinstance(part, (str, bytes, int, float, type(None))):
            raise DamageError(f"a key of its dictionaries is, or holds, a {_kind(part)}")
        if isinstance(part, int) and part.bit_length() > MOST_KEY_BITS:
            raise DamageError(f"a key of its dictionaries is a number of {part.bit_length()} bits")
        length += len(part) if isinstance(part, (str, bytes)) else 0
    most = MOST_TUPLE_LENGTH if isinstance(key, tuple) else MOST_KEY_LENGTH
    if length > most:
        raise DamageError(f"a key of its dictionaries has {length} characters, and at most {most} are read")


_BY_OPCODE: dict[bytes, Callable[[_Machine], None]] = {
    pickle.PROTO: _Machine.protocol,
    pickle.FRAME: _Machine.frame,
    pickle.MARK: _Machine.mark,
    pickle.POP: _Machine.drop,
    pickle.POP_MARK: _Machine.drop_group,
    pickle.DUP: lambda machine: machine.push(machine.top()),
    pickle.NONE: lambda machine: machine.push(None),
    pickle.NEWTRUE: lambda machine: machine.push(True),  # noqa: FBT003 - the value itself
    pickle.NEWFALSE: lambda machine: machine.push(False),  # noqa: FBT003 - the value itself
    pickle.INT: _Machine.int_line,
    pickle.LONG: _Machine.long_line,
    pickle.FLOAT: _Machine.float_line,
    pickle.BINFLOAT: _Machine.binary_float,
    pickle.BININT: lambda machine: machine.push(machine.number(4, signed=True)),
    pickle.BININT1: lambda machine: machine.push(machine.number(1)),
    pickle.BININT2: lambda machine: machine.push(machine.number(2)),
    pickle.LONG1: lambda machine: machine.long_number(machine.number(1)),
    pickle.LONG4: lambda machine: machine.long_number(machine.number(4, signed=True)),
    pickle.STRING: _Machine.quoted_string,
    pickle.BINSTRING: lambda machine: machine.string(machine.number(4, signed=True)),
    pickle.SHORT_BINSTRING: lambda machine: machine.string(machine.number(1)),
    pickle.UNICODE: _Machine.unicode_line,
    pickle.BINUNICODE: lambda machine: machine.unicode(machine.number(4)),
    pickle.SHORT_BINUNICODE: lambda machine: machine.unicode(machine.number(1)),
    pickle.BINUNICODE8: lambda machine: machine.unicode(machine.number(8)),
    pickle.BINBYTES: lambda machine: machine.binary(machine.number(4)),
    pickle.SHORT_BINBYTES: lambda machine: machine.binary(machine.number(1)),
    pickle.BINBYTES8: lambda machine: machine.binary(machine.number(8)),
    pickle.BYTEARRAY8: _Machine.byte_array,
    pickle.EMPTY_TUPLE: lambda machine: machine.push(()),
    pickle.TUPLE: lambda machine: machine.push(tuple(machine.pop_to_mark())),
    pickle.TUPLE1: lambda machine: machine.small_tuple(1),
    pickle.TUPLE2: lambda machine: machine.small_tuple(2),
    pickle.TUPLE3: lambda machine: machine.small_tuple(3),
    pickle.EMPTY_LIST: lambda machine: machine.push([]),
    pickle.LIST: lambda machine: machine.push(machine.pop_to_mark()),
    pickle.EMPTY_DICT: lambda machine: machine.push({}),
    pickle.DICT: _Machine.group_as_dict,
    pickle.EMPTY_SET: _Machine.empty_set,
    pickle.FROZENSET: _Machine.group_as_frozen_set,
    pickle.APPEND: _Machine.append,
    pickle.APPENDS: _Machine.appends,
    pickle.SETITEM: _Machine.set_item,
    pickle.SETITEMS: _Machine.set_items,
    pickle.ADDITEMS: _Machine.add_items,
    pickle.PUT: lambda machine: machine.remember(_whole_number(machine.line())),
    pickle.BINPUT: lambda machine: machine.remember(machine.number(1)),
    pickle.LONG_BINPUT: lambda machine: machine.remember(machine.number(4)),
    pickle.MEMOIZE: _Machine.remember_next,
    pickle.GET: lambda machine: machine.recall(_whole_number(machine.line())),
    pickle.BINGET: lambda machine: machine.recall(machine.number(1)),
    pickle.LONG_BINGET: lambda machine: machine.recall(machine.number(4)),
    pickle.GLOBAL: _Machine.global_lines,
    pickle.STACK_GLOBAL: _Machine.global_from_stack,
    pickle.REDUCE: _Machine.call,
    pickle.NEWOBJ: _Machine.call,
    pickle.NEWOBJ_EX: _Machine.call_with_names,
    pickle.INST: _Machine.instance_of_lines,
    pickle.OBJ: _Machine.instance_of_group,
    pickle.BUILD: _Machine.set_state,
    pickle.PERSID: _Machine.identity_line,
    pickle.BINPERSID: lambda machine: machine.push(machine.meanings.persistent(machine.pop())),
    **dict.fromkeys(
        (pickle.NEXT_BUFFER, pickle.READONLY_BUFFER, pickle.EXT1, pickle.EXT2, pickle.EXT4), _Machine.refused
    ),
}
_HANDLERS = {code[0]: handler for code, handler in _BY_OPCODE.items()}
