"""Several results of one image, vectors given in place of what makes them, and one result turning into another."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

import i2i_runtime as i2i
from i2i_runtime.device.sessions import Sessions
from i2i_runtime.schema.operations import Interpolation

LEVELS = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
Array = NDArray[Any]


@pytest.fixture
def bundle(tiny: Path) -> Iterator[i2i.Bundle]:
    with i2i.load(tiny, device="cpu", threads=1) as opened:
        yield opened


def painted(style: Array) -> Array:
    """What the graph `painter` makes of LEVELS with strength 0, in closed form: tanh(style) as levels of 8 bits."""
    colour = np.rint((np.tanh(style) + 1) * 127.5).astype(np.uint8)
    return np.broadcast_to(colour, LEVELS.shape)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Every run of a graph as (graph, batch), noted beside the real one."""
    noted: list[tuple[str, int]] = []
    real = Sessions.run

    def noting(self: Sessions, graph: str, feeds: Any, outputs: Any) -> Any:
        noted.append((graph, len(next(iter(feeds.values())))))
        return real(self, graph, feeds, outputs)

    monkeypatch.setattr(Sessions, "run", noting)
    return noted


# --- Several results of one image -----------------------------------------------------------------------------------


def test_a_count_gives_that_many_results_of_one_image(bundle: i2i.Bundle) -> None:
    several = cast("list[Array]", bundle.edit(LEVELS, count=4, seed=7, domain="zero"))
    for index, result in enumerate(several):
        np.testing.assert_array_equal(result, bundle.edit(LEVELS, seed=7 + index, domain="zero"))
    assert len({result.tobytes() for result in several}) == 4
    (one,) = cast("list[Array]", bundle.edit(LEVELS, count=1, seed=7, domain="zero"))
    np.testing.assert_array_equal(one, several[0])


@pytest.mark.parametrize(("count", "reason"), [(0, "count=0"), (2, "count=2 and a list of 2 images")])
def test_a_count_that_makes_no_sense_is_refused(bundle: i2i.Bundle, count: int, reason: str) -> None:
    with pytest.raises(i2i.OptionError, match=reason):
        bundle.edit([LEVELS, LEVELS], count=count, domain="zero")


# --- Nothing is computed twice ----------------------------------------------------------------------------------------


def test_what_is_the_same_for_all_images_is_computed_once(bundle: i2i.Bundle, runs: list[tuple[str, int]]) -> None:
    others = [LEVELS, 255 - LEVELS, LEVELS // 2]
    results = bundle.edit(others, domain="ten", latent=np.zeros(3), strength=0.5)
    assert runs == [("mapping", 1), ("painter", 1), ("painter", 1), ("painter", 1)]
    for image, result in zip(others, results, strict=True):
        np.testing.assert_array_equal(result, bundle.edit(image, domain="ten", latent=np.zeros(3), strength=0.5))


def test_what_differs_is_computed_for_each_in_batches(bundle: i2i.Bundle, runs: list[tuple[str, int]]) -> None:
    bundle.edit(LEVELS, count=3, seed=0, domain="ten", batch_size=2)
    assert runs == [("mapping", 2), ("painter", 2), ("mapping", 1), ("painter", 1)]


# --- A vector in place of what makes it -------------------------------------------------------------------------------


def test_a_style_may_be_given_in_place_of_what_makes_it(bundle: i2i.Bundle, runs: list[tuple[str, int]]) -> None:
    style = np.array([0.5, -1.0, 2.0])
    np.testing.assert_array_equal(bundle.edit(LEVELS, style=style, strength=0), painted(style))
    assert runs == [("painter", 1)]
    both = cast("dict[str, Array]", bundle.edit(LEVELS, style=style, strength=0, outputs=("image", "style")))
    np.testing.assert_array_equal(both["style"], style.astype(np.float32))


def test_each_item_may_have_its_own_style(bundle: i2i.Bundle) -> None:
    styles = np.random.default_rng(1).standard_normal((3, 3))
    results = cast("list[Array]", bundle.edit(LEVELS, style=styles, strength=0, count=3, batch_size=2))
    for style, result in zip(styles, results, strict=True):
        np.testing.assert_array_equal(result, painted(style))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"style": np.zeros(4)}, r"style is float64 of shape \[4\]"),
        ({"style": np.array([0, np.nan, 0])}, "not finite"),
        ({"style": np.zeros(3), "domain": "ten"}, "'domain' beside style, which takes its place"),
        ({"stile": np.zeros(3)}, "no option 'stile'"),
    ],
)
def test_a_style_that_does_not_fit_is_refused(bundle: i2i.Bundle, options: dict[str, Any], reason: str) -> None:
    with pytest.raises(i2i.OptionError, match=reason):
        bundle.edit(LEVELS, **options)


# --- Frames -----------------------------------------------------------------------------------------------------------


def test_frames_go_from_one_value_to_the_other_in_equal_steps(bundle: i2i.Bundle) -> None:
    """The style is latent + 10 in the domain "ten", so its third frame of five lies half way: latent + 5."""
    latent = np.array([0.25, -0.5, -4.0])
    frames = bundle.edit.frames(
        LEVELS, latent=latent, domain="zero", to={"domain": "ten"}, count=5, strength=0, batch_size=2
    )
    for frame, added in zip(frames, (0, 2.5, 5, 7.5, 10), strict=True):
        assert np.abs(cast("Array", frame).astype(int) - painted(latent + added)).max() <= 1


def test_the_same_seeds_give_the_same_frames(bundle: i2i.Bundle) -> None:
    first, second = (bundle.edit.frames(LEVELS, domain="ten", seed=3, to={"seed": 4}, count=3) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(cast("Array", one), cast("Array", other))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"to": {}}, "nothing that the last frame has"),
        ({"to": {"seed": -1}}, "'seed': -1"),
        ({"to": {"seed": 1.5}}, "'seed': 1.5"),
        ({"to": {"seed": 2}, "seed": 2}, "the last frame equals the first"),
        ({"to": {"seed": 2}, "count": 1}, "count=1 frames"),
        ({"to": {"domain": "eleven"}}, "domain='eleven'"),
        ({"to": {"domian": "ten"}}, "no option 'domian'"),
        ({"to": {"style": np.zeros(3)}}, "'domain' beside style"),
    ],
)
def test_frames_that_cannot_be_are_refused(bundle: i2i.Bundle, options: dict[str, Any], reason: str) -> None:
    with pytest.raises(i2i.OptionError, match=reason):
        bundle.edit.frames(LEVELS, domain="zero", **options)


def test_an_operation_with_nothing_to_interpolate_has_no_frames(bundle: i2i.Bundle) -> None:
    with pytest.raises(i2i.OptionError, match="frames of translate"):
        bundle.translate.frames(LEVELS, to={"domain": "same"})


def test_frames_are_made_of_one_image(bundle: i2i.Bundle) -> None:
    images: Any = [LEVELS, LEVELS]
    with pytest.raises(i2i.OptionError, match="a list of 2 images"):
        bundle.edit.frames(images, domain="zero", to={"seed": 1})


def test_only_a_vector_that_steps_pass_on_can_be_interpolated(bundle: i2i.Bundle) -> None:
    edit = bundle.operations["edit"].model_dump()
    for value in ("image", "domain", "nothing"):
        with pytest.raises(ValidationError, match=f"interpolates '{value}'"):
            i2i.Operation.model_validate(edit | {"interpolation": Interpolation(value=value)})


# --- Interpolation ----------------------------------------------------------------------------------------------------


def test_an_arc_between_unit_vectors_stays_on_the_sphere() -> None:
    start, end = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    angles = np.linspace(0, np.pi / 2, 4)
    np.testing.assert_allclose(i2i.slerp(start, end, 4), np.stack([np.cos(angles), np.sin(angles)], 1), atol=1e-6)


def test_both_ends_are_frames_as_they_are() -> None:
    start, end = np.array([0.5, 2.0, -1.0]), np.array([-3.0, 0.1, 1.0])
    for between in (i2i.slerp, i2i.lerp):
        frames = between(start, end, 5)
        assert frames.shape == (5, 3)
        np.testing.assert_allclose(frames[[0, -1]], [start, end], atol=1e-6)


def test_parallel_latents_are_joined_by_a_line() -> None:
    start = np.array([1.0, 2.0])
    np.testing.assert_allclose(i2i.slerp(start, 3 * start, 3), i2i.lerp(start, 3 * start, 3))


def test_an_interpolation_has_two_frames_at_least() -> None:
    with pytest.raises(ValueError, match="1 frames"):
        i2i.slerp(np.zeros(2), np.ones(2), 1)
