"""`i2i-registry train`: parses, calls the library, renders."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import click

import i2i_toolkit as toolkit  # its names are imported when they are used: `train --help` needs no torch
from i2i_registry.cli.render import show, tell
from i2i_registry.cli.session import Session
from i2i_registry.interfaces.cards import check_recordable
from i2i_registry.interfaces.config_values import field_values
from i2i_registry.plugins.discovery import Registry
from i2i_registry.weights.catalogue import Catalogue
from i2i_runtime.device.cpus import thread_count
from i2i_runtime.errors import I2IError, UsageError
from i2i_runtime.records import Record
from i2i_runtime.untrusted_text import printable

_LONGEST_COMMAND = 10_000

EXAMPLES = """
Train MODEL on a folder of images, or go on with a run.

\b
  i2i-registry train ugatit --data selfie2anime/ --as anime
  i2i-registry train ugatit --data selfie2anime/ --preset light --set image_size=128 --steps 20000
  i2i-registry train singan --data birds.jpg --as birds --quick        # papers that learn from one image
  i2i-registry train --resume runs/anime

Ctrl-C, SIGTERM and a closed terminal save and say how to go on; a killed run goes on from its last checkpoint.
"""


class TrainCommand(click.Command):
    """Answers `--direction b_to_a`, a field of a paper given as an option, with how fields are given."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does. Raises UsageError for an option that is a field of the model's config or options."""
        words = list(args)
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            field = error.option_name.lstrip("-").replace("-", "_")
            registry = (ctx.find_object(Session) or Session()).registry
            model = next((word for word in words if word in registry.models), None)
            kind = next((kind for kind in _kinds(registry, model) if field in kind.model_fields), None)
            if kind is None:
                raise
            given = f"{field}={_value_after(words, error.option_name)}"
            field_values(kind, [given])  # a value that does not fit is told at once
            raise UsageError(
                found=f"{error.option_name} is no option of the command, it is a field of {model}",
                expected="--set KEY=VALUE",
                fix=f"--set {given}",
            ) from error


def _kinds(registry: Registry, model: str | None) -> list[type[Record]]:
    """Return the records whose fields `--set` takes."""
    if model is None:
        return []
    options = [registry.trainer_class(model).Options] if registry.model_card(model).trainer else []
    return [registry.model_class(model).Config, *options]


def _value_after(words: Sequence[str], option: str) -> str:
    """Return what was given for an option, as "--option value" or "--option=value"."""
    for index, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name == option:
            return value if equals else next(iter(words[index + 1 : index + 2]), "VALUE")
    return "VALUE"


@click.command(cls=TrainCommand, help=EXAMPLES)
@click.argument("model", required=False)
@click.option("--data", type=click.Path(path_type=Path), help="Folder with the training images, or the one image.")
@click.option("--as", "name", metavar="NAME", help="Name of the finished weights; default: model and data folder.")
@click.option("--preset", help="One of the model's presets; default: the first that `i2i-registry info` names.")
@click.option("--set", "values", multiple=True, metavar="KEY=VALUE", help="A field of the config or the options.")
@click.option("--quick", is_flag=True, help="Short for --preset quick, of papers that have one.")
@click.option("--steps", type=click.IntRange(min=1), help="Short for --set steps=N.")
@click.option("--batch-size", type=click.IntRange(min=1), help="Short for --set batch_size=N; per process.")
@click.option(
    "--max-size", type=click.IntRange(min=1), help="Short for --set max_size=N; longer side of a single image."
)
@click.option("--init", metavar="WEIGHTS", help="Start from these weights of the store, with their config.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the run; default: runs/NAME.")
@click.option("--resume", type=click.Path(path_type=Path), metavar="RUN", help="Go on with this run; no other option.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--precision", type=click.Choice(["fp32", "bf16", "fp16"]), default="fp32", show_default=True)
@click.option("--processes", type=click.IntRange(min=1), default=1, show_default=True, help="On this machine.")
@click.option("--accumulate", type=click.IntRange(min=1), default=1, show_default=True, help="Micro-batches a batch.")
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    help="CPU threads a process; default: OMP_NUM_THREADS, else those there are.",
)
@click.option("--workers", type=click.IntRange(min=0), default=0, show_default=True, help="Processes that load data.")
@click.option(
    "--checkpoint-every", type=click.IntRange(min=0), default=1000, show_default=True, help="Steps; 0: never."
)
@click.option("--checkpoint-minutes", type=click.FloatRange(min=0), default=10.0, show_default=True, help="0: never.")
@click.option("--sample-every", type=click.IntRange(min=0), default=500, show_default=True, help="Steps; 0: never.")
@click.pass_context
def train(
    context: click.Context,
    /,
    *,
    model: str | None,
    data: Path | None,
    name: str | None,
    preset: str | None,
    values: tuple[str, ...],
    quick: bool,
    steps: int | None,
    batch_size: int | None,
    max_size: int | None,
    init: str | None,
    out: Path | None,
    resume: Path | None,
    **settings: object,
) -> None:
    """Train a model: parse, build or find the run, and train it."""
    session = context.find_object(Session) or Session()
    # Whoever draws the curves writes a cache: into our own folder, not all over the user's.
    os.environ.setdefault("MPLCONFIGDIR", str(session.store.root / "cache" / "matplotlib"))
    if resume is not None:
        _refuse_others(context, but="resume")
        context.exit(_go_on(toolkit.RunFolder(resume), session.catalogue))
    if model is None or data is None:
        raise _missing("MODEL" if model is None else "--data")
    if quick and preset is not None:
        raise UsageError(f"--quick and --preset {preset}", expected="one of the two: --quick is --preset quick")
    shortcuts = {"steps": steps, "batch_size": batch_size, "max_size": max_size}
    values = (*values, *(f"{key}={value}" for key, value in shortcuts.items() if value is not None))
    settings["threads"] = settings["threads"] or _default_threads(int(str(settings["processes"])))
    check_recordable(data)
    name = _default_name(model, data) if name is None else name
    session.catalogue.check_name(name, model)
    record = toolkit.new_record(
        session.registry,
        model=model,
        name=name,
        preset="quick" if quick else preset,
        values=values,
        settings=toolkit.TrainingSettings.model_validate(settings),
        data=data,
        init=None if init is None else session.catalogue.find(init),
        command=printable(shlex.join(["i2i-registry", *sys.argv[1:]]), _LONGEST_COMMAND),
    )
    folder = toolkit.RunFolder(out or _free_folder(record.name))
    folder.create(record)
    tell(f"run: {folder.path}")
    try:
        context.exit(_go_on(folder, session.catalogue))
    except I2IError:
        folder.remove_if_unused()
        raise


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--as", "name", metavar="NAME", help="Name of the weights; default: the run's.")
@click.pass_context
def save_run(context: click.Context, /, *, run: Path, name: str | None) -> None:
    """Store the weights of a run that is not finished, as they are at its last checkpoint.

    \b
      i2i-registry save runs/anime
      i2i-registry save runs/anime --as anime-so-far

    The run can go on afterwards; its finished weights become the next version of the name.
    """  # noqa: D301 - click reads the mark
    session = context.find_object(Session) or Session()
    card, progress = toolkit.save_weights(toolkit.RunFolder(run), session.catalogue, name)
    tell(f"weights {'' if progress.complete else 'of an unfinished training, '}{progress.sentence()}")
    tell(f"next: i2i-registry export {card.name} --onnx")
    show(card.reference)


def _missing(argument: str) -> UsageError:
    return UsageError(
        found=f"{argument} is not given",
        expected="a model and a folder of images, or a run to go on with",
        fix="i2i-registry train MODEL --data DIR, or i2i-registry train --resume RUN",
    )


def _go_on(folder: toolkit.RunFolder, catalogue: Catalogue) -> int:
    """Train a run until it ends or is stopped. Returns the exit code."""
    record = folder.record()
    if record.settings.processes > 1:
        number = toolkit.launch(folder, catalogue.store)
        if number is not None:
            return 128 + number
    else:
        with toolkit.stopping_on_signals() as stop:
            outcome = toolkit.run_training(folder, catalogue, stop=stop, stream=sys.stderr)
        if not outcome.complete:
            return stop.exit_code
    show(catalogue.store.find(record.name).reference)
    return 0


def _refuse_others(context: click.Context, but: str) -> None:
    given = [
        name
        for name in context.params
        if name != but and context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT
    ]
    if given:
        raise UsageError(
            found=f"--{but} together with {', '.join(given)}",
            expected=f"--{but} alone: a run goes on as it was started",
            fix="start a new run to change something",
        )


def _default_threads(processes: int) -> int:
    """Return the CPU threads of each process: what OMP_NUM_THREADS says, as torch reads it, else its share."""
    said = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return thread_count(int(said)) if said.isdecimal() else max(thread_count() // processes, 1)


def _default_name(model: str, data: Path) -> str:
    place = data.resolve()
    name = place.stem if place.is_file() else place.name
    folder = re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("-.")
    return f"{model}-{folder}"[:64] if folder else f"my-{model}"


def _free_folder(name: str) -> Path:
    """runs/NAME, or runs/NAME-2, -3, ... where that is taken."""
    first = Path("runs") / name
    numbered = (first.with_name(f"{first.name}-{number}") for number in range(2, sys.maxsize))
    return next(path for path in chain((first,), numbered) if toolkit.RunFolder(path).is_free())
