"""Options that several commands have, worded once."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path

import click

from i2i_registry.actions.target import LoadOptions
from i2i_registry.sheets.files import SheetFile
from i2i_registry.sheets.sheet import MIN_CELL_PX
from i2i_runtime.image.resizing import FITS


def load_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add --device and --threads; the command gets them, and its --max-pixels and --memory, as one `load`."""

    @click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:N, tensorrt.")
    @click.option("--threads", type=click.IntRange(min=1), help="Default: the CPUs this process may use.")
    @wraps(command)
    def with_one_record(
        *arguments: object,
        device: str,
        threads: int | None,
        max_pixels: int | None = None,
        memory: str | None = None,
        **others: object,
    ) -> None:
        command(*arguments, load=LoadOptions(device, threads, max_pixels, memory), **others)

    return with_one_record


def out_option(what: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return -o, which the command gets as the path `out`; `what` it may be is its help."""
    return click.option("-o", "out", required=True, type=click.Path(path_type=Path), metavar="OUT", help=what)


def sheet_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add -o and --cell-px; the command gets them as one `sheet`."""

    @out_option("An image's name, or a .html.")
    @click.option(
        "--cell-px",
        type=click.IntRange(MIN_CELL_PX, 2048),
        default=256,
        show_default=True,
        help="Longer side of every image.",
    )
    @wraps(command)
    def with_one_record(*arguments: object, out: Path, cell_px: int, **others: object) -> None:
        command(*arguments, sheet=SheetFile(out, cell_px), **others)

    return with_one_record


images_argument = click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="IMAGE...")
fit_option = click.option("--fit", type=click.Choice(FITS), help="How images get the model's size.")
