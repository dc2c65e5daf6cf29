"""Loss curves as an image, from the rows of metrics.jsonl."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from i2i_runtime.files.atomic import atomic_write

_POINTS = 400
"""a curve is drawn through the means of so many stretches at most"""


def save_curves(rows: Iterable[Mapping[str, object]], path: Path) -> None:
    """One panel per phase, one curve per loss, against the step; the loss axis is logarithmic where it can be."""
    series = _series(rows)
    panels = sorted({name.partition("/")[0] for name in series})
    if not panels:
        return
    figure = Figure(figsize=(8, 3 * len(panels)), layout="constrained")
    FigureCanvasAgg(figure)  # draws without a display
    for index, phase in enumerate(panels, start=1):
        axes = figure.add_subplot(len(panels), 1, index)
        drawn = {name.partition("/")[2]: points for name, points in series.items() if name.startswith(f"{phase}/")}
        for loss, points in drawn.items():
            thinned = _thinned(points)
            axes.plot([x for x, _ in thinned], [y for _, y in thinned], label=loss, linewidth=1)
        if all(y > 0 for points in drawn.values() for _, y in points):
            axes.set_yscale("log")
        axes.set(title=phase, xlabel="step", ylabel="loss")
        axes.legend(fontsize="x-small", ncols=2)
    with atomic_write(path) as partial:
        figure.savefig(partial, format="png", dpi=100)


def _series(rows: Iterable[Mapping[str, object]]) -> dict[str, list[tuple[float, float]]]:
    series: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        step = row["total_step"]
        for name, value in row.items():
            if "/" in name and not name.startswith("rate/") and isinstance(value, float) and isinstance(step, int):
                series.setdefault(name, []).append((step, value))
    return series


def _thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    stretch = -(-len(points) // _POINTS)
    groups = (points[i : i + stretch] for i in range(0, len(points), stretch))
    return [(sum(x for x, _ in g) / len(g), sum(y for _, y in g) / len(g)) for g in groups]
