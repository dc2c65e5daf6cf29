"""`run`: a bundle, or weights, on pictures and folders. Its options are those of the bundle's operation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import cast

import click

from i2i_registry.cli import film
from i2i_registry.cli.render import json_option, show, show_json, tell, tell_error
from i2i_registry.cli.session import Session
from i2i_registry.exporting import is_bundle, kept_bundle, operations_of
from i2i_registry.lacking import why_missing
from i2i_registry.running import (
    Job,
    Outcome,
    Settings,
    choose_operation,
    execute,
    plan,
    plan_from_nothing,
    suffix_of,
)
from i2i_runtime.bundle import Bundle, load
from i2i_runtime.errors import UsageError, nearest
from i2i_runtime.inputs import Option
from i2i_runtime.operations import ImageInput, Input, LabelInput, LatentInput, Operation, ScalarInput

SEED = film.SEED
_INPUT = "input_"
_NOT_WHOLE = {"ignore_unknown_options": True, "allow_extra_args": True, "allow_interspersed_args": True}


class RunCommand(click.Command):
    """Reads the bundle first, then the options that its operation has."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Two passes: BUNDLE and --operation decide which options there are."""
        target, operation_name = _peek(args)
        if target is not None:
            session = ctx.ensure_object(Session)
            operations = operations_of(session.registry, session.store, target)
            why = partial(why_missing, session.registry, session.store, target, operations)
            operation = choose_operation(operations, operation_name, why)
            ctx.meta[Operation.__name__] = operation
        return super().parse_args(ctx, args)

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """The fixed options, and the operation's once it is known."""
        operation = ctx.meta.get(Operation.__name__)
        own = options_of(operation) if isinstance(operation, Operation) else []
        params = super().get_params(ctx)
        return [*params[:-1], *own, params[-1]]  # --help stays last


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
@click.option("--output", "outputs", multiple=True, metavar="NAME", help="Also save this output beside the picture.")
@click.option(
    "--fit", type=click.Choice(["resize", "keep_aspect", "native"]), help="How pictures get the model's size."
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N, tensorrt.")
@click.option("--threads", type=click.IntRange(min=1), help="Default: the CPUs this process may use.")
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
    as_json: bool,
    **options: object,
) -> None:
    """Run a bundle, or weights by name, on pictures and folders of pictures.

    \b
      i2i-registry run anime-onnx me.jpg -o out.png
      i2i-registry run anime-onnx photos/ -o results/ --output attention
      i2i-registry run shoes-onnx edges.png -o styles/ --count 8           # where a seed chooses among many
      i2i-registry run shoes-onnx edges.png -o film.gif --seed 1 --to seed=2
      i2i-registry run anime me.jpg -o out.png            # weights: a bundle is made once, and kept
      i2i-registry run anime-onnx --help                  # with the options of its operation

    In a folder, a file that fails is told and counted, the others are done, and the exit code is 1. Outputs are named
    after the whole stem of their input; an input is never overwritten.
    """  # noqa: D301 - click reads the mark
    session = context.ensure_object(Session)
    operation = cast("Operation", context.meta[Operation.__name__])
    settings = _settings(operation, options)
    count = cast("int | None", options.get("count"))
    wanted_film = film.read_film(operation, options)
    if wanted_film is not None:
        film.check(operation, inputs, out, count)
        jobs = list[Job]()
    else:
        jobs = _jobs(operation, inputs, out, count)
    path = Path(target) if is_bundle(target) else kept_bundle(session.registry, session.store, target, tell)
    with load(path, device=device, threads=threads) as bundle:
        tell(bundle.report)
        if wanted_film is not None:
            path = film.make(wanted_film, bundle, inputs[0] if inputs else None, out, settings)
            _show_film(path, wanted_film, as_json=as_json)
            return
        outcomes = [_told(outcome, as_json=as_json) for outcome in execute(bundle, jobs, settings)]
        if as_json:
            show_json(_as_data(bundle, operation, outcomes))
    failed = sum(outcome.error is not None for outcome in outcomes)
    if failed:
        tell(f"{failed} of {len(outcomes)} failed")
        context.exit(1)


def options_of(operation: Operation) -> list[click.Parameter]:
    """The options that the operation's inputs stand for; its first picture is INPUT."""
    pictures = [value for value in operation.inputs if isinstance(value, ImageInput)]
    options: list[click.Parameter] = [_option(value) for value in operation.inputs if value not in pictures[:1]]
    own = {option.name: option for option in options}  # one --seed, however many latents
    if SEED in own:
        own["count"] = click.Option(["--count"], type=click.IntRange(min=1), help="Results of each picture.")
    return [*own.values(), *film.film_options(operation)]


def _option(value: Input) -> click.Option:
    flag = f"--{value.name.replace('_', '-')}"
    match value:
        case LatentInput():
            return click.Option(["--seed"], type=click.IntRange(min=0), help="Same seed, same picture.")
        case LabelInput():
            default = f"default: {value.default}" if value.default else "required"
            return click.Option(
                [flag, _INPUT + value.name],
                callback=_one_of(value.names),
                metavar=f"[{'|'.join(value.names)}]",
                required=value.default is None,
                help=f"{value.summary} ({default})".strip(),
            )
        case ScalarInput():
            limits = click.FloatRange(value.minimum, value.maximum)
            return click.Option(
                [flag, _INPUT + value.name], type=limits, default=value.default, show_default=True, help=value.summary
            )
        case ImageInput():
            return click.Option(
                [flag, _INPUT + value.name], type=click.Path(exists=True), required=True, help=value.summary
            )


def _one_of(names: Sequence[str]) -> Callable[[click.Context, click.Parameter, str | None], str | None]:
    """Check a class name; a wrong one is answered with the nearest."""

    def check(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
        if value is not None and value not in names:
            raise click.BadParameter(f"{value!r}: {nearest(value, names)}", context, parameter)
        return value

    return check


def _peek(args: Sequence[str]) -> tuple[str | None, str | None]:
    """The bundle and the operation in a command line whose other options are not known yet."""
    known: list[click.Parameter] = [param for param in run.params if isinstance(param, click.Option)]
    first_pass = click.Command("run", params=known, context_settings=_NOT_WHOLE, add_help_option=False)
    context = first_pass.make_context("run", list(args), resilient_parsing=True)
    words = [word for word in context.args if word not in {"-h", "--help"}]
    if words and words[0].startswith("-"):
        raise UsageError(
            found=f"{words[0]} stands before the bundle",
            expected="the bundle first: it decides which options there are",
            fix="i2i-registry run BUNDLE_OR_NAME INPUT... -o OUT " + words[0],
        )
    return (words[0] if words else None), cast("str | None", context.params.get("operation_name"))


def _settings(operation: Operation, options: Mapping[str, object]) -> Settings:
    given = {
        name.removeprefix(_INPUT): value
        for name, value in options.items()
        if name.startswith(_INPUT) and value is not None
    }
    outputs = cast("tuple[str, ...]", options.get("outputs", ()))
    names = [output.name for output in operation.outputs]
    for name in outputs:
        if name not in names:
            raise UsageError(f"{operation.name} has no output {name!r}", expected=nearest(name, names))
    return Settings(
        operation=operation.name,
        options=cast("Mapping[str, Option]", given),
        outputs=outputs,
        seed=cast("int | None", options.get(SEED)),
        fit=cast("None", options.get("fit")),
    )


def _show_film(path: Path, made: film.Film, *, as_json: bool) -> None:
    if as_json:
        show_json({"film": str(path), "frames": made.frames, "fps": made.fps})
    else:
        show(str(path))


def _jobs(operation: Operation, inputs: Sequence[Path], out: Path, count: int | None) -> list[Job]:
    if not any(isinstance(value, ImageInput) for value in operation.inputs):
        if inputs:
            raise UsageError(f"{operation.name} takes no picture", expected="no INPUT: it starts from nothing")
        return plan_from_nothing(operation.name, out, count, suffix_of(operation))
    if not inputs:
        raise UsageError("no picture was given", expected="INPUT...", fix="i2i-registry run BUNDLE me.jpg -o out.png")
    return plan(inputs, out, count, suffix_of(operation))


def _told(outcome: Outcome, *, as_json: bool) -> Outcome:
    """Say what became of a picture as soon as it is known."""
    if outcome.error is not None:
        tell_error(outcome.error)
    elif not as_json:
        for path in outcome.written:
            show(str(path))
    return outcome


def _as_data(bundle: Bundle, operation: Operation, outcomes: Sequence[Outcome]) -> dict[str, object]:
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
    }
