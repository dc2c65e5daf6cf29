from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from i2i_toolkit.layers.bicubic import (
    bicubic_matrix,
    eight_bit_levels,
    resample,
    resample_by,
    resample_levels,
    resample_to,
    scaled_side,
)

CPU = torch.device("cpu")


def ramp(length: int) -> Tensor:
    """1, 2, ... as the columns of an image of three rows."""
    return torch.arange(1, length + 1, dtype=torch.float64).expand(1, 1, 3, length)


@pytest.mark.parametrize(
    ("side", "factor", "wanted"),
    [(250, 0.1, 25), (64, 0.75, 48), (80, 1.37, 110), (100, (25 / 100) ** (1 / 6), 80), (3, 1.0, 3)],
)
def test_sides_are_rounded_up(side: int, factor: float, wanted: int) -> None:
    assert scaled_side(side, factor) == wanted


def test_levels_are_truncated_and_63_of_them_lose_one() -> None:
    every = torch.arange(256, dtype=torch.float64)
    image = ((every / 255).float() - 0.5) * 2
    found = eight_bit_levels(image.reshape(1, 1, 16, 16)).flatten()
    assert set((every - found).tolist()) == {0.0, 1.0}
    assert (every - found).sum() == 63


def test_levels_stay_in_8_bits() -> None:
    assert eight_bit_levels(torch.tensor([-3.0, -1.0, 0.0, 1.0, 3.0]).reshape(1, 1, 1, 5)).flatten().tolist() == [
        0.0,
        0.0,
        127.0,
        255.0,
        255.0,
    ]


def test_a_factor_of_1_changes_nothing_but_the_levels() -> None:
    assert torch.equal(bicubic_matrix(7, 7, 1.0, stretch=1.0, device=CPU), torch.eye(7, dtype=torch.float64))
    image = torch.rand(2, 3, 5, 6) * 2 - 1
    levels = eight_bit_levels(image)
    assert torch.equal(resample_by(image, 1.0), (((levels / 255).float() - 0.5) * 2))


@pytest.mark.parametrize("factor", [0.3, 0.5, 0.75, 1.0, 1.26, 2.0, 3.7])
def test_a_plain_image_stays_plain(factor: float) -> None:
    image = torch.full((1, 3, 20, 30), 0.2)
    wanted = resample_by(image[..., :1, :1], 1.0)
    assert torch.allclose(resample_by(image, factor), wanted, atol=1e-6)


def test_a_slope_is_reproduced_inside() -> None:
    # Keys' kernel with a = -0.5 reproduces straight lines (and parabolas) exactly: sample i lies at i/2 + 1/4.
    found = resample_levels(ramp(12), (3, 24), (1.0, 2.0))[0, 0, 1]
    wanted = torch.arange(1, 25, dtype=torch.float64) / 2 + 0.25
    assert torch.allclose(found[4:-4], wanted[4:-4], atol=1e-12)


def test_the_right_border_is_mirrored_and_the_left_one_left_out() -> None:
    # A quarter of a value beside one, the four taps around weigh (-3, 29, 111, -9)/128, the near one 111.
    matrix = bicubic_matrix(6, 12, 2.0, stretch=1.0, device=CPU)
    inner = torch.tensor([-3.0, 29.0, 111.0, -9.0], dtype=torch.float64) / 128
    # The last sample lies at 6.25: on values 5, 6 and, mirrored, 7 -> 6 and 8 -> 5.
    last = torch.tensor([inner[3] + inner[0], inner[2] + inner[1]], dtype=torch.float64)
    assert torch.allclose(matrix[-1, 4:], last, atol=1e-12)
    # The first lies at 0.75: -1 and 0 are missing, 1 and 2 share the whole.
    first = torch.tensor([inner[2], inner[3]], dtype=torch.float64)
    assert torch.allclose(matrix[0, :2], first / first.sum(), atol=1e-12)
    assert torch.count_nonzero(matrix[0, 2:]) == 0


def test_a_shrinking_image_is_smoothed_over_4_pixels_of_the_result() -> None:
    matrix = bicubic_matrix(40, 10, 0.25, stretch=4.0, device=CPU)
    assert torch.count_nonzero(matrix[5].abs() > 1e-12) == 16
    assert torch.allclose(matrix.sum(1), torch.ones(10, dtype=torch.float64))


def test_the_height_decides_whether_the_kernel_is_stretched() -> None:
    # The width grows: with the height shrinking, its kernel becomes narrower than a pixel of the original.
    image = torch.rand(1, 3, 20, 10) * 2 - 1
    both_grow, height_shrinks = (resample_to(image, (height, 15)) for height in (20, 19))
    narrow = bicubic_matrix(10, 15, 1.5, stretch=1 / 1.5, device=CPU)
    rows = bicubic_matrix(20, 19, 19 / 20, stretch=20 / 19, device=CPU)
    wanted = ((rows @ eight_bit_levels(image) @ narrow.mT / 255).float() - 0.5) * 2
    assert torch.allclose(height_shrinks, wanted.clamp(-1, 1), atol=1e-6)
    assert (height_shrinks[..., 5, :] - both_grow[..., 5, :]).abs().max() > 0.01


def test_fewer_and_more_rows_than_the_factor_gives() -> None:
    image = torch.rand(1, 3, 8, 8) * 2 - 1
    whole = resample_by(image, 1.3)
    assert whole.shape[-2:] == (11, 11)
    assert torch.allclose(resample(image, (9, 10), (1.3, 1.3)), whole[..., :9, :10], atol=1e-6)
    assert torch.allclose(resample(image, (12, 13), (1.3, 1.3))[..., :11, :11], whole, atol=1e-6)


def test_no_gradient_passes() -> None:
    image = torch.zeros(1, 3, 8, 8, requires_grad=True)
    assert not resample_by(image, 1.3).requires_grad


class Enlarged(nn.Module):
    """Enlarges an image to the size of another tensor."""

    def forward(self, image: Tensor, like: Tensor) -> Tensor:
        height, width = like.shape[-2:]
        return resample(image, (height, width), (1.3, 1.3))


def test_it_can_be_exported_with_free_sizes() -> None:
    sides = [{0: torch.export.Dim.DYNAMIC, 2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC} for _ in range(2)]
    example = (torch.rand(2, 3, 8, 9) * 2 - 1, torch.zeros(2, 1, 11, 12))
    program = torch.export.export(Enlarged(), example, dynamic_shapes=tuple(sides)).module()
    other = (torch.rand(3, 3, 13, 6) * 2 - 1, torch.zeros(3, 1, 17, 8))
    assert torch.allclose(program(*other), Enlarged()(*other), atol=1e-6)
