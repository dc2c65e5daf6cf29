"""What the parity gate feeds covers every batch, size and kind."""

import numpy as np
import pytest
from torch import nn

from i2i_exporter_onnx.cases import EXTREMES, Case, cases, example_case, image_size, photographs, values
from i2i_registry.interfaces.graphs import Axis, Form, ResolvedGraph

BATCH = Axis("batch", 2)


def has_images(side: int, *, channels: int = 3, minimum: int = 8) -> ResolvedGraph:
    sides = tuple(Axis(name, side, multiple=4, minimum=minimum) for name in ("height", "width"))
    return ResolvedGraph(nn.Identity(), ("y",), inputs={"x": Form((BATCH, channels, *sides), "image")})


@pytest.mark.parametrize("side", [8, 32, 256])
def test_three_batches_three_sizes_and_every_kind_are_met(side: int) -> None:
    graph = has_images(side)

    plan = cases(graph)

    sizes = {image_size(graph, case) for case in plan}
    assert {case.batch for case in plan} == {1, 2, 3}
    assert len(sizes) == 3
    assert any(height != width for height, width in sizes)
    assert all(length % 4 == 0 and length >= 8 for size in sizes for length in size)
    assert {case.kind for case in plan} == {"images", *EXTREMES}


def test_small_images_meet_all_nine_combinations_and_large_ones_three() -> None:
    for side, count in ((128, 9), (132, 3)):
        assert sum(case.kind == "images" for case in cases(has_images(side))) == count


def test_a_graph_of_one_size_meets_three_batches() -> None:
    graph = ResolvedGraph(nn.Identity(), ("y",), inputs={"x": Form((BATCH, 3, 512, 512), "image")})

    plan = [case for case in cases(graph) if case.kind == "images"]

    assert [case.batch for case in plan] == [1, 2, 3]


def test_a_graph_of_one_batch_is_measured_at_it() -> None:
    graph = ResolvedGraph(nn.Identity(), ("y",), inputs={"x": Form((1, 3, 8, 8), "image")})

    assert {case.batch for case in cases(graph)} == {1}


def test_values_have_the_declared_shapes_and_ranges() -> None:
    graph = ResolvedGraph(
        nn.Identity(),
        ("y",),
        inputs={
            "x": Form((BATCH, 1, 16, 12), "image"),
            "z": Form((BATCH, 5), "normal"),
            "u": Form((BATCH, 2, 5), "uniform"),
            "label": Form((BATCH,), "index", 0, 1),
        },
    )

    for case in cases(graph):
        fed = values(graph, case)
        count = case.batch
        assert [array.shape for array in fed.values()] == [(count, 1, 16, 12), (count, 5), (count, 2, 5), (count,)]
        assert np.abs(fed["x"]).max() <= 1
        assert np.abs(fed["u"]).max() <= 1
        assert set(fed["label"].tolist()) <= {0, 1}
        assert [str(array.dtype) for array in fed.values()] == ["float32", "float32", "float32", "int64"]


def test_a_graph_without_images_meets_extremes_of_its_own() -> None:
    graph = ResolvedGraph(nn.Identity(), ("y",), inputs={"z": Form((BATCH, 64), "normal")})

    plan = cases(graph)

    assert [case.kind for case in plan] == ["drawn", "drawn", "drawn", "extremes", "zeros"]
    assert np.unique(np.abs(values(graph, plan[-2])["z"])).tolist() == [4.0]
    assert not values(graph, plan[-1])["z"].any()


def test_the_same_case_gives_the_same_values() -> None:
    graph, case = has_images(16), Case("noise", {"batch": 1, "height": 16, "width": 16}, 1, seed=3)

    np.testing.assert_array_equal(values(graph, case)["x"], values(graph, case)["x"])


def test_the_extremes_are_what_they_are_called() -> None:
    graph, lengths = has_images(8), {"batch": 1, "height": 8, "width": 8}

    fed = {kind: values(graph, Case(kind, lengths, 1))["x"] for kind in EXTREMES}

    assert set(np.unique(fed["black"])) == {-1}
    assert set(np.unique(fed["white"])) == {1}
    assert fed["checkerboard"][0, 0, :2, :2].tolist() == [[-1, 1], [1, -1]]
    levels = {kind: (fed[kind][0] + 1) * 127.5 for kind in ("colour", "pixel")}
    np.testing.assert_allclose(levels["colour"], np.broadcast_to(levels["colour"][:, :1, :1], (3, 8, 8)))
    changed = levels["pixel"] - levels["colour"]
    assert np.argwhere(np.abs(changed) > 0.5).tolist() == [[channel, 4, 4] for channel in range(3)]
    np.testing.assert_allclose(changed[:, 4, 4], 1, atol=1e-4)
    assert fed["noise"].std() == pytest.approx(3**-0.5, abs=0.1)


def test_beside_an_image_of_one_colour_a_latent_is_zero() -> None:
    inputs = {**has_images(8).inputs, "z": Form((BATCH, 5), "normal"), "u": Form((BATCH, 5), "uniform")}
    graph = ResolvedGraph(nn.Identity(), ("y",), inputs=inputs)

    drawn = {case.kind: values(graph, case) for case in cases(graph)}

    zero = {kind for kind, fed in drawn.items() if not fed["z"].any() and not fed["u"].any()}
    assert zero == {"colour", "pixel"}
    first, second, *_ = drawn["colour"]["x"]
    assert not np.allclose(first, second)


def test_shipped_photographs_are_real_images() -> None:
    spreads = [np.asarray(image).std() for image in photographs()]

    assert len(spreads) >= 2
    assert min(spreads) > 20


def test_images_differ_within_a_batch() -> None:
    graph = has_images(16)

    batch = values(graph, Case("images", {"batch": 4, "height": 16, "width": 16}, 4))["x"]

    assert len({image.tobytes() for image in batch}) == 4


def test_tracing_starts_from_a_batch_of_two_and_no_length_of_one_step() -> None:
    graph = ResolvedGraph(nn.Identity(), ("y",), inputs={"x": Form((BATCH, 3, Axis("height", 8, 8, 8), 8), "image")})

    assert example_case(graph).lengths == {"batch": 2, "height": 16}


def test_whole_numbers_are_floats_that_a_batch_goes_through() -> None:
    inputs = {"start": Form((BATCH,), "whole", 0, 2), "map": Form((BATCH, 1, 6, 9), "normal")}
    graph = ResolvedGraph(nn.Identity(), ("y",), inputs=inputs)
    plan = cases(graph)
    seen = set[float]()
    for case in plan:
        start = values(graph, case)["start"]
        assert (start.dtype, start.shape) == (np.dtype(np.float32), (case.batch,))
        seen |= set(start.tolist())
    assert seen == {0.0, 1.0, 2.0}


def test_without_an_image_the_size_is_that_of_the_largest_map() -> None:
    inputs = {
        "coarse": Form((BATCH, 1, 6, 9), "normal"),
        "fine": Form((BATCH, 3, Axis("height", 24, minimum=8), Axis("width", 36, minimum=8)), "normal"),
        "start": Form((BATCH,), "whole", 0, 1),
    }
    graph = ResolvedGraph(nn.Identity(), ("y",), inputs=inputs)
    assert image_size(graph, example_case(graph)) == (24, 36)
    assert len({image_size(graph, case) for case in cases(graph)}) == 3
