"""`run`: a bundle, or weights, on images and folders. Its options are those of the bundle's operation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from i2i_registry.actions.animation import make_animation, plan_animation
from i2i_registry.actions.request import SEED, Attempt
from i2i_registry.actions.run import ImageJob, plan_jobs, run_jobs
from i2i_registry.actions.target import LoadOptions
from i2i_registry.cli.animation import animation_flags, read_animation, show_animation
from i2i_registry.cli.operating import OperationCommand, asked, options_for, whole_number
from i2i_registry.cli.options import fit_option, load_options
from i2i_registry.cli.render import json_option, left_out_as_data, show, show_json, tell, tell_error, tell_left_out
from i2i_runtime.errors import UsageError, nearest
from i2i_runtime.image.folders import Listing
from i2i_runtime.image.resizing import Fit
from i2i_runtime.kinds.base import Option
from i2i_runtime.schema.operations import Operation

_Attempts = Sequence[tuple[ImageJob, Attempt[tuple[Path, ...]]]]


class RunCommand(OperationCommand):
    """Has an option for every input but the first image, which is INPUT."""

    def options_of(self, operation: Operation) -> list[click.Parameter]:
        """As the operation's inputs demand; `--count` where a seed chooses, and those of an animation."""
        options = [option for value in operation.free_inputs for option in options_for(value)]
        own = {option.name: option for option in options}  # one --seed, however many latents
        if operation.walk:
            own.pop(f"input_{operation.walk.anchor}", None)  # set in every frame by the walk itself
        elif SEED in own:
            own["count"] = click.Option(["--count"], type=click.IntRange(min=1), help="Results of each image.")
        return [*own.values(), *animation_flags(operation)]


@click.command(cls=RunCommand)
@click.argument("target", metavar="BUNDLE_OR_NAME")
@click.argument("inputs", nargs=-1, type=click.Path(path_type=Path), metavar="INPUT...")
@click.option(
    "-o",
    "out",
    required=True,
    type=click.Path(path_type=Path),
    metavar="OUT",
    help="A file for one input, else a folder.",
)
@click.option("--operation", "operation_name", metavar="NAME", help="One of the bundle's; default: its first.")
@click.option("--output", "outputs", multiple=True, metavar="NAME", help="Also save this output beside the image.")
@fit_option
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
    inputs: tuple[Path, ...],
    out: Path,
    outputs: tuple[str, ...],
    fit: Fit | None,
    load: LoadOptions,
    as_json: bool,
    **options: Option,
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
    target, request = asked(context, fit, options)
    _check_outputs(request.operation, outputs)
    count = whole_number(options, "count")
    scanned: list[Listing] = []
    animation = read_animation(request, options)
    if animation is not None:
        image = plan_animation(animation, inputs, out, count)
        with target.loaded(load, tell) as bundle:
            show_animation(make_animation(bundle, animation, image, out), animation, as_json=as_json)
        return
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
