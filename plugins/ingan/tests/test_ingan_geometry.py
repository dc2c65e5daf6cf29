from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from i2i_plugin_ingan.networks import transformed
from i2i_plugin_ingan.networks.geometry import homography_grid, resize_grid
from i2i_runtime import Shifts, homography_matrix, homography_points, sampling_grid

SHIFTS = [Shifts(0.25, -0.35), Shifts(-0.4, 0.3), Shifts(0.3, -0.3), Shifts(-0.2, -0.5), Shifts(0.7, 0.1)]
SOURCE, RESULT = (20, 30), (24, 40)


def features() -> Tensor:
    return torch.rand(1, 5, *SOURCE, generator=torch.Generator().manual_seed(0))


def moved(theta: Tensor, x: float, y: float) -> list[float]:
    point = theta @ torch.tensor([x, y, 1.0], dtype=theta.dtype)
    return (point[:2] / point[2]).tolist()


@pytest.mark.parametrize("shifts", SHIFTS, ids=str)
def test_the_closed_form_moves_the_four_points_of_the_paper(shifts: Shifts) -> None:
    theta = torch.from_numpy(homography_matrix(shifts))
    for point, target in (
        ((-1.0, -1.0), (-1 + shifts.left, -1.0)),
        ((1.0, 1.0), (1 + shifts.right, 1.0)),
        ((-1.0, 0.0), (-1.0, 0.0)),
        ((1.0, 0.0), (1.0, 0.0)),
    ):
        assert moved(theta, *point) == pytest.approx(target, abs=1e-12)


def test_opposite_shifts_are_a_shear() -> None:
    assert homography_matrix(Shifts(0.2, -0.2))[2].tolist() == [0.0, 0.0, 1.0]


@pytest.mark.parametrize("shifts", SHIFTS, ids=str)
def test_folded_coordinates_sample_what_a_mirrored_copy_would_give(shifts: Shifts) -> None:
    left, right = abs(math.ceil(30 * shifts.left)), abs(math.ceil(-30 * shifts.right))
    copy = F.pad(features(), (left, right, 0, 0), mode="reflect")
    grid = torch.from_numpy(homography_points(RESULT, shifts))[None].float()
    expected = F.grid_sample(copy, grid, padding_mode="border", align_corners=True)
    found = transformed(features(), homography_grid(SOURCE, RESULT, shifts))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("result", [RESULT, (8, 16), (20, 30)], ids=str)
def test_the_grid_of_a_resize_is_half_pixel_bilinear(result: tuple[int, int]) -> None:
    expected = F.interpolate(features(), result, mode="bilinear", align_corners=False)
    torch.testing.assert_close(transformed(features(), resize_grid(SOURCE, result)), expected, rtol=0, atol=1e-5)


def test_without_shifts_a_homography_is_a_resize_that_keeps_the_end_points() -> None:
    expected = F.interpolate(features(), RESULT, mode="bilinear", align_corners=True)
    found = transformed(features(), homography_grid(SOURCE, RESULT, Shifts()))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("shifts", SHIFTS, ids=str)
def test_bundles_get_the_grids_of_the_training(shifts: Shifts) -> None:
    grid, _ = sampling_grid(SOURCE, RESULT, shifts)
    assert torch.equal(homography_grid(SOURCE, RESULT, shifts)[0], torch.from_numpy(grid))
    plain, _ = sampling_grid(SOURCE, RESULT, Shifts())
    assert torch.equal(resize_grid(SOURCE, RESULT)[0], torch.from_numpy(plain))


def test_the_way_back_has_negated_shifts() -> None:
    assert Shifts(0.1, -0.2).reversed() == Shifts(-0.1, 0.2)
