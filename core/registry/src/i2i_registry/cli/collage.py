"""`collage`: one image at every pair of scales."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from i2i_registry.actions.collage import SCALES, can_retarget, make_collage, plan_collage, read_scales
from i2i_registry.actions.request import Request
from i2i_registry.actions.target import LoadOptions, Target
from i2i_registry.cli.operating import OperationCommand, options_for, request_options, target_argument
from i2i_registry.cli.options import load_options, out_option
from i2i_registry.cli.render import json_option, show_made, tell
from i2i_registry.output_paths import check_file
from i2i_runtime.image.writing import SAVE_FORMATS, save_image
from i2i_runtime.schema.operations import Operation


class CollageCommand(OperationCommand):
    """All inputs but the image and the size, which the collage goes through."""

    def options_of(self, operation: Operation) -> list[click.Parameter]:
        """As the operation's inputs demand."""
        return options_for(*(value for value in operation.free_inputs if value is not operation.size))

    def default_operation(self, operations: Sequence[Operation], words: Sequence[str]) -> Operation:  # noqa: ARG002
        """Return the first that makes other sizes of an image."""
        return next((operation for operation in operations if can_retarget(operation)), operations[0])


@click.command(cls=CollageCommand)
@target_argument
@click.argument("image", type=click.Path(path_type=Path), metavar="IMAGE")
@out_option("The collage: an image's name.")
@click.option(
    "--scales",
    default=",".join(f"{scale:g}" for scale in SCALES),
    show_default=True,
    metavar="A,B,...",
    help="Of rows and of columns.",
)
@request_options("Default: the first that takes image and size.")
@load_options
@json_option
def collage(
    *, target: Target, request: Request, load: LoadOptions, image: Path, out: Path, scales: str, as_json: bool
) -> None:
    """Show IMAGE at every pair of a vertical and a horizontal scale, all in their own sizes.

    \b
      i2i-registry collage fruit fruit.png -o collage.png
      i2i-registry collage fruit fruit.png -o wide.png --scales 1,1.5,2
      i2i-registry collage fruit --help                   # with the options of its operation

    A row has one vertical scale, a column one horizontal scale; where both are 1 stands the image itself.
    """  # noqa: D301 - click reads the mark
    factors = read_scales(scales)
    check_file(out, SAVE_FORMATS, [image, *request.files_among_options()])
    plan = plan_collage(image, request, factors)
    with target.loaded(load, tell) as bundle:
        made = make_collage(bundle, plan)
    out.parent.mkdir(parents=True, exist_ok=True)
    save_image(made, out)
    cells = [[{"height": height, "width": width} for height, width in row] for row in plan.cells]
    show_made(out, {"out": str(out), "scales": factors, "cells": cells}, as_json=as_json)
