"""`collage`: one image at every pair of scales."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from i2i_registry.actions.collage import SCALES, can_retarget, make_collage, plan_collage, read_scales
from i2i_registry.actions.target import LoadOptions
from i2i_registry.cli.operating import OperationCommand, asked, options_for
from i2i_registry.cli.options import fit_option, load_options
from i2i_registry.cli.render import json_option, show, show_json, tell
from i2i_registry.output_paths import check_file
from i2i_runtime.image.resizing import Fit
from i2i_runtime.image.writing import SAVE_FORMATS, save_image
from i2i_runtime.kinds.base import Option
from i2i_runtime.schema.operations import Operation


class CollageCommand(OperationCommand):
    """All inputs but the image and the size, which the collage goes through."""

    def options_of(self, operation: Operation) -> list[click.Parameter]:
        """As the operation's inputs demand."""
        kept = [value for value in operation.free_inputs if value is not operation.size]
        return list({option.name: option for value in kept for option in options_for(value)}.values())

    def default_operation(self, operations: Sequence[Operation], words: Sequence[str]) -> Operation:  # noqa: ARG002
        """Return the first that makes other sizes of an image."""
        return next((operation for operation in operations if can_retarget(operation)), operations[0])


@click.command(cls=CollageCommand)
@click.argument("target", metavar="BUNDLE_OR_NAME")
@click.argument("image", type=click.Path(path_type=Path), metavar="IMAGE")
@click.option(
    "-o", "out", required=True, type=click.Path(path_type=Path), metavar="OUT", help="The collage: an image's name."
)
@click.option(
    "--scales",
    default=",".join(f"{scale:g}" for scale in SCALES),
    show_default=True,
    metavar="A,B,...",
    help="Of rows and of columns.",
)
@click.option("--operation", "operation_name", metavar="NAME", help="Default: the first that takes image and size.")
@fit_option
@load_options
@json_option
@click.pass_context
def collage(
    context: click.Context,
    /,
    *,
    image: Path,
    out: Path,
    scales: str,
    fit: Fit | None,
    load: LoadOptions,
    as_json: bool,
    **options: Option,
) -> None:
    """Show IMAGE at every pair of a vertical and a horizontal scale, all in their own sizes.

    \b
      i2i-registry collage fruit fruit.png -o collage.png
      i2i-registry collage fruit fruit.png -o wide.png --scales 1,1.5,2
      i2i-registry collage fruit --help                   # with the options of its operation

    A row has one vertical scale, a column one horizontal scale; where both are 1 stands the image itself.
    """  # noqa: D301 - click reads the mark
    target, request = asked(context, fit, options)
    factors = read_scales(scales)
    check_file(out, SAVE_FORMATS, [image, *request.files_among_options()])
    plan = plan_collage(image, request, factors)
    with target.loaded(load, tell) as bundle:
        made = make_collage(bundle, plan)
    out.parent.mkdir(parents=True, exist_ok=True)
    save_image(made, out)
    if as_json:
        cells = [[{"height": height, "width": width} for height, width in row] for row in plan.cells]
        show_json({"out": str(out), "scales": factors, "cells": cells})
    else:
        show(str(out))
