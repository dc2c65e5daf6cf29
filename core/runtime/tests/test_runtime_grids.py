"""Sampling grids against the formulas of InGAN's paper, written down once more with a padded image."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

import i2i_runtime as i2i
from i2i_runtime.image.sampling_grids import Shifts, sampling_grid

from .spatial_toys import write_spatial

Array = NDArray[Any]
Float = NDArray[np.float64]

SHEARS = [(0.25, -0.25), (-0.4, 0.4), (0.3, 0.2), (-0.3, -0.55), (0.0, 0.35), (0.6, 0.0), (-0.8, 0.3)]


@pytest.fixture
def bundle(tmp_path: Path) -> Iterator[i2i.Bundle]:
    with i2i.load(write_spatial(tmp_path / "spatial"), device="cpu", threads=1) as opened:
        yield opened


def sampled(image: Float, columns: Float, rows: Float) -> Float:
    """Bilinear values of [height, width] at places in pixels; beyond the border, the border's."""
    height, width = image.shape
    columns, rows = np.clip(columns, 0, width - 1), np.clip(rows, 0, height - 1)
    left, top = np.floor(columns).astype(int), np.floor(rows).astype(int)
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    across, down = columns - left, rows - top
    upper = image[top, left] * (1 - across) + image[top, right] * across
    lower = image[bottom, left] * (1 - across) + image[bottom, right] * across
    return upper * (1 - down) + lower * down


def by_grid(image: Float, grid: NDArray[np.float32]) -> Float:
    """What a graph makes of the runtime's grid: -1 and 1 are the centres of the outer pixels."""
    height, width = image.shape
    x, y = grid[..., 0].astype(np.float64), grid[..., 1].astype(np.float64)
    return sampled(image, (x + 1) / 2 * (width - 1), (y + 1) / 2 * (height - 1))


def sheared(image: Float, size: tuple[int, int], shifts: tuple[float, float], pad: tuple[int, int], mode: Any) -> Float:
    """The paper's way: pad columns, then look where theta (r0, r1) sends each pixel of the result."""
    padded, (r0, r1) = np.pad(image, ((0, 0), pad), mode=mode), shifts
    theta = np.array([[1, (r1 - r0) / 2, (r0 + r1) / 2], [0, 1, 0], [(r0 + r1) / 2, -(r0 + r1) / 2, 1]])
    x, y = np.meshgrid(np.linspace(-1, 1, size[1]), np.linspace(-1, 1, size[0]))
    mapped = np.einsum("ij,jhw->ihw", theta, np.stack([x, y, np.ones_like(x)]))
    height, width = padded.shape
    columns, rows = (mapped[0] / mapped[2] + 1) / 2 * (width - 1), (mapped[1] / mapped[2] + 1) / 2 * (height - 1)
    return sampled(padded, columns, rows)


# --- Plain ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(8, 8), (24, 5), (3, 40), (1, 1), (17, 13)])
def test_without_shifts_it_is_a_bilinear_resize_of_half_pixel_centres(size: tuple[int, int]) -> None:
    image = np.random.default_rng(0).random((11, 13))
    grid, coverage = sampling_grid(image.shape, size, Shifts())
    columns, rows = np.meshgrid(
        (np.arange(size[1]) + 0.5) * 13 / size[1] - 0.5, (np.arange(size[0]) + 0.5) * 11 / size[0] - 0.5
    )
    np.testing.assert_allclose(by_grid(image, grid), sampled(image, columns, rows), atol=1e-5)
    np.testing.assert_array_equal(coverage, np.ones((1, *size)))
    assert grid.dtype == coverage.dtype == np.float32


def test_at_its_own_size_every_pixel_looks_at_itself() -> None:
    image = np.random.default_rng(0).random((11, 13))
    grid, _ = sampling_grid(image.shape, image.shape, Shifts())
    np.testing.assert_allclose(by_grid(image, grid), image, atol=1e-6)


def test_an_image_of_one_pixel_has_its_middle_at_minus_one() -> None:
    """There onnxruntime and torch divide by width - 1; whatever it is times 0, -1 is within the image."""
    grid, _ = sampling_grid((1, 1), (2, 3), Shifts())
    np.testing.assert_array_equal(grid, np.full((2, 3, 2), -1))


# --- Homography -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("r0", "r1"), SHEARS)
@pytest.mark.parametrize("size", [(11, 13), (24, 40)])
def test_shifts_are_the_homography_of_the_mirrored_image(r0: float, r1: float, size: tuple[int, int]) -> None:
    image = np.random.default_rng(1).random((11, 13))
    pad = abs(math.ceil(13 * r0)), abs(math.ceil(-13 * r1))
    grid, _ = sampling_grid(image.shape, size, Shifts(r0, r1))
    np.testing.assert_allclose(by_grid(image, grid), sheared(image, size, (r0, r1), pad, "reflect"), atol=1e-5)


@pytest.mark.parametrize(("r0", "r1"), SHEARS)
def test_coverage_is_a_mask_of_ones_that_goes_the_same_way(r0: float, r1: float) -> None:
    pad = abs(math.ceil(13 * r0)), abs(math.ceil(13 * r1))
    _, coverage = sampling_grid((11, 13), (24, 40), Shifts(r0, r1))
    expected = sheared(np.ones((11, 13)), (24, 40), (r0, r1), pad, "constant")
    np.testing.assert_allclose(coverage[0], expected, atol=1e-6)
    assert 0 < coverage.mean() < 1


def test_opposite_shifts_are_a_shear() -> None:
    """r1 = -r0: every row of the result is moved by as much more than the one above, and none is stretched."""
    grid, _ = sampling_grid((9, 400), (9, 400), Shifts(0.1, -0.1))
    # Away from what is mirrored; in the padded image a column is 2 / 479 wide, in the image itself 2 / 399.
    starts = grid[:, 200, 0]
    np.testing.assert_allclose(np.diff(starts), -0.2 / 8 * 479 / 399, rtol=1e-3)


@pytest.mark.parametrize(("r0", "r1"), [(0.5, 0.5), (-0.6, -0.4), (0.7, 0.7)])
def test_a_horizon_inside_the_image_is_refused(bundle: i2i.Bundle, r0: float, r1: float) -> None:
    with pytest.raises(i2i.OptionError, match="a sum between -1 and 1"):
        bundle.retarget(np.zeros((16, 16, 3), np.uint8), left_shift=r0, right_shift=r1)


def test_shifts_that_leave_the_mirrored_image_are_refused() -> None:
    sampling_grid((4, 16), (4, 16), Shifts(0.9, -0.9))
    with pytest.raises(i2i.OptionError, match="an image of 16 pixels in width"):
        sampling_grid((4, 16), (4, 16), Shifts(0.95, -0.95))


# --- In a bundle ------------------------------------------------------------------------------------------------------


def test_a_graph_gets_grid_and_coverage(bundle: i2i.Bundle) -> None:
    image = np.random.default_rng(2).integers(0, 256, (16, 20, 3), dtype=np.uint8)
    made = cast(
        "dict[str, Array]",
        bundle.retarget(image, size=(24, 28), left_shift=0.2, right_shift=-0.3, outputs=("image", "looked", "covered")),
    )
    grid, coverage = sampling_grid((16, 20), (24, 28), Shifts(0.2, -0.3))
    np.testing.assert_array_equal(made["looked"], grid)
    np.testing.assert_array_equal(made["covered"], coverage)
    for channel in range(3):
        unit = by_grid(image[..., channel] / 127.5 - 1, grid) * coverage[0]
        assert np.abs(made["image"][..., channel] - (unit + 1) * 127.5).max() <= 1


def test_a_scale_counts_the_shifted_borders_in(bundle: i2i.Bundle) -> None:
    """An image of 20 columns, shifted by 4 and 6 of them, takes 30 in the frame; rounded down to multiples of 4."""
    image = np.zeros((16, 20, 3), np.uint8)
    assert bundle.retarget(image, left_shift=0.2, right_shift=0.3).shape == (16, 28, 3)
    assert bundle.retarget(image, left_shift=0.2, right_shift=-0.3, scale=2).shape == (32, 60, 3)


def test_images_of_one_size_share_a_grid_and_others_have_their_own(bundle: i2i.Bundle) -> None:
    random = np.random.default_rng(3)
    images = [random.integers(0, 256, (*size, 3), dtype=np.uint8) for size in ((16, 20), (12, 12), (16, 20))]
    shifts = [0.1, 0.2, 0.3]
    several = cast("list[Array]", bundle.retarget(images, scale=1.5, left_shift=shifts, batch_size=3))
    for image, shift, result in zip(images, shifts, several, strict=True):
        np.testing.assert_array_equal(result, bundle.retarget(image, scale=1.5, left_shift=shift))


def test_nobody_gives_a_grid(bundle: i2i.Bundle) -> None:
    with pytest.raises(i2i.OptionError, match="no option 'grid'"):
        bundle.retarget(np.zeros((16, 16, 3), np.uint8), grid=np.zeros((8, 8, 2)))
