"""How `grid` and `compare` end: the sheet, what is printed of it, and the exit code."""

from __future__ import annotations

from collections.abc import Mapping

import click

from i2i_registry.actions.side_by_side import SideBySide
from i2i_registry.cli.render import show, show_json, tell
from i2i_registry.sheets.files import SheetFile


def finish_sheet(
    context: click.Context,
    made: SideBySide,
    sheet: SheetFile,
    *,
    failed: str,
    data: Mapping[str, object] | None,
) -> None:
    """Write the sheet where there is anything to show; print its place, or `data` with it.

    `failed` is how many failed, in words; where any did, the exit code is 1.
    """
    if made.has_results:
        sheet.write(made.title, made.grid())
    if data is not None:
        show_json({"out": str(sheet.path) if made.has_results else None, **data})
    elif made.has_results:
        show(str(sheet.path))
    if failed:
        tell(failed + ("" if made.has_results else f": nothing to show, {sheet.path} was not written"))
        context.exit(1)
