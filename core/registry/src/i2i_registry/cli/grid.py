"""`grid`: every image in every look, as one image or one page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from i2i_registry.actions.grid import can_fill, make_grid, plan_looks, reference_of
from i2i_registry.actions.request import Request
from i2i_registry.actions.side_by_side import SideBySide, files_read
from i2i_registry.actions.sources import find_sources
from i2i_registry.actions.target import LoadOptions, Target
from i2i_registry.cli.operating import OperationCommand, options_for, request_options, target_argument
from i2i_registry.cli.options import images_argument, load_options, sheet_options
from i2i_registry.cli.render import json_option, tell, tell_error, tell_left_out
from i2i_registry.cli.sheet_results import finish_sheet
from i2i_registry.sheets.files import SheetFile
from i2i_runtime.kinds.base import SEED, RandomInput
from i2i_runtime.schema.operations import Operation

_SEEDS = 4


class GridCommand(OperationCommand):
    """The reference may be given several times, and so may labels."""

    def options_of(self, operation: Operation) -> list[click.Parameter]:
        """As the operation's inputs demand; `--count` where seeds are the columns."""
        reference, random = reference_of(operation), operation.of(RandomInput)
        several = {value.name for value in operation.free_inputs if value is reference or value.classes}
        own = options_for(*operation.free_inputs, several=several)
        options = [option for option in own if option.name != SEED]
        if random:
            seed = click.Option(["--seed"], type=click.IntRange(min=0), default=0, show_default=True, help="The first.")
            options.append(seed)
        if random and reference is None:
            kind = click.IntRange(min=1)
            options.append(click.Option(["--count"], type=kind, default=_SEEDS, show_default=True, help="Seeds."))
        return options

    def default_operation(self, operations: Sequence[Operation], words: Sequence[str]) -> Operation:
        """Return the first whose reference is among the options, else the first that makes many images of one."""
        flags = {word.partition("=")[0] for word in words}
        fitting = [operation for operation in operations if can_fill(operation)]
        for operation in fitting:
            reference = reference_of(operation)
            if reference and f"--{reference.name.replace('_', '-')}" in flags:
                return operation
        return (fitting or operations)[0]


@click.command(cls=GridCommand)
@target_argument
@images_argument
@sheet_options
@request_options("Default: the first that the options fit.")
@load_options
@json_option
@click.pass_context
def grid(
    context: click.Context,
    /,
    *,
    target: Target,
    request: Request,
    load: LoadOptions,
    images: tuple[Path, ...],
    sheet: SheetFile,
    as_json: bool,
    count: int = _SEEDS,
) -> None:
    """Put images and folders into rows, and looks into columns: references, or seeds.

    \b
      i2i-registry grid shoes edges/ -o styles.png --count 8                # a column for each seed
      i2i-registry grid pets me.jpg -o all.png --domain cat --domain dog    # the seeds of each domain
      i2i-registry grid pets photos/ -o like.png --reference cats/ --domain cat
      i2i-registry grid pets photos/ -o like.png --reference tom.jpg --domain cat --reference rex.jpg --domain dog
      i2i-registry grid faces photos/ -o like.png --references lions/ --references foxes/   # a column for each class
      i2i-registry grid pets --help                                         # with the options of its operation

    A look is computed once for all images. An image that cannot be read, or is refused, has the reason in its cell,
    and the exit code is 1.
    """  # noqa: D301 - click reads the mark
    looks = plan_looks(request, count, sheet.path, tell_left_out)
    sources = find_sources(images, sheet.path, tell_left_out)
    rows = len(sources) + any(look.image for look in looks)
    sheet.check(len(looks) + 1, rows, files_read(sources, [look.request for look in looks]))
    for look in looks:
        look.request.check()
    with target.loaded(load, tell) as bundle:
        made = make_grid(bundle, sources, looks, sheet.cell_px)
    failed = _failures(made)
    words = f"{len(failed)} of {len(sources)} failed" if failed else ""
    data = {"looks": [look.title for look in looks], "failed": failed} if as_json else None
    finish_sheet(context, made, sheet, failed=words, data=data)


def _failures(made: SideBySide) -> list[dict[str, str]]:
    """Return the images that failed, each with its first error, which is told."""
    failed: list[dict[str, str]] = []
    for source, cells in made.by_image():
        error = next((cell.error for cell in cells if cell.error), None)
        if error is not None:
            tell_error(error)
            failed.append({"input": str(source.path), "error": error.found})
    return failed
