"""`run`: a bundle, or weights, on images and folders. Its options are those of the bundle's operation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from i2i_registry.actions.animation import AnimationRequest, last_frame_of, make_animation, plan_animation
from i2i_registry.actions.request import Attempt, Request
from i2i_registry.actions.run import ImageJob, plan_jobs, run_jobs
from i2i_registry.actions.target import LoadOptions, Target
from i2i_registry.cli.operating import OperationCommand, options_for, request_options, target_argument
from i2i_registry.cli.options import load_options, out_option
from i2i_registry.cli.render import (
    json_option,
    left_out_as_data,
    show,
    show_json,
    show_made,
    tell,
    tell_error,
    tell_left_out,
)
from i2i_registry.sheets.animations import SUFFIXES
from i2i_runtime.errors import UsageError, nearest
from i2i_runtime.image.folders import Listing
from i2i_runtime.kinds.base import SEED
from i2i_runtime.kinds.size import SIZE
from i2i_runtime.schema.operations import Operation

_Attempts = Sequence[tuple[ImageJob, Attempt[tuple[Path, ...]]]]


class RunCommand(OperationCommand):
    """Has an option for every input but the first image, which is INPUT."""

    def options_of(self, operation: Operation) -> list[click.Parameter]:
        """As the operation's inputs demand; `--count` where a seed chooses, and those of an animation."""
        own = options_for(*operation.free_inputs)
        if operation.walk:
            by_walk = f"input_{operation.walk.anchor}"  # set in every frame by the walk itself
            own = [option for option in own if option.name != by_walk]
        elif any(option.name == SEED for option in own):
            own.append(click.Option(["--count"], type=click.IntRange(min=1), help="Results of each image."))
        return [*own, *_animation_options(operation)]


def _animation_options(operation: Operation) -> list[click.Parameter]:
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


@click.command(cls=RunCommand)
@target_argument
@click.argument("inputs", nargs=-1, type=click.Path(path_type=Path), metavar="INPUT...")
@out_option("A file for one input, else a folder.")
@request_options("One of the bundle's; default: its first.")
@click.option("--output", "outputs", multiple=True, metavar="NAME", help="Also save this output beside the image.")
@load_options
@click.option("--max-pixels", type=click.IntRange(min=1), metavar="N", help="Refuse larger images and results.")
@click.option(
    "--memory", metavar="SIZE", help="Most that one image may take: 4GB. Default, on a CPU: 80 % of what is free."
)
@json_option
@click.pass_context
def run(
    context: click.Context,
    /,
    *,
    target: Target,
    request: Request,
    load: LoadOptions,
    inputs: tuple[Path, ...],
    out: Path,
    outputs: tuple[str, ...],
    as_json: bool,
    count: int | None = None,
    to: tuple[str, ...] = (),
    frames: int = 0,
    fps: int = 0,
) -> None:
    """Run a bundle, or weights by name, on images and folders of images.

    \b
      i2i-registry run anime-onnx me.jpg -o out.png
      i2i-registry run anime-onnx photos/ -o results/ --output attention
      i2i-registry run shoes-onnx edges.png -o styles/ --count 8           # where a seed chooses among many
      i2i-registry run shoes-onnx edges.png -o animation.gif --seed 1 --to seed=2
      i2i-registry run fire -o fire.gif --operation animate --frames 100   # an operation that is an animation
      i2i-registry run anime me.jpg -o out.png            # weights: a bundle is made once, and kept
      i2i-registry run anime-onnx --help                  # with the options of its operation

    In a folder, a file that fails is told and counted, the others are done, and the exit code is 1; what is no image
    is told and counted. Outputs are named after the whole stem of their input; an input is never overwritten. For
    models of other channels than 1 and 3, an INPUT may be several images of one size: photo.png+depth.png.
    """  # noqa: D301 - click reads the mark
    _check_outputs(request.operation, outputs)
    if to or request.operation.walk:
        animation = AnimationRequest(request, last_frame_of(request.operation, to), frames, fps)
        image = plan_animation(animation, inputs, out, count)
        with target.loaded(load, tell) as bundle:
            made = make_animation(bundle, animation, image, out)
        show_made(made, {"animation": str(made), "frames": frames, "fps": fps}, as_json=as_json)
        return
    scanned: list[Listing] = []
    jobs = plan_jobs(request, inputs, out, count, scanned.append)
    for listing in scanned:
        tell_left_out(listing)
    with target.loaded(load, tell) as bundle:
        attempts = run_jobs(bundle, request, jobs, outputs)
        done = [(job, _told(made, as_json=as_json)) for job, made in zip(jobs, attempts, strict=True)]
        if as_json:
            about = {"bundle": str(bundle.path), "operation": request.operation.name, "device": bundle.device}
            show_json({**about, **_as_data(done), "left_out": left_out_as_data(scanned)})
    _tell_counts(done, sum(listing.left_out_count for listing in scanned))
    errors = [made.error for _, made in done if made.error]
    if errors:
        context.exit(errors[0].exit_code if len(done) == 1 else 1)


def _check_outputs(operation: Operation, outputs: Sequence[str]) -> None:
    names = [output.name for output in operation.outputs]
    for name in outputs:
        if name not in names:
            raise UsageError(f"{operation.name} has no output {name!r}", expected=nearest(name, names))


def _told(made: Attempt[tuple[Path, ...]], *, as_json: bool) -> Attempt[tuple[Path, ...]]:
    """Say what became of an image as soon as it is known."""
    if made.error is not None:
        tell_error(made.error)
    elif not as_json:
        for path in made.result or ():
            show(str(path))
    return made


def _tell_counts(done: _Attempts, left_out: int) -> None:
    failed = sum(made.error is not None for _, made in done)
    if failed or left_out:
        parts = [f"{failed} of {len(done)} failed" if failed else f"{len(done)} done"]
        tell(", ".join([*parts, f"{left_out} left out"] if left_out else parts))


def _as_data(attempts: _Attempts) -> dict[str, object]:
    done = [
        {
            "input": str(job.source) if job.source else None,
            "outputs": [str(path) for path in made.result or ()],
            "seconds": round(made.seconds, 4),
        }
        for job, made in attempts
        if made.error is None
    ]
    failed = [{"input": str(job.source), "error": made.error.found} for job, made in attempts if made.error]
    return {"done": done, "failed": failed}
