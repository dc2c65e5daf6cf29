"""Animations that wander in noise space, and animations that go from size to size."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import i2i_runtime as i2i
from i2i_runtime.animation.walks import walk
from i2i_runtime.device.sessions import Sessions
from i2i_runtime.image.reading import read
from i2i_runtime.image.writing import encode

from .spatial_toys import FIRST, HEIGHT, QUIET, STORED, WIDTH, write_spatial

Array = NDArray[Any]
LEVELS = np.random.default_rng(0).integers(1, 256, (16, 20, 3), dtype=np.uint8)


@pytest.fixture
def bundle(tmp_path: Path) -> Iterator[i2i.Bundle]:
    with i2i.load(write_spatial(tmp_path / "spatial"), device="cpu", threads=1) as opened:
        yield opened


def directly(stored: Array, *, pull: float, inertia: float, first: float, count: int, seed: int) -> list[Array]:
    """The recursion of the paper's supplement on the whole maps, u_1 and u_2 as it calls them."""

    def fresh(frame: int) -> Array:
        return np.random.Generator(np.random.PCG64([seed, frame])).standard_normal(stored.shape, dtype=np.float32)

    z = stored.astype(np.float64)
    u1, u2 = (1 - first) * z + first * fresh(0), z
    frames: list[Array] = []
    for frame in range(1, count + 1):
        difference = inertia * (u1 - u2) + (1 - inertia) * fresh(frame)
        u = pull * z + (1 - pull) * (u1 + difference)
        u2, u1 = u1, u
        frames.append(u)
    return frames


def arrays(frames: list[Any]) -> list[Array]:
    return [np.asarray(frame) for frame in frames]


# --- Walks ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pull", "inertia", "first"), [(0.1, 0.9, 0.05), (0.1, 0.8, 0.01), (0.0, 1.0, 0.05), (1.0, 0.5, 0.5)]
)
def test_anchor_and_maps_are_the_walk_of_the_paper(pull: float, inertia: float, first: float) -> None:
    """u = c Z + m, for any Z."""
    stored = np.random.default_rng(4).standard_normal((3, 7, 9)).astype(np.float32)
    frames = list(walk({"noise": (3, 7, 9)}, first=first, pull=pull, inertia=inertia, count=40, seed=11))
    expected = directly(stored, pull=pull, inertia=inertia, first=first, count=40, seed=11)
    for frame, u in zip(frames, expected, strict=True):
        np.testing.assert_allclose(frame.anchor * stored + frame.maps["noise"], u, atol=2e-5)
        assert frame.maps["noise"].dtype == np.float32


def test_the_maps_of_a_pyramid_are_drawn_in_their_order() -> None:
    shapes: Any = {"noise_0": (1, 2, 3), "noise_1": (3, 4, 5)}
    (frame,) = walk(shapes, first=1.0, pull=0.0, inertia=0.0, count=1, seed=7)
    first, second = (np.random.Generator(np.random.PCG64([7, number])) for number in (0, 1))
    for name, shape in shapes.items():  # u = n + n', as nothing is left of Z or of the step before
        drawn = [generator.standard_normal(shape, dtype=np.float32) for generator in (first, second)]
        np.testing.assert_allclose(frame.maps[name], sum(drawn), atol=1e-6)


def test_the_frames_are_what_the_graph_makes_of_the_walk(bundle: i2i.Bundle) -> None:
    """With the paper's numbers the anchor swings beyond 1, which no limit of the input may stop."""
    frames = arrays(bundle.animate.frames(count=30, seed=3))
    anchors = [f.anchor for f in walk({}, first=FIRST, pull=0.1, inertia=0.9, count=30, seed=3)]
    assert max(anchors) > 1
    walked = directly(STORED[0], pull=0.1, inertia=0.9, first=FIRST, count=30, seed=3)
    for frame, u in zip(frames, walked, strict=True):
        expected = (np.clip(QUIET * u, -1, 1) + 1) * 127.5
        assert np.abs(frame.transpose(2, 0, 1) - expected).max() <= 1


def test_an_animation_repeats_and_a_longer_one_begins_like_it(bundle: i2i.Bundle) -> None:
    short, again, long = (arrays(bundle.animate.frames(count=n, seed=3, inertia=0.8)) for n in (4, 4, 7))
    np.testing.assert_array_equal(short, again)
    np.testing.assert_array_equal(short, long[:4])
    assert len({frame.tobytes() for frame in long}) == 7
    assert not np.array_equal(short[0], arrays(bundle.animate.frames(count=1, seed=4, inertia=0.8))[0])


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"count": 0}, "count=0 frames"),
        ({"seed": -1}, "seed=-1"),
        ({"to": {"seed": 2}}, "animate wanders by itself"),
        ({"anchor": 1}, "'anchor' for an animation"),
        ({"noise": np.zeros((3, HEIGHT, WIDTH))}, "'noise' for an animation"),
        ({"pull": 1.5}, "pull=1.5\nexpected: from 0 to 1"),
        ({"inertia": "fast"}, "inertia is a str"),
        ({"inertia": [0.1, 0.2]}, "inertia is a list"),
        ({"drag": 1}, "no option 'drag'"),
    ],
)
def test_walks_that_cannot_be_are_refused(bundle: i2i.Bundle, options: dict[str, Any], reason: str) -> None:
    with pytest.raises(i2i.OptionError, match=reason):
        bundle.animate.frames(**options)


def test_a_walk_starts_from_nothing(bundle: i2i.Bundle) -> None:
    with pytest.raises(i2i.OptionError, match="an image for animate"):
        bundle.animate.frames("me.jpg")


def test_a_call_keeps_the_limits_of_the_anchor(bundle: i2i.Bundle) -> None:
    with pytest.raises(i2i.OptionError, match=r"anchor=1\.5"):
        bundle.animate(anchor=1.5)


# --- From size to size ------------------------------------------------------------------------------------------------


def sizes(frames: list[Any]) -> list[tuple[int, int]]:
    """Height and width of what is not black: the canvas is, and the images here are nowhere."""
    filled = [np.asarray(frame).any(axis=-1) for frame in frames]
    return [(int(each.any(axis=-1).sum()), int(each.any(axis=0).sum())) for each in filled]


def test_frames_go_from_the_own_size_to_another_and_lie_on_one_canvas(bundle: i2i.Bundle) -> None:
    frames = bundle.retarget.frames(LEVELS, to={"size": (32, 12)}, count=5)
    assert sizes(frames) == [(16, 20), (20, 16), (24, 16), (28, 16), (32, 12)]
    for frame, size in zip(arrays(frames), sizes(frames), strict=True):
        assert frame.shape == (32, 20, 3)
        np.testing.assert_array_equal(frame[: size[0], : size[1]], bundle.retarget(LEVELS, size=size))


def test_frames_go_through_several_scales_in_turn(bundle: i2i.Bundle) -> None:
    frames = bundle.retarget.frames(LEVELS, scale=(1, 2), to=cast("Any", {"scale": [(1, 1), "2x1", 2]}), count=7)
    assert sizes(frames) == [(16, 40), (16, 28), (16, 20), (24, 20), (32, 20), (32, 28), (32, 40)]


def test_the_first_frame_has_the_size_that_the_call_asks_for(bundle: i2i.Bundle) -> None:
    """In whichever way it is said: pixels beside a scale, or a scale beside pixels."""
    assert sizes(bundle.retarget.frames(LEVELS, scale=2, to={"size": (16, 20)}, count=2)) == [(32, 40), (16, 20)]
    assert sizes(bundle.retarget.frames(LEVELS, size=(32, 40), to={"scale": 1}, count=2)) == [(32, 40), (16, 20)]
    assert sizes(bundle.retarget.frames(LEVELS[:15, :18], to={"size": "8x8"}, count=2)) == [(12, 16), (8, 8)]


def test_the_own_size_is_that_of_the_image_as_it_is_fitted(bundle: i2i.Bundle) -> None:
    """`resize` brings it to 16 x 16, and a shift adds columns of that."""
    frames = bundle.retarget.frames(LEVELS, to={"size": (8, 8)}, count=2, fit="resize")
    assert np.asarray(frames[0]).shape == (16, 16, 3)
    frames = bundle.retarget.frames(LEVELS, to={"size": (8, 8)}, count=2, fit="resize", left_shift=0.5)
    assert np.asarray(frames[0]).shape == (16, 24, 3)


def test_frames_are_of_the_kind_that_the_image_was(bundle: i2i.Bundle) -> None:
    image = Image.fromarray(LEVELS)
    frames = bundle.retarget.frames(image, to={"scale": 2}, count=2)
    assert [cast("Image.Image", frame).size for frame in frames] == [(40, 32), (40, 32)]
    encoded = bundle.retarget.frames(encode(image), to={"scale": 2}, count=2)
    assert all(isinstance(frame, bytes) for frame in encoded)
    np.testing.assert_array_equal(np.asarray(read(cast("bytes", encoded[0]))), np.asarray(frames[0]))
    floats = bundle.retarget.frames(LEVELS / 255, to={"scale": 2}, count=2)
    assert np.asarray(floats[0]).dtype == np.float32


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"to": {}}, "an animation to another nothing"),
        ({"to": None}, "an animation to another nothing"),
        ({"to": {"seed": 1}}, "an animation to another seed"),
        ({"to": {"size": (8, 8), "left_shift": 0.1}}, "an animation to another left_shift and size"),
        ({"to": {"size": (8, 8), "scale": 1}}, "an animation to another scale and size"),
        ({"to": {"scale": [1, 2, 1.5]}}, r"scale=\[1, 2, 1.5\]"),
        ({"to": {"scale": []}}, "scale="),
        ({"to": {"scale": [(1, 2), (2, 1)]}, "count": 2}, "count=2 frames\nexpected: at least 3"),
        ({"to": {"scale": 2}, "count": 1}, "count=1 frames\nexpected: at least 2"),
        ({"to": {"size": "8x8"}, "size": (16, 16), "scale": 1}, "size and scale"),
    ],
)
def test_animations_that_cannot_be_are_refused(bundle: i2i.Bundle, options: dict[str, Any], reason: str) -> None:
    with pytest.raises(i2i.OptionError, match=reason):
        bundle.retarget.frames(LEVELS, **options)


def test_an_animation_needs_its_image(bundle: i2i.Bundle) -> None:
    with pytest.raises(i2i.OptionError, match="retarget got no image"):
        bundle.retarget.frames(to={"scale": 2})


def test_a_size_on_the_way_is_refused_before_anything_is_computed(
    bundle: i2i.Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: object, **__: object) -> None:
        pytest.fail("computed")

    monkeypatch.setattr(Sessions, "run", forbidden)
    with pytest.raises(i2i.OptionError, match="a result of 4x4 pixels"):
        bundle.retarget.frames(LEVELS, to={"size": [(32, 32), (4, 4)]}, count=9)
