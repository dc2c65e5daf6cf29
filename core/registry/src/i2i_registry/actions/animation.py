"""An animation by name: one result turning into another, or a walk among results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from i2i_registry.actions.request import Request, split_pair
from i2i_registry.output_paths import check_inputs_survive
from i2i_registry.sheets.animations import check_animation, save_animation
from i2i_registry.sheets.sheet import check_shown
from i2i_runtime.bundle import Bundle
from i2i_runtime.errors import UsageError, nearest
from i2i_runtime.kinds.base import SEED, Option
from i2i_runtime.kinds.size import SCALE, SIZE
from i2i_runtime.schema.operations import Operation


@dataclass(frozen=True, slots=True)
class AnimationRequest:
    """An animation that starts with what `request` asks for."""

    request: Request
    to: Mapping[str, Option]
    """where the last frame differs; nothing for a walk"""
    frames: int
    fps: int


def plan_animation(animation: AnimationRequest, given: Sequence[Path], out: Path, count: int | None) -> Path | None:
    """Return the image that it works on, if any. Raises UsageError when this cannot become one animation at `out`."""
    operation = animation.request.operation
    most = 0 if operation.main_image is None else 1
    if len(given) != most or any(path.is_dir() for path in given):
        raise UsageError(f"an animation of {len(given)} inputs", expected="one image" if most else "no INPUT")
    if count is not None:
        raise UsageError("--count beside --to", expected="several results, or an animation of one turning into another")
    check_shown(operation)
    check_animation(out)
    last = animation.request.with_options(animation.to)
    check_inputs_survive([out], [*given, *animation.request.files_among_options(), *last.files_among_options()])
    return given[0] if given else None


def make_animation(bundle: Bundle, animation: AnimationRequest, image: Path | None, out: Path) -> Path:
    """Compute the frames and write the animation. Raises what `Bundle.frames` and `save_animation` raise."""
    source = None if image is None else str(image)
    return save_animation(animation.request.frames(bundle, source, animation.to, animation.frames), out, animation.fps)


def last_frame_of(operation: Operation, texts: Sequence[str]) -> dict[str, Option]:
    """Return what "NAME=VALUE" texts say of the last frame. Raises UsageError for a name that is no input."""
    pairs = [_read_pair(operation, text) for text in texts]
    to = dict(pairs)
    for name in {SIZE, SCALE} & to.keys():
        to[name] = [str(value) for key, value in pairs if key == name]  # texts still, gone through in turn
    return to


def _read_pair(operation: Operation, text: str) -> tuple[str, Option]:
    name, value = split_pair("--to", text, "seed=7")
    if name == SEED:
        if not value.isdecimal():
            raise UsageError(f"--to seed={value}", expected="a whole number, 0 or more")
        return SEED, int(value)
    inputs = {each: owner for owner in operation.free_inputs if owner.is_typed for each in owner.option_names}
    if name not in inputs:
        raise UsageError(f"{operation.name} has no input {name!r}", expected=nearest(name, [SEED, *inputs]))
    return name, inputs[name].from_text(value)
