"""A training session as a person sees it: lines, progress, and what to do next."""

from __future__ import annotations

from typing import TextIO

from i2i_registry.weights.catalogue import Catalogue
from i2i_runtime.untrusted_text import printable
from i2i_toolkit.engine.reports import StopRequest
from i2i_toolkit.training.progress import ProgressDisplay
from i2i_toolkit.training.run_folder import RunFolder
from i2i_toolkit.training.session import SessionOutcome, SessionStart, Show, TrainingSession

_LINE = 4096
"""characters of a line, which names a path"""


def run_training(folder: RunFolder, catalogue: Catalogue, *, stop: StopRequest, stream: TextIO) -> SessionOutcome:
    """Go on with a run in this process, and tell `stream` about it."""
    shown: list[ProgressDisplay] = []

    def say(line: str) -> None:
        stream.write(printable(line, _LINE) + "\n")
        stream.flush()

    def show(start: SessionStart) -> Show:
        shown.append(ProgressDisplay(start.total_steps, start.done, stream))
        return shown[0].phase

    try:
        outcome = TrainingSession(folder, catalogue, stop=stop, say=say, show=show).run()
    finally:
        for progress in shown:
            progress.close()
    if outcome.card is not None:
        say(f"weights: {outcome.card.reference} ({folder.weights})")
        say(f"next: i2i-registry export {outcome.card.name} --onnx")
    elif not outcome.complete:
        say(f"saved after step {outcome.total_step}; go on with: i2i-registry train --resume {folder.path}")
        if outcome.total_step:
            say(f"or use it as it is: i2i-registry save {folder.path}")
    return outcome
