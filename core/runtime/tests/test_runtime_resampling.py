"""Each way of resampling is the one its name says: Pillow's filters, single places without averaging, SinGAN's own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydantic import ValidationError

from i2i_runtime.image.resampling import cubic_matrix, resampled
from i2i_runtime.image.resizing import BICUBIC, BILINEAR, SINGAN, Kernel, Resize
from i2i_runtime.kinds.image import ImageInput

NOISE = np.random.default_rng(0).integers(0, 256, (31, 44, 3), dtype=np.uint8)
SIZES = [(20, 17), (60, 70), (44, 20), (50, 31)]
"""width, height: smaller, larger, one axis only"""


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kernel", ["bilinear", "bicubic", "box", "nearest"])
def test_averaging_kernels_are_those_of_pillow(kernel: Kernel, size: tuple[int, int]) -> None:
    expected = np.asarray(Image.fromarray(NOISE).resize(size, Image.Resampling[kernel.upper()]))
    np.testing.assert_array_equal(resampled(NOISE, *size, Resize(kernel=kernel)), expected)


def places(length: int, samples: int) -> NDArray[np.float64]:
    """Where the middle of each new pixel lies, counted in old ones."""
    return (np.arange(samples) + 0.5) * length / samples - 0.5


def linear(length: int, samples: int) -> NDArray[np.float64]:
    """Interpolation between the two neighbours, clamped at the border: [samples, length]."""
    inside = np.clip(places(length, samples), 0, length - 1)
    return np.maximum(0, 1 - np.abs(inside[:, None] - np.arange(length)))


def cubic(length: int, samples: int) -> NDArray[np.float64]:
    """Keys, "Cubic convolution interpolation" (1981), equation 4, a = -0.5; the border's values repeated."""
    matrix = np.zeros((samples, length))
    for row, place in enumerate(places(length, samples)):
        for tap in range(int(np.floor(place)) - 1, int(np.floor(place)) + 3):
            s = abs(place - tap)
            weight = 1.5 * s**3 - 2.5 * s**2 + 1 if s < 1 else -0.5 * s**3 + 2.5 * s**2 - 4 * s + 2
            matrix[row, min(max(tap, 0), length - 1)] += weight
    return matrix


@pytest.mark.parametrize("size", [(20, 17), (60, 70)])
@pytest.mark.parametrize("kernel", ["bilinear", "bicubic"])
def test_without_antialiasing_only_the_neighbours_count(kernel: Kernel, size: tuple[int, int]) -> None:
    make = linear if kernel == "bilinear" else cubic
    rows, columns = make(31, size[1]), make(44, size[0])
    expected = np.clip(np.einsum("yh,hwc,xw->yxc", rows, NOISE.astype(np.float64), columns), 0, 255)
    found = resampled(NOISE, *size, Resize(kernel=kernel, antialias=False, rounding="none"))
    np.testing.assert_allclose(found, expected, atol=1e-3)
    assert np.abs(resampled(NOISE, *size, Resize(kernel=kernel, antialias=False)) - found).max() <= 0.5


@pytest.mark.parametrize("kernel", get_args(Kernel))
def test_rounding_is_to_the_nearest_level_or_down_or_not_at_all(kernel: Kernel) -> None:
    exact, nearest, down = (
        resampled(NOISE, 60, 17, Resize(kernel=kernel, rounding=r)) for r in ("none", "nearest", "down")
    )
    assert (exact.dtype, nearest.dtype, down.dtype) == (np.float32, np.uint8, np.uint8)
    np.testing.assert_array_equal(down, np.floor(exact))
    # In 8 bits Pillow rounds after each axis, so twice.
    assert np.abs(nearest - exact).max() <= (0.5 if kernel == "singan" else 1.1)


@pytest.mark.parametrize("channels", [1, 2, 3, 6])
@pytest.mark.parametrize("resize", [BILINEAR, BICUBIC, SINGAN, Resize(antialias=False), Resize(rounding="down")])
def test_channels_do_not_mix(resize: Resize, channels: int) -> None:
    image = np.random.default_rng(1).integers(0, 256, (9, 14, channels), dtype=np.uint8)
    whole = resampled(image, 5, 12, resize)
    for index in range(channels):
        np.testing.assert_array_equal(whole[:, :, index], resampled(image[:, :, [index]], 5, 12, resize)[:, :, 0])


@pytest.mark.parametrize("resize", [BILINEAR, BICUBIC, SINGAN])
def test_an_image_of_that_size_is_left_alone(resize: Resize) -> None:
    assert resampled(NOISE, 44, 31, resize) is NOISE


def test_singan_s_first_row_lacks_what_lies_before_it() -> None:
    # The facts on the release: for a factor of 3/4 of 8 values the first row is 0.753, 0.304, -0.057.
    matrix = cubic_matrix(8, 6, 0.75, 1 / 0.75)
    np.testing.assert_allclose(matrix[0, :3], [0.753, 0.304, -0.057], atol=5e-4)
    np.testing.assert_allclose(matrix.sum(axis=1), 1)


def test_singan_s_kernel_decides_by_itself_when_it_averages() -> None:
    with pytest.raises(ValidationError, match="antialias stays true"):
        Resize(kernel="singan", antialias=False)


def test_inputs_of_older_bundles_are_resampled_as_they_always_were() -> None:
    read = ImageInput.model_validate({"name": "image", "size": {"height": 8, "width": 8}})
    assert (read.resize, read.to_multiple, read.spare) == (BILINEAR, "pad", "end")


RECORDED = Path(os.environ.get("I2I_PARITY", "../shared/parity")) / "consingan"


@pytest.mark.skipif(not RECORDED.is_dir(), reason="the tensors recorded from the official code are not here")
@pytest.mark.parametrize("name", ["harmonization_3stages", "editing_2"])
@pytest.mark.parametrize("tensor", ["naive_at_full_size", "naive_at_stage0"])
def test_composites_come_to_size_as_in_the_release(name: str, tensor: str) -> None:
    safetensors = pytest.importorskip("safetensors.numpy")
    recorded = safetensors.load_file(RECORDED / f"{name}.safetensors")
    wanted = recorded[f"output/{tensor}"][0].transpose(1, 2, 0)
    found = resampled(recorded["input/naive_u8"], wanted.shape[1], wanted.shape[0], SINGAN)
    np.testing.assert_allclose(found / 127.5 - 1, wanted, atol=1e-6)
