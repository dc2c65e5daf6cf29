"""The numbers of a run: metrics.jsonl, TensorBoard, and the loss curves."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Self

from torch.utils.tensorboard.writer import SummaryWriter

from i2i_registry.errors import TrainingError
from i2i_runtime.files.atomic import atomic_write
from i2i_runtime.files.regular import open_regular
from i2i_runtime.type_guards import is_json_object
from i2i_runtime.untrusted_text import printable
from i2i_toolkit.engine.reports import PhaseReport
from i2i_toolkit.training.curves import save_curves
from i2i_toolkit.training.previews import in_colour
from i2i_toolkit.training.run_folder import RunFolder
from i2i_toolkit.training.sample_grids import save_grid

if TYPE_CHECKING:
    from torch import Tensor

_MOST_LINE = 1 << 20
"""bytes of a row; a step has some hundred"""

_DRAWING_SHARE = 50.0
"""curves are drawn again when so many times the drawing's own time has passed"""


class Journal:
    """Writes what happened, one line per complete step. Rows at or after `first_step` are removed on opening."""

    def __init__(self, folder: RunFolder, first_step: int) -> None:
        self._folder = folder
        _truncate(folder, first_step)
        self._metrics = folder.metrics.open("a", encoding="utf-8")
        self._drawn = self._drawing_seconds = 0.0
        self._board = SummaryWriter(str(folder.tensorboard), purge_step=first_step)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._metrics.close()
        self._board.close()

    def step(self, report: PhaseReport, seconds: float) -> None:
        """Note a complete step; `seconds` of training so far."""
        row = {"total_step": report.total_step, "stage": report.stage, "step": report.step, "seconds": seconds}
        self._metrics.write(json.dumps({**row, **report.values}) + "\n")
        self._metrics.flush()
        for name, value in report.values.items():
            self._board.add_scalar(name, value, report.total_step)

    def sample(self, columns: Mapping[str, Tensor], total_step: int) -> None:
        """Write a sample grid in colour, under its step and as the latest."""
        columns = {title: in_colour(images) for title, images in columns.items()}
        save_grid(columns, self._folder.samples / f"step-{total_step:09d}.png")
        save_grid(columns, self._folder.samples / "latest.png")
        for title, images in columns.items():
            self._board.add_images(title, (images.clamp(-1, 1) + 1) / 2, total_step)

    def draw_curves(self) -> None:
        """Draw the losses so far."""
        start = time.monotonic()
        save_curves(rows(self._folder), self._folder.curves)
        self._drawn = time.monotonic()
        self._drawing_seconds = self._drawn - start

    def draw_curves_if_cheap(self) -> None:
        """Draw them unless that would take more than a small part of the time since they were last drawn."""
        if time.monotonic() - self._drawn >= _DRAWING_SHARE * self._drawing_seconds:
            self.draw_curves()


def rows(folder: RunFolder) -> Iterator[dict[str, object]]:
    """Yield the rows of metrics.jsonl, oldest first; a last line that a kill cut short is left out.

    Raises TrainingError that names the line when the file is no such table.
    """
    if not os.path.lexists(folder.metrics):
        return
    number = 0
    try:
        with open_regular(folder.metrics) as file:
            while line := file.readline(_MOST_LINE):
                number += 1
                if line.endswith(b"\n") or len(line) == _MOST_LINE:
                    yield _row(line)
    except (OSError, ValueError, RecursionError) as error:
        raise TrainingError(
            found=f"{folder.metrics} cannot be read, line {number}: {printable(str(error))}",
            expected="one JSON object with a total_step on each line",
            fix="remove that line, or the file: it holds nothing that training needs",
        ) from error


def _row(line: bytes) -> dict[str, object]:
    row: object = json.loads(line)
    if not is_json_object(row) or type(row.get("total_step")) is not int:
        raise ValueError("it has no total_step")
    return row


def _truncate(folder: RunFolder, first_step: int) -> None:
    with atomic_write(folder.metrics) as partial, partial.open("w", encoding="utf-8") as file:
        for row in rows(folder):
            if int(str(row["total_step"])) < first_step:
                file.write(json.dumps(row) + "\n")
