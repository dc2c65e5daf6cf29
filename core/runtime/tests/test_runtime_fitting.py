"""Images are brought to a size the graph takes, and results back, by closed forms."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from i2i_runtime.errors import ImageError
from i2i_runtime.image import fitting
from i2i_runtime.image import reading as images
from i2i_runtime.image.pixels import Pixels, of_image
from i2i_runtime.image.resizing import BICUBIC, Fit, Kernel, Resize, SizeRule, best_fit
from i2i_runtime.kinds.base import Gathering
from i2i_runtime.kinds.columns import ArrayColumn
from i2i_runtime.kinds.image import Also, ImageInput
from i2i_runtime.schema.operations import GraphCall, ImageOutput, Operation

BAD = Path(__file__).parent / "data" / "bad"
FIXED = ImageInput(name="image", size=SizeRule(height=32, width=48))
FREE = ImageInput(name="image", size=SizeRule(height=32, width=32, dynamic=True, multiple=4, minimum=8, maximum=64))


def ramp(height: int, width: int, channels: int = 3) -> Pixels:
    values = np.arange(height * width * channels, dtype=np.uint32).reshape(height, width, channels) * 7 % 256
    return values.astype(np.uint8)


def test_resize_averages_when_it_shrinks() -> None:
    columns = np.tile(np.array([0, 255], dtype=np.uint8), (64, 32))
    fitted = fitting.fit_image(
        columns[:, :, None].repeat(3, axis=2), ImageInput(name="image", size=SizeRule(height=16, width=16)), "resize"
    )
    assert fitted.pixels.shape == (16, 16, 3)
    assert np.abs(fitted.pixels[:, 1:-1].astype(float) - 127.5).max() < 2  # without antialiasing: stripes of 0 and 255


def test_keep_aspect_pads_and_the_padding_is_cut_from_a_larger_result() -> None:
    fitted = fitting.fit_image(ramp(10, 30), FIXED, "keep_aspect")
    assert fitted.pixels.shape == (32, 48, 3)
    assert (fitted.top, fitted.left, fitted.height, fitted.width) == (8, 0, 16, 48)
    twice = fitted.pixels.repeat(2, axis=0).repeat(2, axis=1)
    cut = fitted.crop(twice)
    assert cut.shape == (32, 96, 3)
    np.testing.assert_array_equal(cut[::2, ::2], fitted.pixels[8:24])


def test_native_pads_to_the_next_multiple_by_mirroring_and_leaves_the_image_in_its_place() -> None:
    image = ramp(9, 14)
    fitted = fitting.fit_image(image, FREE, "native")
    assert fitted.pixels.shape == (12, 16, 3)
    np.testing.assert_array_equal(fitted.crop(fitted.pixels), image)
    np.testing.assert_array_equal(fitted.pixels[9], fitted.pixels[7])  # mirrored at the last row, 8
    np.testing.assert_array_equal(fitted.pixels[:, 15], fitted.pixels[:, 11])


def test_what_is_over_is_cut_at_the_end_where_nothing_may_be_made_up() -> None:
    image = ramp(30, 47)
    fitted = fitting.fit_image(image, FREE.model_copy(update={"to_multiple": "cut"}), "native")
    np.testing.assert_array_equal(fitted.pixels, image[:28, :44])
    np.testing.assert_array_equal(fitted.crop(fitted.pixels), image[:28, :44])
    with pytest.raises(ImageError, match="at least 8"):
        fitting.fit_image(ramp(7, 20), FREE.model_copy(update={"to_multiple": "cut"}), "native")


def test_what_is_spare_may_be_shared_by_both_sides() -> None:
    image = ramp(30, 46)
    both = FREE.model_copy(update={"spare": "both"})
    padded = fitting.fit_image(image, both, "native")
    assert (padded.pixels.shape, padded.top, padded.left) == ((32, 48, 3), 1, 1)
    np.testing.assert_array_equal(padded.crop(padded.pixels), image)
    cut = fitting.fit_image(image, both.model_copy(update={"to_multiple": "cut"}), "native")
    np.testing.assert_array_equal(cut.pixels, image[1:29, 1:45])


@pytest.mark.parametrize(("size", "fed"), [((64, 128), (16, 32)), ((100, 60), (32, 20)), ((1, 900), (8, 32))])
def test_where_sizes_are_free_the_aspect_is_kept_without_a_frame(size: tuple[int, int], fed: tuple[int, int]) -> None:
    assert fitting.fit_image(ramp(*size), FREE, "keep_aspect").pixels.shape[:2] == fed


@pytest.mark.parametrize("policy", ["resize", "keep_aspect"])
def test_an_image_is_resampled_as_its_input_says(policy: Fit) -> None:
    image = ramp(64, 96)
    ways: dict[Kernel, Image.Resampling] = {"bicubic": Image.Resampling.BICUBIC, "box": Image.Resampling.BOX}
    for kernel, filters in ways.items():
        value = FIXED.model_copy(update={"resize": Resize(kernel=kernel)})
        expected = np.asarray(Image.fromarray(image).resize((48, 32), filters))
        np.testing.assert_array_equal(fitting.fit_image(image, value, policy).pixels, expected)


def test_native_leaves_a_fitting_image_alone() -> None:
    image = ramp(12, 16)
    np.testing.assert_array_equal(fitting.fit_image(image, FREE, "native").pixels, image)


@pytest.mark.parametrize("name", ["strip_1x4000.png", "strip_4000x1.png", "one_by_one.png"])
@pytest.mark.parametrize("policy", ["resize", "keep_aspect"])
def test_the_narrowest_images_never_reach_width_0(name: str, policy: Fit) -> None:
    image = images.read_pixels(BAD / name)
    fitted = fitting.fit_image(image, FIXED, policy)
    assert fitted.pixels.shape == (32, 48, 3)
    assert 0 not in fitted.crop(fitted.pixels).shape


def test_where_mirroring_is_impossible_the_border_is_repeated() -> None:
    fitted = fitting.fit_image(np.full((4000, 1, 3), (9, 8, 7), np.uint8), FIXED, "keep_aspect")
    assert (fitted.pixels == (9, 8, 7)).all()


@pytest.mark.parametrize(("size", "rule"), [((4, 20), "at least 8"), ((20, 70), "at most 64")])
def test_native_names_the_rule_an_image_breaks(size: tuple[int, int], rule: str) -> None:
    with pytest.raises(ImageError, match=rule) as caught:
        fitting.fit_image(ramp(*size), FREE, "native")
    assert f"{size[0]}x{size[1]}" in caught.value.found
    assert "resize" in caught.value.fix


def test_native_on_a_graph_of_fixed_size_takes_that_size_only() -> None:
    assert fitting.fit_image(ramp(32, 48), FIXED, "native").pixels.shape == (32, 48, 3)
    with pytest.raises(ImageError, match="exactly 32x48"):
        fitting.fit_image(ramp(32, 47), FIXED, "native")


def test_a_graph_of_one_channel_gets_the_luminance() -> None:
    fitted = fitting.fit_image(of_image(Image.new("RGB", (48, 32), (255, 0, 0)), 1), FIXED, "resize")
    assert fitted.pixels.shape == (32, 48, 1)
    assert fitted.pixels[0, 0, 0] == round(0.299 * 255)


@pytest.mark.parametrize("channels", [1, 2, 4, 6])
@pytest.mark.parametrize("policy", ["resize", "keep_aspect", "native"])
def test_every_channel_is_fitted_as_if_it_were_alone(channels: int, policy: Fit) -> None:
    image = ramp(23, 34, channels)
    fitted = fitting.fit_image(image, FREE, policy)
    for index in range(channels):
        alone = fitting.fit_image(image[:, :, index : index + 1], FREE, policy)
        np.testing.assert_array_equal(fitted.pixels[:, :, index : index + 1], alone.pixels)


def test_to_tensor_is_the_official_normalisation() -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    expected = (np.arange(256) / 255 - 0.5) / 0.5
    np.testing.assert_allclose(fitting.image_to_tensor(levels).ravel(), expected, atol=1e-7)
    np.testing.assert_allclose(fitting.image_to_tensor(levels, (0, 1)).ravel(), np.arange(256) / 255, atol=1e-7)
    assert fitting.image_to_tensor(levels).dtype == np.float32


def test_to_image_rounds_halves_to_even_and_saturates() -> None:
    levels = np.array([0.5, 1.5, 2.5, 256.2, -3, 254.6], dtype=np.float64)
    tensor = (levels / 255).astype(np.float32).reshape(1, 1, 6)
    np.testing.assert_array_equal(fitting.tensor_to_image(tensor, (0, 1)).ravel(), [0, 2, 2, 255, 0, 255])


@pytest.mark.parametrize("value_range", [(-1.0, 1.0), (0.0, 1.0), (0.0, 255.0), (-2.0, 2.0)])
def test_every_level_survives_the_way_to_a_tensor_and_back(value_range: tuple[float, float]) -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)
    tensor = fitting.image_to_tensor(levels, value_range)
    np.testing.assert_allclose([tensor.min(), tensor.max()], value_range, rtol=1e-6)
    np.testing.assert_array_equal(fitting.tensor_to_image(tensor, value_range), levels)


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        (SizeRule(height=96, width=96, dynamic=True), "native"),
        (SizeRule(height=256, width=256, dynamic=True), "keep_aspect"),
        (SizeRule(height=96, width=96), "keep_aspect"),
    ],
)
def test_translators_keep_the_form_of_what_goes_in(rule: SizeRule, expected: Fit) -> None:
    assert best_fit(rule) == expected
    fitted = fitting.fit_image(ramp(120, 200), ImageInput(name="image", size=rule), best_fit(rule))
    result = fitted.crop(fitted.pixels)
    assert result.shape[1] / result.shape[0] == pytest.approx(200 / 120, rel=0.03)


@pytest.mark.parametrize("policy", ["resize", "native", "keep_aspect"])
def test_a_second_size_comes_from_the_image_as_it_was_given(policy: Fit) -> None:
    image = ramp(32, 48)
    value = FIXED.model_copy(update={"also": Also(name="coarse", height=8, width=12), "resize": BICUBIC})
    expected = np.asarray(Image.fromarray(image).resize((12, 8), Image.Resampling.BICUBIC))
    found = Gathering((value,), 1, {"image": image}, fit=policy).column("coarse", ArrayColumn)
    np.testing.assert_array_equal(found.tensor(0), fitting.image_to_tensor(expected))


def test_the_names_of_all_values_differ() -> None:
    value = FIXED.model_copy(update={"also": Also(name="image", height=8, width=12)})
    with pytest.raises(ValueError, match=r"repeat: \['image'\]"):
        Operation(
            name="edit",
            inputs=(value,),
            outputs=(ImageOutput(name="image"),),
            steps=(GraphCall(graph="g", inputs={"x": "image"}, outputs={"y": "image"}),),
        )
