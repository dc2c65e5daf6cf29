"""What an .onnx file says about itself, read without onnx and without onnxruntime, before a session exists.

This is the one reader that decides what a graph refers to: other files, operators, functions of its own. It takes the
bytes that a session is made from, refuses every encoding that another reader could understand in another way
(`onnx_wire`), and walks all that onnx.proto can nest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter

from i2i_runtime.archive.onnx_schema import LENGTH, ROOT, SCHEMA
from i2i_runtime.archive.onnx_tensors import EXTERNAL_DATA, check_size, is_external
from i2i_runtime.archive.onnx_wire import Found, MalformedError, Reader
from i2i_runtime.errors import BundleError
from i2i_runtime.untrusted_text import printable

MAX_DEPTH = 100
"""Messages inside messages, as in protobuf itself. A subgraph takes three."""

MAX_NODES = 200_000
"""Nodes of a graph once the calls of its own functions are written out. A large network has some thousands."""

Operator = tuple[str, str]
"""domain, "" for ONNX's own, and name"""

_MAIN = -1
"""who owns a node that belongs to no function"""
_ALIASES = {"ai.onnx": ""}
_OTHER_FORMAT = b"ORTM"
"""at byte 4: onnxruntime would read the same bytes as a flatbuffer"""
_MODEL_METADATA = 14
_GRAPH, _NODE, _OUTPUT = 7, 1, 12
_TAKEN, _MADE = 1, 2
"""fields of a node: the names of what goes in, and of what comes out"""
_NODE_DOMAIN, _NODE_OPERATOR = 7, 4
_FUNCTION_DOMAIN, _FUNCTION_NAME = 10, 1


@dataclass(frozen=True, slots=True)
class OnnxSummary:
    """What a model says about itself and what it refers to."""

    metadata: Mapping[str, str]
    external: frozenset[str]
    """where values of its tensors are said to lie, outside the .onnx itself; as the file states it, unchecked"""
    operators: frozenset[Operator]
    """what its nodes call, without its own functions"""


def summarise(data: bytes, where: str) -> OnnxSummary:
    """Read the whole structure of an .onnx file; `where` names it in errors.

    Raises BundleError when it is no model in strict protobuf encoding, when a tensor has more or fewer values than
    its dimensions say, and when it holds more than MAX_FIELDS fields or MAX_NODES nodes.
    """
    try:
        walk = _Walk(Reader(data))
        walk.run(len(data))
        return walk.summary()
    except (MalformedError, UnicodeDecodeError) as error:
        raise BundleError(
            found=f"{where} is not an .onnx file that can be trusted: {printable(str(error))}",
            expected="an ONNX model, as onnx and torch write it",
        ) from error


@dataclass(slots=True)
class _Walk:
    """One pass over all messages, the outer ones first."""

    reader: Reader
    metadata: dict[str, str] = field(default_factory=dict[str, str])
    external: set[str] = field(default_factory=set[str])
    functions: list[Operator] = field(default_factory=list[Operator])
    """by what name each is called"""
    calls: dict[int, Counter[Operator]] = field(default_factory=dict[int, Counter[Operator]])
    """function, or _MAIN -> what its nodes call, and how often"""

    def run(self, size: int) -> None:
        """Raise MalformedError."""
        if self.reader.data[4:8] == _OTHER_FORMAT:
            raise MalformedError("it is marked as a file of onnxruntime's own format")
        waiting = [(ROOT, 0, size, 0, _MAIN)]
        while waiting:
            message, start, end, depth, owner = waiting.pop()
            if depth > MAX_DEPTH:
                raise MalformedError(f"it nests more than {MAX_DEPTH} messages")
            known = SCHEMA[message]
            fields = self.reader.fields(message, known, start, end)
            if message == "FunctionProto":
                owner = len(self.functions)
            self.visit(message, fields, owner)
            for found in fields:
                child = known[found.number].message
                if child:
                    waiting.append((child, found.start, found.end, depth + 1, owner))

    def visit(self, message: str, fields: list[Found], owner: int) -> None:
        """Keep what counts of one message. Raises MalformedError."""
        if message == "NodeProto":
            self.calls.setdefault(owner, Counter())[self._operator(fields, _NODE_DOMAIN, _NODE_OPERATOR)] += 1
        elif message == "TensorProto":
            self.tensor(fields)
        elif message == "FunctionProto":
            self.functions.append(self._operator(fields, _FUNCTION_DOMAIN, _FUNCTION_NAME))
        elif message == ROOT:
            self.model(fields)
        elif message == "SparseTensorProto":
            # A few values may stand for a matrix of any size, which onnxruntime makes before it computes anything.
            raise MalformedError("it holds a sparse tensor")

    def model(self, fields: list[Found]) -> None:
        """Its metadata; a key that occurs twice has two meanings."""
        for found in fields:
            if found.number == _MODEL_METADATA:
                key, value = self._entry(found)
                if key in self.metadata:
                    raise MalformedError(f"the metadata key {key!r} is there twice")
                self.metadata[key] = value

    def tensor(self, fields: list[Found]) -> None:
        """Where its values lie, and whether they are as many as it says."""
        if not is_external(fields):
            check_size(self.reader, fields)
            return
        entries = [self._entry(found) for found in fields if found.number == EXTERNAL_DATA]
        self.external.update([value for key, value in entries if key == "location"] or [""])

    def summary(self) -> OnnxSummary:
        """Return what was found.

        Raises MalformedError when functions call each other in a circle, or grow too large.
        """
        bodies: dict[Operator | None, Counter[Operator]] = {None: self.calls.get(_MAIN, Counter())}
        for index, operator in enumerate(self.functions):  # those of one name (overloads) count together
            bodies.setdefault(operator, Counter()).update(self.calls.get(index, Counter()))
        _check_growth(bodies)
        called = {operator for calls in bodies.values() for operator in calls}
        return OnnxSummary(self.metadata, frozenset(self.external), frozenset(called - bodies.keys()))

    def _operator(self, fields: list[Found], domain: int, name: int) -> Operator:
        texts = {found.number: found for found in fields}
        space = self._text(texts.get(domain))
        return _ALIASES.get(space, space), self._text(texts.get(name))

    def _text(self, found: Found | None) -> str:
        return self.reader.data[found.start : found.end].decode() if found else ""

    def _entry(self, found: Found) -> tuple[str, str]:
        fields = self.reader.fields("StringStringEntryProto", SCHEMA["StringStringEntryProto"], found.start, found.end)
        texts = {each.number: each for each in fields}
        return self._text(texts.get(1)), self._text(texts.get(2))


def _check_growth(bodies: Mapping[Operator | None, Counter[Operator]]) -> None:
    """How many nodes there are when every call of a function is replaced by its body, as onnxruntime does.

    `bodies` says what the nodes of each function call, and how often; None is the graph itself. Raises MalformedError.
    """
    sizes: dict[Operator | None, int] = {}
    try:
        order = list(
            TopologicalSorter({name: calls.keys() & bodies.keys() for name, calls in bodies.items()}).static_order()
        )
    except CycleError as error:
        raise MalformedError("its functions call each other in a circle") from error
    for name in order:
        sizes[name] = sum(count * (1 + sizes.get(callee, 0)) for callee, count in bodies[name].items())
        if sizes[name] > MAX_NODES:
            raise MalformedError(f"it has more than {MAX_NODES:,} nodes once its functions are written out")


def nodes_of(data: bytes) -> list[tuple[list[str], list[str]]]:
    """Return the values that each node of a model's graph takes and makes, in the order of the file.

    `data` has to have gone through `summarise`.
    """
    reader = Reader(data)

    def inner(message: str, start: int, end: int, number: int) -> list[Found]:
        return [found for found in reader.fields(message, SCHEMA[message], start, end) if found.number == number]

    nodes: list[tuple[list[str], list[str]]] = []
    for graph in inner(ROOT, 0, len(data), _GRAPH):
        for node in inner("GraphProto", graph.start, graph.end, _NODE):
            fields = reader.fields("NodeProto", SCHEMA["NodeProto"], node.start, node.end)
            names: dict[int, list[str]] = {_TAKEN: [], _MADE: []}
            for found in fields:
                if found.number in names and found.end > found.start:  # an input that is left out has no name
                    names[found.number].append(data[found.start : found.end].decode())
            nodes.append((names[_TAKEN], names[_MADE]))
    return nodes


def giving(data: bytes, names: Collection[str]) -> bytes:
    """Return the model, which gives these values besides its outputs.

    Protobuf messages that follow each other are one message, so that a graph of nothing but outputs is added to it.
    """
    outputs = b"".join(_wrapped(_OUTPUT, _wrapped(1, name.encode())) for name in names)
    return data + _wrapped(_GRAPH, outputs)


def _wrapped(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | LENGTH]) + _as_varint(len(content)) + content


def _as_varint(value: int) -> bytes:
    parts = bytearray()
    while value >= 0x80:  # noqa: PLR2004 - the top bit says that another byte follows
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])
