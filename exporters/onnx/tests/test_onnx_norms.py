"""Norms of maps that are nearly constant, in onnxruntime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime
from torch import nn

from i2i_exporter_onnx.tracing import to_onnx
from i2i_registry.model import Axis, Graph, GraphInput
from i2i_toolkit.norms import InstanceNorm

SIDE, CHANNELS = 128, 8


def nearly_constant(step: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """Each channel one value, and in its first row `step` more, as after a convolution of a blank picture."""
    values = np.random.default_rng(0).uniform(2, 4, (1, CHANNELS, 1, 1)).astype(np.float32)
    maps = np.tile(values, (1, 1, SIDE, SIDE))
    maps[:, :, 0] += np.float32(step)
    return maps


def test_a_nearly_constant_map_is_normalised_as_exactly_as_any_other(tmp_path: Path) -> None:
    sides = (Axis("height", SIDE), Axis("width", SIDE))
    graph = Graph(
        nn.Sequential(InstanceNorm()), (GraphInput("x", (Axis("batch", 2), CHANNELS, *sides), "uniform"),), ("y",)
    )
    ir.save(to_onnx("norm", graph), tmp_path / "norm.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "norm.onnx")

    for step in (0.0, 1e-4, 1e-2, 1.0):
        maps = nearly_constant(step)
        centred = maps.astype(np.float64) - maps.astype(np.float64).mean((2, 3), keepdims=True)
        expected = centred / np.sqrt(np.square(centred).mean((2, 3), keepdims=True) + 1e-5)
        (found,) = session.run(None, {"x": maps})
        np.testing.assert_allclose(np.asarray(found), expected, rtol=0, atol=1e-5 * max(np.abs(expected).max(), 1.0))
