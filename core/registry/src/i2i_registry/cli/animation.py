"""The options and results of `run` where it makes an animation."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from i2i_registry.actions.animation import AnimationRequest, last_frame_of
from i2i_registry.actions.request import Request
from i2i_registry.cli.operating import whole_number
from i2i_registry.cli.render import show, show_json
from i2i_registry.sheets.animations import SUFFIXES
from i2i_runtime.kinds.base import Option
from i2i_runtime.kinds.size import SIZE
from i2i_runtime.schema.operations import Operation
from i2i_runtime.type_guards import is_list_or_tuple


def animation_flags(operation: Operation) -> list[click.Parameter]:
    """`--to`, `--frames` and `--fps`, for operations that make animations; one that wanders needs no `--to`."""
    if operation.interpolation is None and operation.walk is None:
        return []
    frames, fps = (25, 12) if operation.walk is None else (100, 10)  # a walk as SinGAN and ConSinGAN show it
    options: list[click.Parameter] = [
        click.Option(["--frames"], type=click.IntRange(min=2), default=frames, show_default=True, help="How many."),
        click.Option(["--fps"], type=click.IntRange(1, 100), default=fps, show_default=True, help="Frames a second."),
    ]
    return options if operation.walk else [_to_option(operation), *options]


def _to_option(operation: Operation) -> click.Option:
    sized = operation.interpolation is not None and operation.interpolation.value == SIZE
    what = "scale=1x2, several are gone through in turn" if sized else "seed=7"
    return click.Option(
        ["--to"],
        multiple=True,
        metavar="NAME=VALUE",
        help=f"Make an animation, whose last frame has this: {what}. OUT is a {', '.join(SUFFIXES)} or a folder.",
    )


def read_animation(request: Request, options: Mapping[str, Option]) -> AnimationRequest | None:
    """Return the animation that the options ask for, or None. Raises UsageError for a `--to` that names no input."""
    to = options.get("to")
    texts = [str(text) for text in to] if is_list_or_tuple(to) else []
    frames, fps = whole_number(options, "frames"), whole_number(options, "fps")
    if frames is None or fps is None or not (texts or request.operation.walk):
        return None
    return AnimationRequest(request, last_frame_of(request.operation, texts), frames, fps)


def show_animation(path: Path, animation: AnimationRequest, *, as_json: bool) -> None:
    """Where the animation lies."""
    if as_json:
        show_json({"animation": str(path), "frames": animation.frames, "fps": animation.fps})
    else:
        show(str(path))
