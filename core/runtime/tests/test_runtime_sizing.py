"""Results of the caller's size: every form in which it is said, and the noise maps that follow it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydantic import ValidationError

import i2i_runtime as i2i
from i2i_runtime.kinds.grid import GridInput
from i2i_runtime.kinds.latent import LatentInput
from i2i_runtime.kinds.mask import MaskInput
from i2i_runtime.kinds.noise import NoiseInput
from i2i_runtime.kinds.size import SizeInput, read_scale, read_size
from i2i_runtime.schema.operations import GraphCall, Interpolation, Operation, VectorOutput, Walk
from i2i_runtime.schema.wiring import needed_inputs

from . import spatial_toys
from .spatial_toys import HEIGHT, WIDTH, write_spatial

Array = NDArray[Any]
MAPS = ("map_0", "map_1")


@pytest.fixture
def bundle(tmp_path: Path) -> Iterator[i2i.Bundle]:
    with i2i.load(write_spatial(tmp_path / "spatial"), device="cpu", threads=1) as opened:
        yield opened


def maps(bundle: i2i.Bundle, **options: Any) -> dict[str, Array]:
    return cast("dict[str, Array]", bundle.sample(outputs=MAPS, **options))


# --- How it is said ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [(40, 45), [40, 45], "40x45", " 40 x 45 ", (40.0, np.int64(45))])
def test_a_size_is_height_and_width(given: object) -> None:
    assert read_size(given) == (40, 45)


@pytest.mark.parametrize(
    ("given", "factors"), [(2, (2, 2)), (1.5, (1.5, 1.5)), ("1.5", (1.5, 1.5)), ("1x2", (1, 2)), ((0.5, 2), (0.5, 2))]
)
def test_a_scale_is_one_factor_or_one_for_each_axis(given: object, factors: tuple[float, float]) -> None:
    assert read_scale(given) == factors


@pytest.mark.parametrize(
    "given",
    [
        *(40, "40", (40,), (40, 45, 3), "40x45x3", (0, 45), (40, -1), (40.5, 45), "axb", "x", "", None, True),
        *((True, 40), (np.nan, 4), (np.inf, 4), {"height": 4}, b"40x45"),
    ],
)
def test_what_is_no_size_is_refused(given: object) -> None:
    with pytest.raises(i2i.OptionError, match="128x300 in words") as caught:
        read_size(given)
    assert repr(given) in caught.value.found


@pytest.mark.parametrize("given", [0, -1, "0", "1x0", (1, 2, 3), (), "two", "1x2x3", np.nan, "inf", False, [[1, 2]]])
def test_what_is_no_scale_is_refused(given: object) -> None:
    with pytest.raises(i2i.OptionError, match="1x2 in words"):
        read_scale(given)


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({}, (HEIGHT, WIDTH)),
        ({"size": (7, 9)}, (7, 9)),
        ({"size": "40x61"}, (40, 61)),
        ({"scale": 2}, (40, 60)),
        ({"scale": "0.5x1.5"}, (10, 45)),
        ({"scale": (1.325, 1)}, (26, 30)),  # 26.5: halves go to the even neighbour
        ({"scale": (1.375, 1)}, (28, 30)),  # 27.5
    ],
)
def test_the_result_has_the_size_that_was_asked_for(
    bundle: i2i.Bundle, options: dict[str, Any], size: tuple[int, int]
) -> None:
    assert bundle.sample(seed=1, **options).size == size[::-1]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"size": (8, 8), "scale": 1}, "size and scale"),
        ({"size": (3, 30)}, "a result of 3x30 pixels .*\nexpected: at least 4x6 pixels"),
        ({"scale": 0.1}, "a result of 2x3 pixels .*\nexpected: at least 4x6 .*\nfix: the own size is 20x30"),
        ({"size": (20_000, 20_000)}, "at most 100,000,000 pixels"),
        ({"scale": 1e308}, "at most 100,000,000 pixels"),
        ({"size": "large"}, "size='large'"),
    ],
)
def test_a_size_that_cannot_be_is_refused(bundle: i2i.Bundle, options: dict[str, Any], reason: str) -> None:
    with pytest.raises(i2i.OptionError, match=reason):
        bundle.sample(**options)


@pytest.mark.parametrize("options", [{"size": (16, 16)}, {"scale": 2}])
def test_an_operation_of_one_size_takes_none(bundle: i2i.Bundle, options: dict[str, Any]) -> None:
    with pytest.raises(i2i.OptionError, match="animate has no option"):
        bundle.animate(**options)


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({}, (20, 40)),
        ({"scale": 1.5}, (28, 64)),  # 31.5 and 64.5, rounded down, and down to multiples of 4
        ({"scale": (2, 0.99)}, (40, 40)),
        ({"size": (44, 8)}, (44, 8)),
    ],
)
def test_the_own_size_may_be_that_of_the_image(
    bundle: i2i.Bundle, options: dict[str, Any], size: tuple[int, int]
) -> None:
    assert bundle.retarget(Image.new("RGB", (43, 21)), **options).size == size[::-1]


def test_sides_are_multiples_where_the_network_needs_them(bundle: i2i.Bundle) -> None:
    with pytest.raises(i2i.OptionError, match=r"42x8.*\nexpected: at least 8x8 .*, in multiples of 4\n"):
        bundle.retarget(Image.new("RGB", (43, 21)), size=(42, 8))


def test_a_largest_side_is_kept() -> None:
    value = SizeInput(height=16, width=16, maximum=64)
    assert value.result_size({"scale": 4}, (16, 16)).height == 64
    with pytest.raises(i2i.OptionError, match="at most 64 a side"):
        value.result_size({"size": (65, 8)}, (16, 16))


# --- Noise maps -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "coarse"),
    [
        ({}, (5, 8)),
        ({"scale": 2}, (10, 16)),
        ({"scale": 1.5}, (8, 12)),  # 7.5 -> 8
        ({"scale": 0.5}, (2, 4)),  # 2.5 -> 2
        ({"size": (30, 45)}, (8, 12)),
        ({"size": (HEIGHT, 47)}, (5, 13)),  # 8 * 47 / 30 = 12.53
    ],
)
def test_a_map_follows_the_result_and_its_border_does_not(
    bundle: i2i.Bundle, options: dict[str, Any], coarse: tuple[int, int]
) -> None:
    made = maps(bundle, seed=1, **options)
    assert made["map_0"].shape == (1, coarse[0] + 2, coarse[1] + 2)
    assert made["map_1"].shape[1:] == bundle.sample(seed=1, **options).size[::-1]


@pytest.mark.parametrize(("rounding", "height"), [("nearest", 14), ("down", 13)])
def test_maps_are_rounded_as_results_are(rounding: Any, height: int) -> None:
    value = SizeInput(height=20, width=20, rounding=rounding)
    noise = NoiseInput(name="noise", channels=3, height=9, width=20, border=4)
    wanted = value.result_size({"size": (30, 20)}, (20, 20))  # 9 * 1.5 = 13.5
    assert noise.shape_for(value, wanted) == (3, height + 4, 24)


def test_a_size_in_pixels_gives_the_maps_of_exactly_that_factor() -> None:
    """As a float 300 / 250 * 125 is 150.00000000000003 or less; a fraction is 150."""
    value = SizeInput(height=250, width=250, rounding="down")
    noise = NoiseInput(name="noise", channels=1, height=125, width=125)
    for side in range(250, 750, 2):
        assert noise.shape_for(value, value.result_size({"size": (side, 250)}, (250, 250)))[1] == side // 2


def test_noise_is_drawn_map_by_map_from_the_seed(bundle: i2i.Bundle) -> None:
    made = maps(bundle, seed=5, scale=2)
    generator = np.random.Generator(np.random.PCG64(5))
    np.testing.assert_array_equal(made["map_0"], generator.standard_normal((1, 12, 18), dtype=np.float32))
    np.testing.assert_array_equal(made["map_1"], generator.standard_normal((3, 40, 60), dtype=np.float32))


def test_item_i_has_the_noise_of_seed_plus_i_in_any_batch(bundle: i2i.Bundle) -> None:
    several = cast("Any", bundle.sample(outputs=MAPS, seed=5, count=3, batch_size=2, size=(6, 7)))
    for index, made in enumerate(several):
        for name, value in maps(bundle, seed=5 + index, size=(6, 7)).items():
            np.testing.assert_array_equal(made[name], value)
    assert not np.array_equal(several[0]["map_1"], several[1]["map_1"])


def test_noise_may_be_given_and_leaves_the_rest_as_it_was(bundle: i2i.Bundle) -> None:
    given = np.zeros((3, HEIGHT, WIDTH), np.float32)
    made = maps(bundle, seed=5, noise_1=given)
    np.testing.assert_array_equal(made["map_1"], given)
    np.testing.assert_array_equal(made["map_0"], maps(bundle, seed=5)["map_0"])
    each = np.random.default_rng(0).standard_normal((2, 3, 6, 7)).astype(np.float32)
    several = cast("Any", bundle.sample(outputs=MAPS, seed=5, noise_1=each, count=2, size=(6, 7)))
    np.testing.assert_array_equal([row["map_1"] for row in several], each)


@pytest.mark.parametrize("shape", [(3, HEIGHT, WIDTH), (1, 3, 6, 7), (3, 7, 6)])
def test_noise_of_another_size_is_refused(bundle: i2i.Bundle, shape: tuple[int, ...]) -> None:
    with pytest.raises(i2i.OptionError, match=r"noise_1 is float64 of shape .*\nexpected: float \[3, 6, 7\]"):
        bundle.sample(size=(6, 7), count=2, noise_1=np.zeros(shape))


def test_zeros_may_be_the_default(bundle: i2i.Bundle) -> None:
    """`animate` as a call: the maps are 0, and so the stored noise is what is seen."""
    expected = np.rint((np.clip(spatial_toys.QUIET * spatial_toys.STORED[0], -1, 1) + 1) * 127.5)
    found = np.asarray(bundle.animate(seed=1)).transpose(2, 0, 1)
    assert np.abs(found - expected).max() <= 1
    np.testing.assert_array_equal(found, np.asarray(bundle.animate(seed=2)).transpose(2, 0, 1))


def test_constants_of_a_step_are_fed_to_every_item(bundle: i2i.Bundle) -> None:
    given = np.full((3, HEIGHT, WIDTH), 0.5, np.float32)
    for image in bundle.sample(noise_1=given, count=3, batch_size=2):
        assert (np.asarray(image) == 223).all()  # 0.5 + 0.25 in [-1, 1] is 223.1 in 0..255


@pytest.mark.parametrize(
    ("number", "accepted"), [(2, True), (np.int64(3), True), (2.0, True), (1.5, False), (5, False)]
)
def test_a_whole_number_is_one(bundle: i2i.Bundle, number: float, accepted: bool) -> None:  # noqa: FBT001
    image = Image.new("RGB", (8, 8), "white")
    if accepted:
        bundle.edit(image, mask=image, start_scale=number)
    else:
        with pytest.raises(i2i.OptionError, match=r"start_scale=1.5\nexpected: a whole number|from 0 to 4"):
            bundle.edit(image, mask=image, start_scale=number)


def test_sizes_and_noise_in_words() -> None:
    value, grid = SizeInput(height=8, width=8), GridInput(name="grid", image="image")
    assert value.from_text("16x8") == "16x8"
    with pytest.raises(i2i.OptionError, match="a seed instead"):
        NoiseInput(name="noise", channels=1, height=2, width=2).from_text("0.5")
    with pytest.raises(i2i.OptionError, match="size or scale instead"):
        grid.from_text("0.5")


# --- What a manifest may not say --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "changes", "reason"),
    [
        ("edit", {"inputs.1": {"image": "photo"}}, "'mask' belongs to 'photo', which is no image input"),
        ("retarget", {"inputs.1": {"image": "photo"}}, "'size' belongs to 'photo'"),
        ("retarget", {"inputs.4": {"image": "size"}}, "'grid' belongs to 'size'"),
        ("retarget", {"inputs.4": {"left_shift": "image"}}, "'image' is no number input"),
        ("retarget", {"inputs.4": {"left_shift": None}}, "one shift without the other"),
        ("retarget", {"inputs.4": {"coverage": None}}, r"needs \['coverage'\], which nothing makes"),
        ("retarget", {"interpolation": {"value": "left_shift"}}, "interpolates 'left_shift'"),
        ("animate", {"walk": {"pull": "drag"}}, "'drag' is no number input"),
        ("animate", {"walk": {"anchor": "noise"}}, "'noise' is no number input"),
        ("sample", {"interpolation": {"value": "noise_0"}}, "interpolates 'noise_0'"),
        ("sample", {"steps.0": {"inputs": {}}}, "at least 1 item"),
        ("sample", {"steps.0": {"inputs": {"noise_0": "size", "noise_1": "noise_1"}}}, r"needs \['size'\]"),
        ("sample", {"inputs.0": {"height": 3}}, "own size 3x30 breaks its own rule"),
        ("sample", {"inputs.0": {"name": "extent"}}, "size"),
    ],
)
def test_an_operation_that_refers_to_what_is_not_there(
    operation: str, changes: dict[str, dict[str, Any]], reason: str
) -> None:
    data = getattr(spatial_toys, operation)().model_dump(mode="json")
    for path, change in changes.items():
        name, _, index = path.partition(".")
        if index:
            data[name][int(index)] |= change
        else:
            data[name] = (data[name] or {}) | change
    with pytest.raises(ValidationError, match=reason):
        Operation.model_validate(data)


def test_an_animation_goes_somewhere_or_wanders() -> None:
    data = spatial_toys.sample().model_dump()
    numbers = spatial_toys.animate().inputs[1:]
    walk = Walk(anchor="anchor", pull="pull", inertia="inertia", first=0.05)
    both = data | {"inputs": (*data["inputs"], *numbers), "walk": walk}
    Operation.model_validate(both)
    with pytest.raises(ValidationError, match="goes from one result to another, or wanders, not both"):
        Operation.model_validate(both | {"interpolation": Interpolation(value="size")})
    still = spatial_toys.edit().model_dump()
    with pytest.raises(ValidationError, match="a walk without noise maps"):
        Operation.model_validate(still | {"inputs": (*still["inputs"], *numbers), "walk": walk})
    retarget = spatial_toys.retarget().model_dump()
    inputs = (*retarget["inputs"], *numbers, NoiseInput(name="noise", channels=1, height=2, width=2))
    with pytest.raises(ValidationError, match="a walk starts from nothing"):
        Operation.model_validate(retarget | {"inputs": inputs, "walk": walk, "interpolation": None})


def test_what_shapes_a_result_is_asked_for_beside_a_vector_that_is_given() -> None:
    """With `code` given, `latent` would change nothing; size, grid and shifts feed no step, and still do."""
    data = spatial_toys.retarget().model_dump()
    (step,) = data["steps"]
    operation = Operation.model_validate(
        data
        | {
            "inputs": (*data["inputs"], LatentInput(name="latent", shape=(3,))),
            "outputs": (*data["outputs"], VectorOutput(name="code")),
            "steps": (
                GraphCall(graph="encoder", inputs={"latent": "latent"}, outputs={"code": "code"}),
                step | {"inputs": step["inputs"] | {"code": "code"}},
            ),
        }
    )
    shaping = {"image", "size", "left_shift", "right_shift", "grid"}
    assert needed_inputs(operation, {"code"}) == shaping
    assert needed_inputs(operation, ()) == shaping | {"latent"}


def test_a_name_that_every_call_has_is_taken() -> None:
    mask = MaskInput(name="scale", image="image")
    data = spatial_toys.edit().model_dump()
    with pytest.raises(ValidationError, match=r"may not be called \['scale'\]"):
        Operation.model_validate(data | {"inputs": (*data["inputs"], mask)})


def test_a_step_feeds_each_input_of_its_graph_once(tmp_path: Path) -> None:
    data = spatial_toys.sample().model_dump()
    (step,) = spatial_toys.sample().steps
    graphs = {"pyramid": spatial_toys.pyramid()}
    for constants in ({}, {"level": 0.0, "noise_0": 1.0}, {"level": 0.0, "depth": 1.0}):
        changed = GraphCall.model_validate(step.model_dump() | {"constants": constants})
        operation = Operation.model_validate(data | {"steps": (changed,)})
        with pytest.raises(ValidationError, match=r"graph 'pyramid' takes .*, the step feeds"):
            spatial_toys.write_bundle(tmp_path / "wrong", (operation,), graphs)
