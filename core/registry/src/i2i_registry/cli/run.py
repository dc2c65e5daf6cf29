"""`run`: a bundle, or weights, on images and folders. Its options are those of the bundle's operation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import cast

import click

from i2i_registry.actions.export import bundle_of
from i2i_registry.actions.run import (
    Job,
    Outcome,
    Settings,
    execute,
    plan,
    plan_from_nothing,
    reads_arrays,
    suffix_of,
)
from i2i_registry.cli import animation
from i2i_registry.cli.operating import SEED, OperationCommand, given_inputs, options_for
from i2i_registry.cli.options import device_option, fit_option, threads_option
from i2i_registry.cli.render import (
    json_option,
    left_out_as_data,
    show,
    show_json,
    tell,
    tell_error,
    tell_left_out,
)
from i2i_registry.cli.session import Session
from i2i_runtime.bundle import Bundle, load
from i2i_runtime.call.arguments import main_image
from i2i_runtime.errors import UsageError, nearest
from i2i_runtime.image.folders import Listing
from i2i_runtime.schema.operations import ImageInput, Operation


class RunCommand(OperationCommand):
    """Has an option for every input but the first image, which is INPUT."""

    def options_of(self, operation: Operation) -> list[click.Parameter]:
        """As the operation's inputs demand; `--count` where a seed chooses, and those of an animation."""
        main = main_image(operation)
        options = [option for value in operation.inputs if value is not main for option in options_for(value)]
        own = {option.name: option for option in options}  # one --seed, however many latents
        if operation.walk:
            own.pop(animation.anchor_option(operation.walk), None)
        elif SEED in own:
            own["count"] = click.Option(["--count"], type=click.IntRange(min=1), help="Results of each image.")
        return [*own.values(), *animation.animation_options(operation)]


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
@device_option
@threads_option
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
    target: str,
    inputs: tuple[Path, ...],
    out: Path,
    operation_name: str | None,  # noqa: ARG001 - taken in the first pass
    device: str,
    threads: int | None,
    max_pixels: int | None,
    memory: str | None,
    as_json: bool,
    **options: object,
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
    session = context.ensure_object(Session)
    operation = cast("Operation", context.meta[Operation.__name__])
    settings = _settings(operation, options)
    count = cast("int | None", options.get("count"))
    scanned: list[Listing] = []
    wanted_animation = animation.read_animation(operation, options)
    if wanted_animation is not None:
        animation.check(operation, inputs, out, count)
        jobs = list[Job]()
    else:
        jobs = _jobs(operation, inputs, out, count, scanned.append)
    for listing in scanned:
        tell_left_out(listing)
    path = context.with_resource(bundle_of(session.registry, session.store, target, tell))
    with load(path, device=device, threads=threads, max_pixels=max_pixels, memory=memory) as bundle:
        tell(bundle.report)
        if wanted_animation is not None:
            path = animation.make(wanted_animation, bundle, inputs[0] if inputs else None, out, settings)
            _show_animation(path, wanted_animation, as_json=as_json)
            return
        outcomes = [_told(outcome, as_json=as_json) for outcome in execute(bundle, jobs, settings)]
        if as_json:
            show_json(_as_data(bundle, operation, outcomes, scanned))
    failed = sum(outcome.error is not None for outcome in outcomes)
    left_out = sum(listing.left_out_count for listing in scanned)
    if failed or left_out:
        parts = [f"{failed} of {len(outcomes)} failed" if failed else f"{len(outcomes)} done"]
        tell(", ".join([*parts, f"{left_out} left out"] if left_out else parts))
    if failed:
        alone = outcomes[0].error if len(outcomes) == 1 else None
        context.exit(alone.exit_code if alone else 1)


def _settings(operation: Operation, options: Mapping[str, object]) -> Settings:
    outputs = cast("tuple[str, ...]", options.get("outputs", ()))
    names = [output.name for output in operation.outputs]
    for name in outputs:
        if name not in names:
            raise UsageError(f"{operation.name} has no output {name!r}", expected=nearest(name, names))
    return Settings(
        operation=operation.name,
        options=given_inputs(options),
        outputs=outputs,
        seed=cast("int | None", options.get(SEED)),
        fit=cast("None", options.get("fit")),
    )


def _show_animation(path: Path, made: animation.Animation, *, as_json: bool) -> None:
    if as_json:
        show_json({"animation": str(path), "frames": made.frames, "fps": made.fps})
    else:
        show(str(path))


def _jobs(
    operation: Operation, inputs: Sequence[Path], out: Path, count: int | None, scanned: Callable[[Listing], None]
) -> list[Job]:
    if not any(isinstance(value, ImageInput) for value in operation.inputs):
        if inputs:
            raise UsageError(f"{operation.name} takes no image", expected="no INPUT: it starts from nothing")
        return plan_from_nothing(operation.name, out, count, suffix_of(operation))
    if not inputs:
        raise UsageError("no image was given", expected="INPUT...", fix="i2i-registry run BUNDLE me.jpg -o out.png")
    arrays = reads_arrays(operation)
    return plan(inputs, out, count, suffix_of(operation), arrays=arrays, scanned=scanned)


def _told(outcome: Outcome, *, as_json: bool) -> Outcome:
    """Say what became of an image as soon as it is known."""
    if outcome.error is not None:
        tell_error(outcome.error)
    elif not as_json:
        for path in outcome.written:
            show(str(path))
    return outcome


def _as_data(
    bundle: Bundle, operation: Operation, outcomes: Sequence[Outcome], scanned: Sequence[Listing]
) -> dict[str, object]:
    done = [
        {
            "input": str(outcome.job.source) if outcome.job.source else None,
            "outputs": [str(path) for path in outcome.written],
            "seconds": round(outcome.seconds, 4),
        }
        for outcome in outcomes
        if outcome.error is None
    ]
    failed = [
        {"input": str(outcome.job.source), "error": outcome.error.found}
        for outcome in outcomes
        if outcome.error is not None
    ]
    return {
        "bundle": str(bundle.path),
        "operation": operation.name,
        "device": bundle.device,
        "done": done,
        "failed": failed,
        "left_out": left_out_as_data(scanned),
    }
