"""Masks against closed forms: what counts as marked, the disc, the blur, and where it lies on a fitted image."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

import i2i_runtime as i2i
from i2i_runtime.image.masks import blurred_by, soften_mask
from i2i_runtime.image.resizing import Fit, SizeRule

from .conftest import write_bundle
from .spatial_toys import ANY_SIDE, edit, masker

Array = NDArray[Any]
Levels = NDArray[np.uint8]


def soft(folder: Path, image: Any, mask: Any, rule: SizeRule = ANY_SIDE, **options: Any) -> Array:
    """The mask [h, w] that the graph of `edit` gets; `dilate_px` and `blur` are the operation's."""
    shape = {name: options.pop(name) for name in ("dilate_px", "blur") if name in options}
    path = write_bundle(folder, (edit(rule, **shape),), {"masker": masker()})
    with i2i.load(path, device="cpu", threads=1) as bundle:
        return cast("Array", bundle.edit(image, mask=mask, outputs="soft", **options))[0]


def black(height: int, width: int) -> Levels:
    return np.zeros((height, width, 3), np.uint8)


def marked(height: int, width: int, *places: tuple[int, int]) -> Levels:
    image = black(height, width)
    for row, column in places:
        image[row, column] = 255
    return image


# --- Disc and blur ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("radius", [0, 1, 2, 7, 20])
def test_a_disc_is_every_pixel_within_its_radius(radius: int) -> None:
    point = np.zeros((47, 50), bool)
    point[20, 28] = True
    rows, columns = np.indices(point.shape)
    disc = (rows - 20) ** 2 + (columns - 28) ** 2 <= radius**2
    np.testing.assert_array_equal(soften_mask(point, radius, 0), disc)


def test_a_dilation_is_the_union_of_discs() -> None:
    points = np.random.default_rng(0).random((19, 23)) < 0.02
    rows, columns = np.indices(points.shape)
    union = np.zeros_like(points)
    for row, column in np.argwhere(points):
        union |= (rows - row) ** 2 + (columns - column) ** 2 <= 9
    assert 2 < points.sum() < union.sum() < points.size
    np.testing.assert_array_equal(soften_mask(points, 3, 0), union)


def test_a_disc_may_be_larger_than_the_image() -> None:
    point = np.zeros((5, 4), bool)
    point[0, 0] = True
    np.testing.assert_array_equal(soften_mask(point, 20, 0), np.ones((5, 4)))


@pytest.mark.parametrize("sigma", [0.5, 1.3, 5.0])
def test_a_blur_is_the_sum_over_a_gaussian_cut_at_four_deviations(sigma: float) -> None:
    """The definition, pixel by pixel: exp(-d^2 / 2 sigma^2), normalised; beyond the border the border's values."""
    values = np.random.default_rng(1).random((9, 12))
    reach = int(4 * sigma + 0.5)
    offsets = np.arange(-reach, reach + 1)
    weights = np.exp(-(offsets[:, None] ** 2 + offsets**2) / (2 * sigma**2))
    weights /= weights.sum()
    expected = np.empty_like(values)
    for row, column in np.ndindex(values.shape):
        around = values[np.clip(row + offsets, 0, 8)][:, np.clip(column + offsets, 0, 11)]
        expected[row, column] = (weights * around).sum()
    np.testing.assert_allclose(blurred_by(values, sigma), expected, rtol=1e-12)


def test_a_soft_mask_goes_from_0_to_1() -> None:
    square = np.zeros((40, 40), bool)
    square[18:22, 18:22] = True
    blurred = blurred_by(square.astype(np.float64), 3)
    mask = soften_mask(square, 0, 3)
    assert (mask.dtype, mask.min(), mask.max()) == (np.float32, 0, 1)
    np.testing.assert_allclose(mask, blurred / blurred.max(), atol=1e-6)


@pytest.mark.parametrize(("dilate_px", "blur"), [(0, 0.0), (7, 5.0)])
def test_where_all_is_marked_the_mask_is_1(tmp_path: Path, dilate_px: int, blur: float) -> None:
    mask = soft(tmp_path, black(16, 20), np.full((16, 20, 3), 255, np.uint8), dilate_px=dilate_px, blur=blur)
    np.testing.assert_array_equal(mask, np.ones((16, 20)))


# --- What counts, and where it lies -----------------------------------------------------------------------------------


@pytest.mark.parametrize("colour", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (255, 255, 255)])
def test_all_that_is_not_black_counts(tmp_path: Path, colour: tuple[int, int, int]) -> None:
    painted = black(16, 20)
    painted[3, 5] = colour
    mask = soft(tmp_path, black(16, 20), painted)
    np.testing.assert_array_equal(np.argwhere(mask), [[3, 5]])


def test_the_graph_gets_the_mask_as_a_map_beside_the_image(tmp_path: Path) -> None:
    image = np.full((16, 20, 3), 255, np.uint8)
    painted = marked(16, 20, (3, 5), (15, 19))
    path = write_bundle(tmp_path / "masked", (edit(),), {"masker": masker()})
    with i2i.load(path, device="cpu", threads=1) as bundle:
        result = bundle.edit(image, mask=painted)
    # Outside the mask image * mask is 0 in [-1, 1], which is 127.5 in 0..255.
    np.testing.assert_array_equal(result, np.where(painted > 0, 255, 128))


def test_padding_is_never_marked(tmp_path: Path) -> None:
    rule = SizeRule(height=16, width=16, dynamic=True, multiple=8)
    mask = soft(tmp_path, black(13, 21), np.full((13, 21, 3), 9, np.uint8), rule, fit="native")
    expected = np.zeros((16, 24))
    expected[:13, :21] = 1
    np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize(
    ("fit", "rows", "columns"),
    [("resize", slice(0, 8), slice(8, 16)), ("keep_aspect", slice(4, 8), slice(8, 16))],
)
def test_a_mask_goes_where_its_image_goes(tmp_path: Path, fit: Fit, rows: slice, columns: slice) -> None:
    """The upper right quarter of an image of 20 x 40, in a square of 16."""
    painted = black(20, 40)
    painted[:10, 20:] = 255
    mask = soft(tmp_path, black(20, 40), painted, SizeRule(height=16, width=16), fit=fit)
    expected = np.zeros((16, 16))
    expected[rows, columns] = 1
    np.testing.assert_array_equal(mask, expected)


def test_a_thin_line_survives_an_image_that_shrinks(tmp_path: Path) -> None:
    mask = soft(tmp_path, black(320, 320), marked(320, 320, (33, 77)), SizeRule(height=16, width=16), fit="resize")
    np.testing.assert_array_equal(np.argwhere(mask), [[1, 3]])


def test_each_image_may_have_a_mask_of_its_own(tmp_path: Path) -> None:
    images = [np.full(shape, 255, np.uint8) for shape in ((16, 20, 3), (9, 8, 3), (16, 20, 3))]
    masks = [marked(*image.shape[:2], (index + 1, index + 2)) for index, image in enumerate(images)]
    path = write_bundle(tmp_path / "masked", (edit(dilate_px=2, blur=1.0),), {"masker": masker()})
    with i2i.load(path, device="cpu", threads=1) as bundle:
        several = cast("list[Array]", bundle.edit(images, mask=masks, batch_size=3))
        for image, mask, result in zip(images, masks, several, strict=True):
            np.testing.assert_array_equal(result, bundle.edit(image, mask=mask))


def test_a_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(i2i.ImageError, match=r"'mask' has 16x20 pixels .*\nexpected: 20x16, the size of .*'image'"):
        soft(tmp_path, black(16, 20), marked(20, 16, (3, 3)))


def test_a_mask_that_marks_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(i2i.ImageError, match="'mask' is black everywhere"):
        soft(tmp_path, black(16, 20), black(16, 20))


def test_a_mask_that_is_missing_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(i2i.OptionError, match="the image 'mask' is missing"):
        soft(tmp_path, black(16, 20), None)
