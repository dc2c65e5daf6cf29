"""What a person sees of a running training: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import NoReturn, TextIO

from tqdm import tqdm

from i2i_toolkit.engine.reports import PhaseReport

_LINE_SECONDS = 20.0
_MOST_LOSSES = 8
_BAR = "{desc} {percentage:3.0f}%|{bar:12}| {n}/{total} [{elapsed}, {remaining} left, {rate_fmt}] {postfix}"


class ProgressDisplay:
    """Shows the steps of a run.

    Args:
        total: steps of the whole run.
        done: steps that are complete already.
        stream: where to write; a terminal gets a bar, anything else plain lines.
    """

    def __init__(self, total: int, done: int, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._total, self._first, self._clock, self._stream = total, done, clock, stream
        self._start = self._last_line = clock()
        self._bar = _bar(total, done, stream) if stream.isatty() else None

    def phase(self, report: PhaseReport) -> None:
        """Show the losses so far, and the step when it is complete."""
        if self._bar is not None:
            self._bar.set_description_str(report.stage, refresh=False)
            self._bar.set_postfix_str(_losses(report.values), refresh=False)
            self._bar.update(int(report.step_complete))
            return
        now = self._clock()
        first_or_last = report.total_step in {self._first + 1, self._total}
        if report.step_complete and (first_or_last or now - self._last_line >= _LINE_SECONDS):
            self._last_line = now
            self._stream.write(self._line(report, now) + "\n")
            self._stream.flush()

    def close(self) -> None:
        """Leave the line that the bar is on."""
        if self._bar is not None:
            self._bar.close()

    def _line(self, report: PhaseReport, now: float) -> str:
        pace = (now - self._start) / (report.total_step - self._first)
        left = tqdm.format_interval(pace * (self._total - report.total_step))
        return f"step {report.total_step}/{self._total}  {pace:.2f} s/step  {left} left  {_losses(report.values)}"


def _bar(total: int, done: int, stream: TextIO) -> tqdm[NoReturn]:
    return tqdm(total=total, initial=done, file=stream, unit="step", bar_format=_BAR, dynamic_ncols=True)


def _losses(values: Mapping[str, float]) -> str:
    """Return the losses; where a line would not hold them, their sum for each phase."""
    losses = {name: value for name, value in values.items() if not name.startswith("rate/")}
    if len(losses) > _MOST_LOSSES:
        phases = dict.fromkeys(name.partition("/")[0] for name in losses)
        losses = {phase: sum(v for name, v in losses.items() if name.startswith(f"{phase}/")) for phase in phases}
    return "  ".join(f"{name} {value:.3g}" for name, value in losses.items())
