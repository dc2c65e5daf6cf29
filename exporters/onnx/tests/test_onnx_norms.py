"""Norms of maps that are nearly constant, or very large, in onnxruntime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import onnxruntime
from numpy.typing import NDArray
from torch import Tensor, nn

from i2i_exporter_onnx.tracing import to_onnx
from i2i_registry.interfaces.graphs import Axis, Form, ResolvedGraph
from i2i_toolkit.layers.norms import InstanceNorm, map_mean, map_sum

SIDE, CHANNELS = 128, 8


def nearly_constant(step: float) -> NDArray[np.float32]:
    """Each channel one value, and in its first row `step` more, as after a convolution of a blank image."""
    values = np.random.default_rng(0).uniform(2, 4, (1, CHANNELS, 1, 1)).astype(np.float32)
    maps = np.tile(values, (1, 1, SIDE, SIDE))
    maps[:, :, 0] += np.float32(step)
    return maps


def session_of(
    module: nn.Module, channels: int, folder: Path, outputs: tuple[str, ...]
) -> onnxruntime.InferenceSession:
    sides = (Axis("height", SIDE), Axis("width", SIDE))
    graph = ResolvedGraph(module, outputs, inputs={"x": Form((Axis("batch", 2), channels, *sides), "uniform")})
    ir.save(to_onnx("norm", graph), folder / "norm.onnx")
    return onnxruntime.InferenceSession(folder / "norm.onnx")


def normalised(
    maps: NDArray[np.float32],
) -> NDArray[np.float64]:
    centred = maps.astype(np.float64) - maps.astype(np.float64).mean((2, 3), keepdims=True)
    return centred / np.sqrt(np.square(centred).mean((2, 3), keepdims=True) + 1e-5)


def test_a_nearly_constant_map_is_normalised_as_exactly_as_any_other(tmp_path: Path) -> None:
    session = session_of(nn.Sequential(InstanceNorm()), CHANNELS, tmp_path, ("y",))
    for step in (0.0, 1e-4, 1e-2, 1.0):
        maps = nearly_constant(step)
        expected = normalised(maps)
        (found,) = session.run(None, {"x": maps})
        np.testing.assert_allclose(np.asarray(found), expected, rtol=0, atol=1e-5 * max(np.abs(expected).max(), 1.0))


class Statistics(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return InstanceNorm()(x), map_mean(x * x), map_sum(x * x)


def test_a_map_of_four_megapixels_is_normalised_as_exactly_as_a_small_one(tmp_path: Path) -> None:
    """A sum of so many numbers, one after the other, has four digits in fp32."""
    maps = (np.random.default_rng(0).standard_normal((1, 1, 2048, 2048)) + 3).astype(np.float32)
    squares = np.square(maps.astype(np.float64))
    found = session_of(Statistics(), 1, tmp_path, ("y", "mean", "sum")).run(None, {"x": maps})
    expected = (normalised(maps), squares.mean((2, 3), keepdims=True), squares.sum((2, 3), keepdims=True))
    for made, right in zip(found, expected, strict=True):
        np.testing.assert_allclose(np.asarray(made), right, rtol=0, atol=2e-6 * np.abs(right).max())
