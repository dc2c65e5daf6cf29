"""A convolution as a complete .onnx model, built byte by byte: what a device has to run before we believe in it.

A convolution, because on a GPU it is what needs cuDNN; by hand, because the runtime does not depend on onnx.
"""

from __future__ import annotations

import numpy as np

_FLOAT = 1  # TensorProto.DataType
_IR_VERSION, _OPSET = 9, 17


def conv_model(channels: int) -> bytes:
    """Return a model y = 3x3 convolution of x, float [1, channels, h, w] with h and w free.

    All weights are 1 / (9 channels).

    So a constant image stays what it is, away from the border.
    """
    weights = np.full((channels, channels, 3, 3), 1 / (9 * channels), dtype="<f4")
    tensor = b"".join(_number(1, side) for side in weights.shape)
    tensor += _number(2, _FLOAT) + _text(8, "w") + _bytes(9, weights.tobytes())
    pads = _text(1, "pads") + b"".join(_number(8, 1) for _ in range(4)) + _number(20, 7)
    node = _text(1, "x") + _text(1, "w") + _text(2, "y") + _text(4, "Conv") + _bytes(5, pads)
    graph = _bytes(1, node) + _text(2, "probe") + _bytes(5, tensor)
    graph += _bytes(11, _value("x", channels)) + _bytes(12, _value("y", channels))
    return _number(1, _IR_VERSION) + _bytes(7, graph) + _bytes(8, _number(2, _OPSET))


def _value(name: str, channels: int) -> bytes:
    """Return a ValueInfoProto: float [1, channels, h, w]."""
    axes = (_number(1, 1), _number(1, channels), _text(2, "h"), _text(2, "w"))
    shape = b"".join(_bytes(1, axis) for axis in axes)
    return _text(1, name) + _bytes(2, _bytes(1, _number(1, _FLOAT) + _bytes(2, shape)))


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:  # noqa: PLR2004 - seven bits a byte
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*encoded, value])


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _text(field: int, value: str) -> bytes:
    return _bytes(field, value.encode())
