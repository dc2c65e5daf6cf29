"""A latent for each layer, mixed by ranges, from a word to a graph."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

import i2i_runtime as i2i
from i2i_runtime.animation.interpolation import Ends, animation_options
from i2i_runtime.call.arguments import random_options
from i2i_runtime.errors import OptionError
from i2i_runtime.kinds.base import Gathering, Option
from i2i_runtime.kinds.columns import ArrayColumn
from i2i_runtime.kinds.latent import LatentInput
from i2i_runtime.kinds.slots import SlotsInput
from i2i_runtime.schema.operations import GraphCall, ImageOutput, Interpolation, Operation, VectorOutput

from .conftest import FLOAT, TinyGraph, node, write_bundle

SLOTS, DIM = 4, 3
MIXED = SlotsInput(name="styles", slots=SLOTS, dim=DIM, ranges={"coarse": (0, 1), "fine": (2, 3)})


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """styles [n, 4, 3] -> an image in the colour of the last slot, and the styles as they came."""
    graph = TinyGraph(
        nodes=[
            node("Gather", "styles last", "colour", axis=1),
            node("Unsqueeze", "colour axes", "c4"),
            node("Expand", "c4 size", "result"),
            node("Identity", "styles", "seen"),
        ],
        inputs={"styles": (FLOAT, ("n", SLOTS, DIM))},
        outputs={"result": ("n", 3, 8, 8), "seen": ("n", SLOTS, DIM)},
        constants={
            "last": np.array(SLOTS - 1, dtype=np.int64),
            "axes": np.array([2, 3], dtype=np.int64),
            "size": np.array([1, 3, 8, 8], dtype=np.int64),
        },
    )
    step = GraphCall(graph="layers", inputs={"styles": "styles"}, outputs={"result": "image", "seen": "seen"})
    outputs = (ImageOutput(name="image"), VectorOutput(name="seen"))
    operation = Operation(name="stylize_mix", inputs=(MIXED,), outputs=outputs, steps=(step,))
    return write_bundle(tmp_path / "slots", (operation,), {"layers": graph})


def styles(folder: Path, given: Option = None) -> NDArray[np.float32]:
    with i2i.load(folder, device="cpu") as loaded:
        seen: object = loaded.stylize_mix(seed=2, outputs="seen", styles=given)
    return np.asarray(seen, dtype=np.float32)


def latent(seed: int) -> NDArray[np.float32]:
    return np.random.Generator(np.random.PCG64(seed)).standard_normal(DIM, dtype=np.float32)


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        (None, [2, 2, 2, 2]),
        ("0-1=5", [5, 5, 2, 2]),
        ("3=9", [2, 2, 2, 9]),
        ("coarse=5, fine=9", [5, 5, 9, 9]),
        (" 0 - 1 = 5 ", [5, 5, 2, 2]),
        ("0-3=7", [7, 7, 7, 7]),
    ],
)
def test_slots_have_the_latents_of_their_seeds(bundle: Path, text: str | None, seeds: list[int]) -> None:
    np.testing.assert_array_equal(styles(bundle, text), np.stack([latent(seed) for seed in seeds]))


def test_every_item_may_have_a_mix_of_its_own(bundle: Path) -> None:
    with i2i.load(bundle, device="cpu") as loaded:
        rows = loaded.run("stylize_mix", None, {"styles": ["0-3=5", ""]}, outputs=["seen"], count=2, seed=7)
    np.testing.assert_array_equal(np.asarray(rows[0]["seen"]), np.stack([latent(5)] * SLOTS))
    np.testing.assert_array_equal(np.asarray(rows[1]["seen"]), np.stack([latent(8)] * SLOTS))


def test_a_seed_in_a_mix_is_that_of_a_call_whatever_is_drawn_before() -> None:
    before = LatentInput(name="noise", shape=(5,))

    def slots(text: str, seed: int) -> NDArray[np.generic]:
        gathering = Gathering([before, MIXED], 1, {"styles": text}, seed)
        return gathering.column("styles", ArrayColumn).tensor(0)

    np.testing.assert_array_equal(slots("0-3=5", 2), slots("", 5))
    assert not np.array_equal(slots("", 2), slots("", 5))


def test_numbers_are_given_for_all_slots_or_for_each(bundle: Path) -> None:
    one = np.array([1, 2, 3], dtype=np.float32)
    each = np.arange(SLOTS * DIM, dtype=np.float32).reshape(SLOTS, DIM)
    np.testing.assert_array_equal(styles(bundle, one), np.stack([one] * SLOTS))
    np.testing.assert_array_equal(styles(bundle, each), each)


def rows(given: Option, count: int) -> list[NDArray[np.float32]]:
    column = Gathering([MIXED], count, {"styles": given}, seed=7).column("styles", ArrayColumn)
    return [column.tensor(index).astype(np.float32, copy=False) for index in range(count)]


def test_numbers_for_each_item_are_told_from_those_for_each_slot() -> None:
    """A table of as many rows as there are slots means slots, in a call of as many items too."""
    table = np.arange(SLOTS * DIM, dtype=np.float32).reshape(SLOTS, DIM)
    for row in rows(table, SLOTS):
        np.testing.assert_array_equal(row, table)
    for index, row in enumerate(rows(table[:3, None], 3)):
        np.testing.assert_array_equal(row, np.stack([table[index]] * SLOTS))
    with pytest.raises(OptionError, match=r"shape \[3, 3\]"):
        rows(table[:3], 3)


def test_numbers_for_all_items_are_one_array() -> None:
    assert len({id(row) for row in rows(np.ones(DIM), 5)}) == 1


def test_the_latents_of_a_call_are_options_of_another(bundle: Path) -> None:
    operation = i2i.read_manifest(bundle).operations[0]
    held = random_options(operation, 7, {"styles": "fine=5"})["styles"]
    for row in rows(held, 2):
        np.testing.assert_array_equal(row, np.stack([latent(7), latent(7), latent(5), latent(5)]))


@pytest.mark.parametrize("along", ["line", "arc"])
def test_an_animation_goes_from_mix_to_mix_in_each_slot(bundle: Path, along: Literal["line", "arc"]) -> None:
    operation = i2i.read_manifest(bundle).operations[0]
    operation = operation.model_copy(update={"interpolation": Interpolation(value="styles", along=along)})
    ends = Ends({"styles": "fine=5"}, 2, {"seed": 3})

    def nothing(name: str, options: Mapping[str, Option], seed: int) -> NDArray[np.floating]:
        raise AssertionError((name, options, seed))

    frames = rows(animation_options(operation, ends, 3, nothing)["styles"], 3)
    np.testing.assert_allclose(frames[0], np.stack([latent(2), latent(2), latent(5), latent(5)]), atol=1e-6)
    np.testing.assert_allclose(frames[2], np.stack([latent(3), latent(3), latent(5), latent(5)]), atol=1e-6)
    assert not np.array_equal(frames[1][0], frames[0][0])
    np.testing.assert_allclose(frames[1][2:], frames[0][2:], atol=1e-6)


@pytest.mark.parametrize(
    ("given", "found", "expected"),
    [
        ("0-4=1", "'0-4'", "within 0-3"),
        ("2-1=1", "'2-1'", "the first one first"),
        ("middle=1", "'middle'", "coarse, fine"),
        ("0-1=1,1-2=3", "slot 1 twice", "do not overlap"),
        ("0-1", "'0-1'", "a seed"),
        (np.zeros(7), "shape [7]", "[3]"),
        (np.full(3, 1e300), "not finite", "[3]"),
        ([[1, 2, 3], [1]], "lists of different lengths", "[3]"),
        (f"0-1={'9' * 5000}", "999", "a seed"),
        (f"{'9' * 5000}=1", "999", "within 0-3"),
        (["0-1=1", 2], "2 values", "one, or 1"),
        ([2, "0-1=1"], "2 values", "one, or 1"),
        (np.full(3, 1j), "complex128", "[3]"),
        (np.full(3, np.nan), "not finite", "[3]"),
        (np.zeros((4, 1)), "shape [4, 1]", "[4, 3]"),
        ("0-=1", "'0-'", "within 0-3"),
        ("-1=1", "'-1'", "within 0-3"),
        ("0=-1", "'0=-1'", "a seed"),
        ("0=1=2", "'0=1=2'", "a seed"),
    ],
)
def test_mixes_that_cannot_be_are_refused(bundle: Path, given: Option, found: str, expected: str) -> None:
    with pytest.raises(OptionError) as caught:
        styles(bundle, given)
    assert found in caught.value.found
    assert expected in caught.value.expected


@pytest.mark.parametrize(
    "change",
    [
        {"slots": 0},
        {"slots": True},
        {"slots": 2**63},
        {"slots": 4.5},
        {"dim": -1},
        {"dim": 2**63},
        {"ranges": {"coarse": [1, 0]}},
        {"ranges": {"coarse": [-1, 0]}},
        {"ranges": {"coarse": [0]}},
        {"ranges": {"0-1": [0, 1]}},
        {"ranges": {f"range_{number}": [0, 1] for number in range(1000)}},
        {"is_typed": False},
    ],
    ids=str,
)
def test_a_manifest_cannot_ask_for_what_is_no_mix(change: dict[str, object]) -> None:
    plain = MIXED.model_dump(mode="json")
    assert SlotsInput.model_validate_json(json.dumps(plain)) == MIXED
    with pytest.raises(ValidationError):
        SlotsInput.model_validate_json(json.dumps(plain | change))


def test_a_range_beyond_the_slots_is_refused() -> None:
    with pytest.raises(ValidationError, match="there are 0 to 3"):
        SlotsInput(name="styles", slots=SLOTS, dim=DIM, ranges={"fine": (2, 4)})
