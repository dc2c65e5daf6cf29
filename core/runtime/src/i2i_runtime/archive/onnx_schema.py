"""The messages of onnx.proto: which fields each has, how they are encoded, and what lies in them.

All of onnx 1.23 is here (a test compares). A file with any other field is refused: what this table does not know, a
newer onnxruntime may know and follow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5
"""wire types; 3 and 4, groups, have not been written by anybody for twenty years"""

FieldKind = Literal["varint", "fixed64", "fixed32", "bytes", "message"]


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a message."""

    kind: FieldKind
    repeated: bool = False
    message: str = ""
    """name of the message in it, if it is one"""
    wires: frozenset[int] = field(init=False)
    """the wire types it may have; repeated numbers come one by one, or packed into bytes"""

    def __post_init__(self) -> None:
        own = {"varint": VARINT, "fixed64": FIXED64, "fixed32": FIXED32}.get(self.kind, LENGTH)
        object.__setattr__(self, "wires", frozenset({own, LENGTH} if self.repeated else {own}))


_NUMBER, _NUMBERS = Field("varint"), Field("varint", repeated=True)
_FLOAT, _FLOATS, _DOUBLES = Field("fixed32"), Field("fixed32", repeated=True), Field("fixed64", repeated=True)
_TEXT, _TEXTS = Field("bytes"), Field("bytes", repeated=True)


def _one(message: str) -> Field:
    return Field("message", message=message)


def _many(message: str) -> Field:
    return Field("message", repeated=True, message=message)


ROOT = "ModelProto"

SCHEMA: Mapping[str, Mapping[int, Field]] = {
    ROOT: {
        **dict.fromkeys((1, 5), _NUMBER),
        **dict.fromkeys((2, 3, 4, 6), _TEXT),
        7: _one("GraphProto"),
        8: _many("OperatorSetIdProto"),
        14: _many("StringStringEntryProto"),
        20: _many("TrainingInfoProto"),
        25: _many("FunctionProto"),
        26: _many("DeviceConfigurationProto"),
    },
    "OperatorSetIdProto": {1: _TEXT, 2: _NUMBER},
    "StringStringEntryProto": {1: _TEXT, 2: _TEXT},
    "GraphProto": {
        1: _many("NodeProto"),
        2: _TEXT,
        5: _many("TensorProto"),
        10: _TEXT,
        **{number: _many("ValueInfoProto") for number in (11, 12, 13)},
        14: _many("TensorAnnotation"),
        15: _many("SparseTensorProto"),
        16: _many("StringStringEntryProto"),
    },
    "NodeProto": {
        **dict.fromkeys((1, 2), _TEXTS),
        **dict.fromkeys((3, 4, 6, 7, 8), _TEXT),
        5: _many("AttributeProto"),
        9: _many("StringStringEntryProto"),
        10: _many("NodeDeviceConfigurationProto"),
    },
    "AttributeProto": {
        1: _TEXT,
        2: _FLOAT,
        3: _NUMBER,
        4: _TEXT,
        5: _one("TensorProto"),
        6: _one("GraphProto"),
        7: _FLOATS,
        8: _NUMBERS,
        9: _TEXTS,
        10: _many("TensorProto"),
        11: _many("GraphProto"),
        13: _TEXT,
        14: _one("TypeProto"),
        15: _many("TypeProto"),
        20: _NUMBER,
        21: _TEXT,
        22: _one("SparseTensorProto"),
        23: _many("SparseTensorProto"),
    },
    "TensorProto": {
        1: _NUMBERS,
        2: _NUMBER,
        3: _one("Segment"),
        4: _FLOATS,
        5: _NUMBERS,
        6: _TEXTS,
        7: _NUMBERS,
        8: _TEXT,
        9: _TEXT,
        10: _DOUBLES,
        11: _NUMBERS,
        12: _TEXT,
        13: _many("StringStringEntryProto"),
        14: _NUMBER,
        16: _many("StringStringEntryProto"),
    },
    "Segment": {1: _NUMBER, 2: _NUMBER},
    "SparseTensorProto": {1: _one("TensorProto"), 2: _one("TensorProto"), 3: _NUMBERS},
    "TypeProto": {
        1: _one("Tensor"),
        4: _one("Sequence"),
        5: _one("Map"),
        6: _TEXT,
        7: _one("Opaque"),
        8: _one("SparseTensor"),
        9: _one("Optional"),
    },
    "Tensor": {1: _NUMBER, 2: _one("TensorShapeProto")},
    "SparseTensor": {1: _NUMBER, 2: _one("TensorShapeProto")},
    "Sequence": {1: _one("TypeProto")},
    "Optional": {1: _one("TypeProto")},
    "Map": {1: _NUMBER, 2: _one("TypeProto")},
    "Opaque": {1: _TEXT, 2: _TEXT},
    "TensorShapeProto": {1: _many("Dimension")},
    "Dimension": {1: _NUMBER, 2: _TEXT, 3: _TEXT},
    "ValueInfoProto": {1: _TEXT, 2: _one("TypeProto"), 3: _TEXT, 4: _many("StringStringEntryProto")},
    "TensorAnnotation": {1: _TEXT, 2: _many("StringStringEntryProto")},
    "TrainingInfoProto": {
        **{number: _one("GraphProto") for number in (1, 2)},
        **{number: _many("StringStringEntryProto") for number in (3, 4)},
    },
    "FunctionProto": {
        1: _TEXT,
        **dict.fromkeys((4, 5, 6), _TEXTS),
        7: _many("NodeProto"),
        8: _TEXT,
        9: _many("OperatorSetIdProto"),
        10: _TEXT,
        11: _many("AttributeProto"),
        12: _many("ValueInfoProto"),
        13: _TEXT,
        14: _many("StringStringEntryProto"),
    },
    "DeviceConfigurationProto": {1: _TEXT, 2: _NUMBER, 3: _TEXTS},
    "NodeDeviceConfigurationProto": {1: _TEXT, 2: _many("ShardingSpecProto"), 3: _NUMBER},
    "ShardingSpecProto": {1: _TEXT, 2: _NUMBERS, 3: _many("IntIntListEntryProto"), 4: _many("ShardedDimProto")},
    "IntIntListEntryProto": {1: _NUMBER, 2: _NUMBERS},
    "ShardedDimProto": {1: _NUMBER, 2: _many("SimpleShardedDimProto")},
    "SimpleShardedDimProto": {1: _NUMBER, 2: _TEXT, 3: _NUMBER},
}
