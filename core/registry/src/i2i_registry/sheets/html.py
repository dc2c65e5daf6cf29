"""A grid of images as one HTML file: no other file, no network, no JavaScript; readable on a phone.

Texts come from file names and manifests, so every one is escaped, and the page forbids the browser to load anything.
"""

from __future__ import annotations

import base64
from html import escape

from PIL import Image

from i2i_registry.sheets.sheet import Cell, Grid, Row
from i2i_runtime.image.writing import encode

_STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1a1a1a; --quiet: #666; --line: #ddd; --bad: #a02020; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #16181b; --ink: #e8e8e8; --quiet: #9a9a9a; --line: #34383d; --bad: #ff8f85; }
}
body { margin: 1rem; background: var(--paper); color: var(--ink); font: 15px/1.4 system-ui, sans-serif; }
h1 { font-size: 1.3rem; margin: 0 0 1rem; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
table { border-collapse: separate; border-spacing: 0; }
th, td { padding: .4rem; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
th { font-weight: 600; overflow-wrap: anywhere; }
thead th { white-space: pre-line; vertical-align: bottom; }
thead th::first-line { font-size: 1.05em; }
tr > :first-child { position: sticky; left: 0; background: var(--paper); border-right: 1px solid var(--line); }
tbody th { font-weight: 400; color: var(--quiet); }
img { display: block; height: auto; }
th img, th .refused { max-width: 36vw; margin-bottom: .3rem; }
.refused { color: var(--bad); width: 16rem; overflow-wrap: anywhere; }
"""


def html_page(title: str, grid: Grid) -> str:
    """Return the grid as a page. Its first column stays in sight while the others scroll: put the inputs there.

    Images are kept at their size and become JPEG of the quality that our own files have. What UTF-8 cannot hold
    (a file name of raw bytes) is replaced, so that the page can always be written.
    """
    head = "".join(f'<th scope="col">{_text(column)}</th>' for column in grid.columns)
    rows = "\n".join(_row(grid, row) for row in grid.rows)
    page = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{_text(title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{_text(title)}</h1>
<div class="scroll" role="region" aria-label="{_text(title)}" tabindex="0">
<table>
<thead><tr>{head}</tr></thead>
<tbody>
{rows}
</tbody>
</table>
</div>
</body>
</html>
"""
    return page.encode("utf-8", "replace").decode("utf-8")


def _row(grid: Grid, row: Row) -> str:
    """Make the first cell and the row's title the row's head."""
    names = [column.partition("\n")[0] for column in grid.columns]
    first, *others = (_cell(cell, f"{row.title}, {name}") for cell, name in zip(row.cells, names, strict=True))
    cells = "".join(f"<td>{cell}</td>" for cell in others)
    return f'<tr><th scope="row">{first}{_text(row.title)}</th>{cells}</tr>'


def _cell(cell: Cell, description: str) -> str:
    if isinstance(cell, Image.Image):
        data = base64.b64encode(encode(cell, "JPEG")).decode("ascii")
        return (
            f'<img src="data:image/jpeg;base64,{data}" width="{cell.width}" height="{cell.height}" '
            f'alt="{_text(description)}">'
        )
    return "" if cell is None else f'<div class="refused">{_text(cell)}</div>'


def _text(text: str) -> str:
    return escape(text, quote=True)
