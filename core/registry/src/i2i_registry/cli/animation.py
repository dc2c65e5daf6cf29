"""The part of `run` that makes an animation: one result turning into another, or a walk among results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import click
from PIL import Image

from i2i_registry.actions.run import Settings
from i2i_registry.cli.operating import SEED
from i2i_registry.output_paths import check_inputs_survive
from i2i_registry.sheets.animations import SUFFIXES, check_animation, save_animation
from i2i_registry.sheets.sheet import check_shown
from i2i_runtime.bundle import Bundle
from i2i_runtime.call.arguments import Option, main_image, option_from_text
from i2i_runtime.call.sizes import SCALE, SIZE, read_scale, read_size
from i2i_runtime.errors import UsageError, nearest
from i2i_runtime.schema.operations import GridInput, LatentInput, NoiseInput, Operation, Walk


@dataclass(frozen=True, slots=True)
class Animation:
    """What `--to`, `--frames` and `--fps` ask for."""

    to: Mapping[str, Option]
    frames: int
    fps: int


WALK_FRAMES, WALK_FPS = 100, 10
"""Of an animation that wanders, as SinGAN and ConSinGAN make them."""


def animation_options(operation: Operation) -> list[click.Parameter]:
    """`--to`, `--frames` and `--fps`, for operations that make animations; one that wanders needs no `--to`."""
    if operation.interpolation is None and operation.walk is None:
        return []
    frames, fps = (25, 12) if operation.walk is None else (WALK_FRAMES, WALK_FPS)
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


def anchor_option(walk: Walk) -> str:
    """The name of the option that the walk sets itself in every frame, and nobody gives."""
    return f"input_{walk.anchor}"


def read_animation(operation: Operation, options: Mapping[str, object]) -> Animation | None:
    """The animation that the options ask for, or None. Raises UsageError for a `--to` that names no input."""
    texts = cast("Sequence[str]", options.get("to") or ())
    if not texts and operation.walk is None:
        return None
    pairs = [_pair(operation, text) for text in texts]
    to: dict[str, Option] = dict(pairs)
    for name in {SIZE, SCALE} & to.keys():
        to[name] = cast("Option", [value for key, value in pairs if key == name])
    return Animation(to, cast("int", options["frames"]), cast("int", options["fps"]))


def check(operation: Operation, inputs: Sequence[Path], out: Path, count: int | None) -> None:
    """Before a model is loaded: raises UsageError when this cannot become one animation."""
    most = 0 if main_image(operation) is None else 1
    if len(inputs) != most or any(path.is_dir() for path in inputs):
        raise UsageError(f"an animation of {len(inputs)} inputs", expected="one image" if most else "no INPUT")
    if count is not None:
        raise UsageError("--count beside --to", expected="several results, or an animation of one turning into another")
    check_shown(operation)
    check_animation(out)
    check_inputs_survive(out, inputs)


def make(animation: Animation, bundle: Bundle, source: Path | None, out: Path, settings: Settings) -> Path:
    """Compute the frames and write the animation."""
    frames = bundle.frames(
        settings.operation,
        None if source is None else str(source),
        to=animation.to or None,
        count=animation.frames,
        seed=settings.seed,
        fit=settings.fit,
        # Inputs are named by the bundle; an input that had the name of a general option would be an OptionError there.
        **settings.options,  # pyright: ignore[reportArgumentType]
    )
    return save_animation(cast("Sequence[Image.Image]", frames), out, animation.fps)


def _pair(operation: Operation, text: str) -> tuple[str, Option]:
    name, equals, value = text.partition("=")
    name = name.replace("-", "_")
    if not equals:
        raise UsageError(f"--to {text}", expected="NAME=VALUE", fix="--to seed=7")
    if name == SEED:
        if not value.isdecimal():
            raise UsageError(f"--to seed={value}", expected="a whole number, 0 or more")
        return SEED, int(value)
    if operation.size and name in {SIZE, SCALE}:
        return name, (read_size if name == SIZE else read_scale)(value)
    unnamed = (LatentInput, NoiseInput, GridInput)
    main = main_image(operation)
    inputs = {each.name: each for each in operation.inputs if each is not main and not isinstance(each, unnamed)}
    if name not in inputs:
        raise UsageError(f"{operation.name} has no input {name!r}", expected=nearest(name, [SEED, *inputs]))
    return name, option_from_text(inputs[name], value)
