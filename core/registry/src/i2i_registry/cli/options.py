"""Options that several commands have, worded once."""

from __future__ import annotations

from pathlib import Path

import click

from i2i_registry.sheets.sheet import MIN_CELL_PX
from i2i_runtime.call.arguments import FITS

device_option = click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N, tensorrt.")
threads_option = click.option("--threads", type=click.IntRange(min=1), help="Default: the CPUs this process may use.")
fit_option = click.option("--fit", type=click.Choice(FITS), help="How images get the model's size.")
sheet_option = click.option(
    "-o", "out", required=True, type=click.Path(path_type=Path), metavar="OUT", help="An image's name, or a .html."
)
cell_option = click.option(
    "--cell-px",
    type=click.IntRange(MIN_CELL_PX, 2048),
    default=256,
    show_default=True,
    help="Longer side of every image.",
)
