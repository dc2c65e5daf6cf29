"""Heat maps: stretched, truncated, enlarged, coloured."""

from __future__ import annotations

import numpy as np

from i2i_runtime.image import heatmaps


def test_levels_stretch_to_the_full_range_and_truncate() -> None:
    levels = heatmaps.levels(np.array([[2, 3, 4]], dtype=np.float32))
    np.testing.assert_array_equal(levels, [[0, 127, 255]])


def test_a_constant_map_is_all_zero() -> None:
    assert (heatmaps.levels(np.full((3, 3), 5, dtype=np.float32)) == 0).all()
    assert (heatmaps.render_heatmap(np.zeros((2, 2), dtype=np.float32), 4, 4) == (0, 0, 128)).all()


def test_enlarging_uses_half_pixel_centres_and_clamps_at_the_border() -> None:
    enlarged = heatmaps.enlarge(np.array([[0, 100]], dtype=np.uint8), 1, 4)
    np.testing.assert_array_equal(enlarged, [[0, 25, 75, 100]])  # centres at -0.25, 0.25, 0.75, 1.25
    down = heatmaps.enlarge(np.array([[0], [100]], dtype=np.uint8), 4, 1)
    np.testing.assert_array_equal(down, enlarged.T)


def test_jet_runs_from_blue_over_green_to_red() -> None:
    colours = heatmaps.jet(np.array([0, 127.5, 255]).astype(np.float32).astype(np.uint8))
    np.testing.assert_allclose(colours[0], [0, 0, 0.5], atol=1e-6)
    np.testing.assert_allclose(colours[1], [0.5 - 2 / 255, 1, 0.5 + 2 / 255], atol=1e-6)
    np.testing.assert_allclose(colours[2], [0.5, 0, 0], atol=1e-6)


def test_a_rendered_map_has_the_size_asked_for() -> None:
    rendered = heatmaps.render_heatmap(np.arange(12, dtype=np.float32).reshape(3, 4), 30, 50)
    assert (rendered.shape, rendered.dtype) == ((30, 50, 3), np.uint8)
    assert tuple(rendered[0, 0]) == (0, 0, 128)
    assert tuple(rendered[-1, -1]) == (128, 0, 0)
