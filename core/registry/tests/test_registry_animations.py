"""Frames become animations that other programs read."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from i2i_registry.sheets.animations import check_animation, save_animation
from i2i_runtime.errors import UsageError

COLOURS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0)]
FRAMES = [Image.new("RGB", (31, 18), colour) for colour in COLOURS]


def colours_of(frames: list[Image.Image]) -> list[list[int]]:
    return [np.asarray(frame.convert("RGB"))[9, 15].tolist() for frame in frames]


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
def test_an_animation_has_its_frames_in_order_and_repeats(tmp_path: Path, suffix: str) -> None:
    path = save_animation(FRAMES, tmp_path / f"animation.{suffix}", fps=10)
    with Image.open(path) as animation:
        assert (getattr(animation, "n_frames", 1), animation.size, animation.info["loop"]) == (4, (31, 18), 0)
        frames: list[Image.Image] = []
        for number in range(4):
            animation.seek(number)
            animation.load()
            assert animation.info["duration"] == 100
            frames.append(animation.convert("RGB"))
    np.testing.assert_allclose(colours_of(frames), COLOURS, atol=12)


def test_a_video_has_its_frames_in_order_and_even_sides(tmp_path: Path) -> None:
    path = save_animation(FRAMES, tmp_path / "animation.mp4", fps=10)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.width, stream.height, stream.average_rate) == ("h264", 32, 18, 10)
        frames = [frame.to_image() for frame in container.decode(stream)]
    np.testing.assert_allclose(colours_of(frames), COLOURS, atol=12)


def test_a_name_without_a_suffix_is_a_folder_of_frames(tmp_path: Path) -> None:
    folder = save_animation(FRAMES * 3, tmp_path / "frames", fps=10)
    files = sorted(folder.iterdir())
    assert [file.name for file in files][:2] == ["00.png", "01.png"]
    assert colours_of([Image.open(file) for file in files]) == [list(colour) for colour in COLOURS * 3]


@pytest.mark.parametrize(("name", "reason"), [("animation.avi", "ends in '.avi'"), ("folder", "folder exists")])
def test_a_name_that_cannot_become_an_animation_is_refused(tmp_path: Path, name: str, reason: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(UsageError, match=reason):
        check_animation(tmp_path / name)


def test_nothing_is_left_where_an_animation_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UsageError, match="cannot be written"):
        save_animation(FRAMES, tmp_path / "file" / "animation.gif", fps=10)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
