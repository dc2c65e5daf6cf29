"""`grid`: every image in every look, as one image or one page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import click

from i2i_registry.actions import grid as grids
from i2i_registry.actions.export import bundle_of
from i2i_registry.actions.grid import (
    Look,
    Made,
    Settings,
    can_fill,
    draw_grid,
    is_random,
    looks_like,
    looks_of_seeds,
    reference_of,
)
from i2i_registry.actions.run import collect
from i2i_registry.cli.operating import SEED, OperationCommand, given_inputs, options_for
from i2i_registry.cli.options import cell_option, device_option, fit_option, sheet_option, threads_option
from i2i_registry.cli.render import json_option, show, show_json, tell, tell_error, tell_left_out
from i2i_registry.cli.session import Session
from i2i_registry.cli.sheet import check_out, write_grid
from i2i_registry.output_paths import check_inputs_survive
from i2i_registry.sheets.sheet import check_shown
from i2i_runtime.bundle import load
from i2i_runtime.call.arguments import Option, main_image
from i2i_runtime.errors import UsageError
from i2i_runtime.schema.operations import Fit, LabelInput, Operation

_SEEDS = 4


class GridCommand(OperationCommand):
    """The reference may be given several times, and so may labels."""

    def options_of(self, operation: Operation) -> list[click.Parameter]:
        """As the operation's inputs demand; `--count` where seeds are the columns."""
        main, reference = main_image(operation), reference_of(operation)
        seeded = any(map(is_random, operation.inputs))
        options: list[click.Parameter] = [
            option
            for value in operation.inputs
            if value is not main and not is_random(value)
            for option in options_for(value, multiple=value is reference or isinstance(value, LabelInput))
        ]
        if seeded:
            seed = click.Option(["--seed"], type=click.IntRange(min=0), default=0, show_default=True, help="The first.")
            options.append(seed)
        if seeded and reference is None:
            kind = click.IntRange(min=1)
            options.append(click.Option(["--count"], type=kind, default=_SEEDS, show_default=True, help="Seeds."))
        return options

    def default_operation(self, operations: Sequence[Operation], words: Sequence[str]) -> Operation:
        """The first whose reference is among the options, else the first that makes many images of one."""
        flags = {word.partition("=")[0] for word in words}
        fitting = [operation for operation in operations if can_fill(operation)]
        for operation in fitting:
            reference = reference_of(operation)
            if reference and f"--{reference.name.replace('_', '-')}" in flags:
                return operation
        return (fitting or operations)[0]


@click.command(cls=GridCommand)
@click.argument("target", metavar="BUNDLE_OR_NAME")
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="IMAGE...")
@sheet_option
@click.option("--operation", "operation_name", metavar="NAME", help="Default: the first that the options fit.")
@fit_option
@cell_option
@device_option
@threads_option
@json_option
@click.pass_context
def grid(
    context: click.Context,
    /,
    *,
    target: str,
    images: tuple[Path, ...],
    out: Path,
    operation_name: str | None,  # noqa: ARG001 - taken in the first pass
    fit: Fit | None,
    cell_px: int,
    device: str,
    threads: int | None,
    as_json: bool,
    **options: object,
) -> None:
    """Put images and folders into rows, and looks into columns: references, or seeds.

    \b
      i2i-registry grid shoes edges/ -o styles.png --count 8                # a column for each seed
      i2i-registry grid pets me.jpg -o all.png --domain cat --domain dog    # the seeds of each domain
      i2i-registry grid pets photos/ -o like.png --reference cats/ --domain cat
      i2i-registry grid pets photos/ -o like.png --reference tom.jpg --domain cat --reference rex.jpg --domain dog
      i2i-registry grid pets --help                                         # with the options of its operation

    A look is computed once for all images. An image that cannot be read, or is refused, has the reason in its cell,
    and the exit code is 1.
    """  # noqa: D301 - click reads the mark
    session = context.ensure_object(Session)
    settings, looks = _read_options(cast("Operation", context.meta[Operation.__name__]), options, out, fit, cell_px)
    sources = collect(images, out, scanned=tell_left_out)
    headed = any(look.image for look in looks)
    check_out(out, len(looks) + 1, len(sources) + headed, cell_px)
    paths = [path for path, _ in sources]
    check_inputs_survive(out, [*paths, *(look.image for look in looks if look.image)])
    grids.check(settings, looks)

    path = context.with_resource(bundle_of(session.registry, session.store, target, tell))
    with load(path, device=device, threads=threads) as bundle:
        tell(bundle.report)
        columns = list(grids.make(bundle, paths, looks, settings))
        title = f"{bundle.manifest.name}: {settings.operation.name}"
    failed = _failures(paths, columns)
    drawn = any(made.image for column in columns[1:] for made in column)
    if drawn:
        write_grid(out, title, draw_grid([place for _, place in sources], looks, columns, cell_px), cell_px)
    if as_json:
        errors = [{"input": str(source), "error": error} for source, error in failed.items()]
        show_json({"out": str(out) if drawn else None, "looks": [look.title for look in looks], "failed": errors})
    elif drawn:
        show(str(out))
    if failed:
        tell(f"{len(failed)} of {len(paths)} failed" + ("" if drawn else f": nothing to show, {out} was not written"))
        context.exit(1)


def _read_options(
    operation: Operation, options: Mapping[str, object], out: Path, fit: Fit | None, cell_px: int
) -> tuple[Settings, list[Look]]:
    if not can_fill(operation):
        raise UsageError(
            found=f"{operation.name} makes one image of each",
            expected="an operation with a second image, or with a seed: they are the columns",
            fix="i2i-registry run",
        )
    check_shown(operation)
    given, reference = given_inputs(options), reference_of(operation)
    labels = {value.name: _classes(value, given) for value in operation.inputs if isinstance(value, LabelInput)}
    seed = cast("int", options.get(SEED, 0))
    if reference is None:
        seeds = range(seed, seed + cast("int", options["count"]))
        looks = looks_of_seeds(operation, seeds, labels)
    else:
        places = [Path(text) for text in cast("Sequence[str]", given[reference.name])]
        looks = looks_like(operation, [path for path, _ in collect(places, out, scanned=tell_left_out)], labels, seed)
    varied = {*labels, *([reference.name] if reference else [])}
    same = {name: value for name, value in given.items() if name not in varied}
    return Settings(operation, same, fit, cell_px), looks


def _classes(label: LabelInput, given: Mapping[str, Option]) -> Sequence[str]:
    named = cast("Sequence[str]", given.get(label.name, ()))
    return named or ([label.default] if label.default else [])


def _failures(sources: Sequence[Path], columns: Sequence[Sequence[Made]]) -> dict[Path, str]:
    """The images that failed, each with its first error, which is told."""
    failed: dict[Path, str] = {}
    for number, source in enumerate(sources):
        error = next((column[number].error for column in columns if column[number].error), None)
        if error is not None:
            tell_error(error)
            failed[source] = error.found
    return failed
