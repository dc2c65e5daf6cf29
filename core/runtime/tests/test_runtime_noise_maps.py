"""Noise maps of fixed sizes, one for each layer: drawn, zeros or given."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

import i2i_runtime as i2i
from i2i_runtime.call.arguments import random_options
from i2i_runtime.errors import OptionError
from i2i_runtime.kinds.base import Gathering, Option
from i2i_runtime.kinds.columns import ArrayColumn
from i2i_runtime.kinds.latent import LatentInput
from i2i_runtime.kinds.noise_maps import NoiseMapsInput
from i2i_runtime.schema.operations import GraphCall, ImageOutput, Operation, VectorOutput

from .conftest import FLOAT, TinyGraph, node, write_bundle

SHAPES = ((1, 4, 4), (1, 8, 8))
TOTAL = 16 + 64


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """latent [n, 3] and two maps -> an image of the second map, and both maps as they came."""
    coarse, fine = ("n", 1, 4, 4), ("n", 1, 8, 8)
    graph = TinyGraph(
        nodes=[
            node("Unsqueeze", "latent axes", "l4"),
            node("Add", "l4 noise_1", "result"),
            node("Identity", "noise_0", "map_0"),
            node("Identity", "noise_1", "map_1"),
        ],
        inputs={"latent": (FLOAT, ("n", 3)), "noise_0": (FLOAT, coarse), "noise_1": (FLOAT, fine)},
        outputs={"result": ("n", 3, 8, 8), "map_0": coarse, "map_1": fine},
        constants={"axes": np.array([2, 3], dtype=np.int64)},
    )
    names = {"result": "image", "map_0": "map_0", "map_1": "map_1"}
    fed = {name: name for name in ("latent", "noise_0", "noise_1")}
    operation = Operation(
        name="sample",
        inputs=(LatentInput(name="latent", shape=(3,)), NoiseMapsInput(name="noise", shapes=SHAPES)),
        outputs=(ImageOutput(name="image"), VectorOutput(name="map_0"), VectorOutput(name="map_1")),
        steps=(GraphCall(graph="layers", inputs=fed, outputs=names),),
    )
    return write_bundle(tmp_path / "layers", (operation,), {"layers": graph})


def maps(folder: Path, noise: Option = None) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The two maps of one item."""
    with i2i.load(folder, device="cpu") as loaded:
        coarse: object = loaded.sample(seed=7, outputs="map_0", noise=noise)
        fine: object = loaded.sample(seed=7, outputs="map_1", noise=noise)
    return np.asarray(coarse, dtype=np.float32), np.asarray(fine, dtype=np.float32)


def test_maps_are_drawn_after_the_latent_by_the_seed(bundle: Path) -> None:
    """NumPy's PCG64 of the seed, the inputs in their order: three numbers of the latent, then those of the maps."""
    coarse, fine = maps(bundle)
    numbers = np.random.Generator(np.random.PCG64(7))
    numbers.standard_normal((3,), dtype=np.float32)
    expected = numbers.standard_normal((TOTAL,), dtype=np.float32)
    np.testing.assert_array_equal(coarse.ravel(), expected[:16])
    np.testing.assert_array_equal(fine.ravel(), expected[16:])


def test_zeros_are_zeros_and_leave_the_latent_as_it_is(bundle: Path) -> None:
    coarse, fine = maps(bundle, noise="zeros")
    assert not coarse.any()
    assert not fine.any()
    with i2i.load(bundle, device="cpu") as loaded:
        flat: object = loaded.sample(seed=7, noise="zeros")
    assert np.asarray(flat).std(axis=(0, 1)).max() == 0  # the latent alone: one colour


def test_maps_may_be_given_by_layer_or_in_a_row(bundle: Path) -> None:
    row = np.arange(TOTAL, dtype=np.float32) / TOTAL
    layers = [row[:16].reshape(1, 4, 4), row[16:].reshape(1, 8, 8)]
    for given in (row, layers):
        coarse, fine = maps(bundle, noise=given)
        np.testing.assert_array_equal(coarse.ravel(), row[:16])
        np.testing.assert_array_equal(fine.ravel(), row[16:])


@pytest.mark.parametrize(
    ("given", "found", "expected"),
    [
        ("none", "noise='none'", "random"),
        ([np.zeros((1, 4, 4))], "1 maps for 'noise'", "2, one for each layer"),
        ([np.zeros((1, 4, 4)), np.zeros((1, 4, 4))], r"noise[1] is float64 of shape [1, 4, 4]", "[1, 8, 8]"),
        (np.zeros(7), "noise is float64 of shape [7]", "[80]"),
        (np.full(TOTAL, np.nan), "not finite", "[80]"),
        (np.zeros(TOTAL, np.complex64), "complex64", "[80]"),
        (["zeros", "zeros"], "2 values for 'noise'", "one, or 1"),
        (["none"], "noise='none'", "random"),
        ([], "0 maps for 'noise'", "2, one for each layer"),
    ],
)
def test_maps_that_cannot_be_are_refused(bundle: Path, given: Option, found: str, expected: str) -> None:
    with pytest.raises(OptionError) as caught:
        maps(bundle, noise=given)
    assert found in caught.value.found
    assert expected in caught.value.expected


def test_maps_of_too_many_numbers_are_refused() -> None:
    with pytest.raises(ValidationError, match="more than"):
        NoiseMapsInput(name="noise", shapes=((64, 16384, 16384),))


DRAWN = NoiseMapsInput(name="noise", shapes=SHAPES)


def columns(given: Option, count: int = 3, kind: NoiseMapsInput = DRAWN) -> list[ArrayColumn]:
    """The maps of each layer, in a call with seed 7."""
    gathering = Gathering([kind], count, {"noise": given}, seed=7)
    return [gathering.column(f"noise_{layer}", ArrayColumn) for layer in range(len(SHAPES))]


def test_every_item_may_have_a_way_of_its_own() -> None:
    for mixed, drawn in zip(columns(["random", "zeros", "random"]), columns(None), strict=True):
        for index in (0, 2):
            np.testing.assert_array_equal(mixed.tensor(index), drawn.tensor(index))
        assert not mixed.tensor(1).any()


def test_items_of_a_call_have_different_maps_and_those_of_their_seeds() -> None:
    fine = columns(None)[1]
    assert not np.array_equal(fine.tensor(0), fine.tensor(1))
    later = Gathering([DRAWN], 1, {}, seed=8).column("noise_1", ArrayColumn)
    np.testing.assert_array_equal(fine.tensor(1), later.tensor(0))


@pytest.mark.parametrize("given", ["zeros", np.ones(TOTAL), [np.ones((1, 4, 4)), np.ones((1, 8, 8))]])
def test_what_all_items_have_is_held_once(given: Option) -> None:
    for column in columns(given, 50):
        assert len({column.identity(index) for index in range(50)}) == 1


def test_maps_may_be_given_for_each_item() -> None:
    table = np.arange(3 * TOTAL, dtype=np.float32).reshape(3, TOTAL)
    layers = [table[:, :16].reshape(3, 1, 4, 4), table[:, 16:].reshape(3, 1, 8, 8)]
    for given in (table, layers):
        for column, expected in zip(columns(given), layers, strict=True):
            for index in range(3):
                np.testing.assert_array_equal(column.tensor(index), expected[index])


def test_zeros_may_be_what_an_item_has_by_itself(bundle: Path) -> None:
    still = NoiseMapsInput(name="noise", shapes=SHAPES, default="zeros")
    assert not still.is_drawn
    assert not any(column.tensor(0).any() for column in columns(None, kind=still))
    for asked, drawn in zip(columns("random", kind=still), columns(None), strict=True):
        np.testing.assert_array_equal(asked.tensor(0), drawn.tensor(0))


@pytest.mark.parametrize("default", ["random", "zeros"])
@pytest.mark.parametrize("given", [None, "random", "zeros"])
def test_the_maps_of_a_call_are_options_of_another(
    bundle: Path, default: Literal["random", "zeros"], given: Option
) -> None:
    """Else a grid of seeds would draw noise where zeros were asked for."""
    kind = NoiseMapsInput(name="noise", shapes=SHAPES, default=default)
    operation = i2i.read_manifest(bundle).operations[0].model_copy(update={"inputs": (kind,)})
    held = random_options(operation, 7, {} if given is None else {"noise": given})["noise"]
    for again, column in zip(columns(held, kind=kind), columns(given, kind=kind), strict=True):
        np.testing.assert_array_equal(again.tensor(2), column.tensor(0))


def test_other_maps_differ_from_zeros() -> None:
    zeros = np.zeros((2, 1, 4, 4), np.float32)
    assert any(not np.array_equal(other, zeros) for other in DRAWN.others(zeros))


@pytest.mark.parametrize(
    "change",
    [
        {"shapes": []},
        {"shapes": [[1, 4]]},
        {"shapes": [[0, 4, 4]]},
        {"shapes": [[1, 4, 4]] * 65},
        {"shapes": [[65536, 65536, 65536]]},
        {"shapes": [[1, 4, 2**63]]},
        {"default": "ones"},
    ],
    ids=str,
)
def test_a_manifest_cannot_ask_for_what_are_no_maps(change: dict[str, object]) -> None:
    plain = DRAWN.model_dump(mode="json")
    assert NoiseMapsInput.model_validate_json(json.dumps(plain)) == DRAWN
    with pytest.raises(ValidationError):
        NoiseMapsInput.model_validate_json(json.dumps(plain | change))
