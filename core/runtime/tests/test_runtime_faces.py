"""A face is found, framed and cut out upright: on images whose eyes and mouth are dots of colour."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from pydantic import ValidationError

import i2i_runtime as i2i
from i2i_runtime.image.faces import Landmarks, Square, cut_square, heatmap_landmarks, square_of
from i2i_runtime.image.resizing import SizeRule
from i2i_runtime.kinds.image import ImageInput

SIDE = 64
EYES_AND_MOUTH = Landmarks(graph="find", input="image", output="heat", left_eye=(0,), right_eye=(1,), mouth=(2,))
Points = NDArray[Any]


def face(points: Points, size: tuple[int, int], radius: float) -> Image.Image:
    """Left eye red, right eye green, mouth blue, on grey."""
    image = Image.new("RGB", size, (90, 90, 90))
    pen = ImageDraw.Draw(image)
    for (x, y), colour in zip(points, ((255, 60, 60), (60, 255, 60), (60, 60, 255)), strict=True):
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
    return image


def dots(image: Image.Image) -> Points:
    """Where the three colours are, as shares of the side."""
    pixels = np.asarray(image, dtype=float)
    excess = np.clip(pixels - pixels.mean(2, keepdims=True) - 30, 0, None)
    rows, columns = np.mgrid[: image.height, : image.width] + 0.5
    total = excess.sum((0, 1))
    return np.stack([(excess * columns[..., None]).sum((0, 1)), (excess * rows[..., None]).sum((0, 1))], 1) / (
        total[:, None] * image.width
    )


def turned(points: Points, degrees: float, centre: tuple[float, float]) -> Points:
    angle = math.radians(degrees)
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    return (points - centre) @ turn + centre


# An upright face: eyes 20 apart, mouth 20 below them. Its square has the side 4 * 20 and its centre 2 below the eyes.
FACE = np.array([[90.0, 100.0], [110.0, 100.0], [100.0, 120.0]])
FRAMED = (FACE - (100 - 40, 102 - 40)) / 80


def test_the_square_follows_from_eyes_and_mouth() -> None:
    square = square_of(FACE, EYES_AND_MOUTH)
    assert square is not None
    np.testing.assert_allclose(square.centre, [100, 102])
    np.testing.assert_allclose(square.half, [40, 0])
    np.testing.assert_allclose(square.corner, [60, 62])
    long = square_of(FACE + np.array([[0, 0], [0, 0], [0, 20]]), EYES_AND_MOUTH)
    assert long is not None
    assert long.side == pytest.approx(3.6 * 40)


def test_eyes_and_mouth_in_one_place_are_no_face() -> None:
    assert square_of(np.zeros((3, 2)), EYES_AND_MOUTH) is None


def test_a_landmark_is_the_middle_of_its_hottest_pixel_and_leans_to_hotter_neighbours() -> None:
    heat = np.zeros((3, 5, 8))
    heat[0, 2, 4], heat[0, 2, 5], heat[0, 1, 4] = 1, 0.5, 0.25
    heat[1, 0, 0] = 1
    heat[2, 3, 6] = 1
    np.testing.assert_array_equal(heatmap_landmarks(heat), [[4.75, 2.25], [0.5, 0.5], [6.5, 3.5]])


@pytest.mark.parametrize("degrees", [0, 25, -60, 180])
def test_a_face_comes_out_upright_in_its_frame_however_it_lay(degrees: float, faces: Path) -> None:
    points = turned(FACE, degrees, (100, 100)) * 2
    with i2i.load(faces, device="cpu", threads=1) as bundle:
        result = bundle.translate(face(points, (460, 400), 8), fit="face")
    assert result.size == (SIDE, SIDE)
    # Found on a grid of 16 pixels over an image of 460, so that a few hundredths may be missing.
    np.testing.assert_allclose(dots(result), FRAMED, atol=0.06)


def test_the_square_is_cut_out_to_the_pixel() -> None:
    levels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    cut = cut_square(Image.fromarray(levels), Square(np.array([20.0, 18.0]), np.array([8.0, 0.0])), 16, 16)
    np.testing.assert_array_equal(np.asarray(cut), levels[10:26, 12:28])
    upside_down = cut_square(Image.fromarray(levels), Square(np.array([20.0, 18.0]), np.array([-8.0, 0.0])), 16, 16)
    np.testing.assert_array_equal(np.asarray(upside_down), levels[10:26, 12:28][::-1, ::-1])


def test_beyond_the_border_the_image_is_mirrored_and_fades() -> None:
    levels = np.zeros((40, 40, 3), np.uint8)
    levels[:, ::2] = 255
    cut = np.asarray(cut_square(Image.fromarray(levels), Square(np.array([0.0, 20.0]), np.array([16.0, 0.0])), 32, 32))
    np.testing.assert_array_equal(cut[:, 16:], levels[4:36, :16])
    stripes = [int(np.ptp(cut[10, start : start + 2, 0])) for start in (14, 0)]
    assert stripes[0] > 2 * stripes[1]


@pytest.mark.parametrize("size", [(64, 64), (3000, 20), (2, 2)])
def test_an_image_without_a_face_is_refused(size: tuple[int, int], faces: Path) -> None:
    with i2i.load(faces, device="cpu", threads=1) as bundle:
        with pytest.raises(i2i.ImageError, match="no face"):
            bundle.translate(Image.new("RGB", size, (90, 90, 90)), fit="face")
        assert bundle.translate(Image.new("RGB", size, (90, 90, 90))).size == (SIDE, SIDE)


def test_models_that_know_no_faces_refuse_to_look_for_one(tiny: Path) -> None:
    with (
        i2i.load(tiny, device="cpu", threads=1) as bundle,
        pytest.raises(i2i.OptionError, match="knows no faces"),
    ):
        bundle.translate(Image.new("RGB", (16, 16)), fit="face", domain="negate")


def test_an_input_that_cuts_out_faces_says_what_finds_them() -> None:
    with pytest.raises(ValidationError, match="nothing says where faces are"):
        ImageInput(name="image", size=SizeRule(height=8, width=8), fit="face")


@pytest.mark.parametrize("field", ["graph", "input", "output"])
def test_a_bundle_without_what_finds_the_face_is_refused(field: str, faces: Path, edit_manifest: Any) -> None:
    def rename(manifest: Any) -> None:
        manifest["operations"][0]["inputs"][0]["face"][field] = "other"

    edit_manifest(faces, rename)
    with pytest.raises(i2i.BundleError, match="other"):
        i2i.load(faces, device="cpu")
