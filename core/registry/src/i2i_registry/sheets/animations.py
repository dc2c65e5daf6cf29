"""Frames into an animation: GIF, WebP and PNG through Pillow, MP4 through PyAV, or a folder of images."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from PIL import Image

from i2i_registry.output_paths import check_file, check_new
from i2i_runtime.errors import StorageError, UsageError
from i2i_runtime.files.atomic import atomic_folder, atomic_write

_PILLOW = {".gif": "GIF", ".webp": "WEBP", ".png": "PNG"}
_VIDEO = ".mp4"
SUFFIXES = (*_PILLOW, _VIDEO)
"""A name without a suffix is a folder of frames."""


def check_animation(out: Path) -> None:
    """Before anything is computed: raises UsageError when frames cannot become `out`."""
    if out.suffix:
        check_file(out, SUFFIXES, fix="-o animation.gif")
    else:
        check_new(out)
    if out.suffix.lower() == _VIDEO and find_spec("av") is None:
        raise UsageError("MP4 needs PyAV, which is missing", fix='pip install "i2i-registry[mp4]", or -o out.gif')


def save_animation(frames: Sequence[Image.Image], out: Path, fps: int) -> Path:
    """Write `frames`, RGB or grey and all of one size, as `out`; it is whole or not there at all.

    GIF, WebP and PNG repeat for ever, and count a frame's time in hundredths or thousandths of a second. MP4 is H.264,
    whose sides are even: the last row or column is repeated where one is missing.

    Raises UsageError for what `check_animation` refuses, StorageError when the file cannot be written.
    """
    check_animation(out)
    try:
        if not out.suffix:
            with atomic_folder(out) as folder:
                for number, frame in enumerate(frames):
                    frame.save(folder / f"{number:0{len(str(len(frames) - 1))}}.png")
            return out
        with atomic_write(out) as partial:
            if out.suffix.lower() == _VIDEO:
                _write_video(frames, partial, fps)
            else:
                _write_animation(frames, partial, _PILLOW[out.suffix.lower()], fps)
    except OSError as error:
        raise StorageError(f"{out} cannot be written: {error}") from error
    return out


def _write_animation(frames: Sequence[Image.Image], path: Path, file_format: str, fps: int) -> None:
    first, *rest = frames
    with path.open("wb") as stream:
        first.save(stream, format=file_format, save_all=True, append_images=rest, duration=1000 / fps, loop=0)


def _write_video(frames: Sequence[Image.Image], path: Path, fps: int) -> None:
    import av  # noqa: PLC0415 - an extra

    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(fps), options={"crf": "18"})
        stream.pix_fmt = "yuv420p"  # what every player shows
        stream.width, stream.height = (side + side % 2 for side in frames[0].size)
        for frame in frames:
            pixels = np.asarray(frame.convert("RGB"))
            padding = ((0, pixels.shape[0] % 2), (0, pixels.shape[1] % 2), (0, 0))
            image = av.VideoFrame.from_ndarray(np.pad(pixels, padding, mode="edge"), format="rgb24")
            container.mux(stream.encode(image))
        container.mux(stream.encode())
