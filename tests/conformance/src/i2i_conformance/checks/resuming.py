"""A training that is killed between any two phases and resumed ends as if nothing had happened."""

from __future__ import annotations

from pathlib import Path

from i2i_conformance.checks.weights import same_bits
from i2i_conformance.errors import ConformanceError
from i2i_conformance.killing import train_with_kills
from i2i_conformance.promises import promised
from i2i_conformance.training import Recipe, Training


@promised("Trainer.stages")
def check_survives_kills(recipe: Recipe, training: Training, folder: Path) -> None:
    """Killed after the first occurrence of every phase of every stage, and once inside a later step: same bits."""
    end = train_with_kills(recipe, folder, kill_points(training))
    different = [name for name, tensor in training.end.items() if not same_bits(tensor, end[name])]
    if different:
        raise ConformanceError(
            found=f"after kills and resumes {different[0]} (and {len(different) - 1} more of {len(end)}) differs from "
            "the run that was left alone",
            expected="the same bits",
            fix="state outside of networks and optimizers is lost when a process dies: keep it in buffers, compute it "
            "from the step's number, and draw random numbers from torch's global generator only",
        )


def kill_points(training: Training) -> list[int]:
    """Numbers of the phases, from 1, after which a process dies: each kind of place once, never the very last."""
    places = [(report.stage, report.phase) for report in training.reports]
    kinds = {place: number for number, place in reversed(list(enumerate(places, start=1)))}
    later = len(places) - 2  # two before the end: inside a step whenever there are two phases or more
    return sorted({number for number in (*kinds.values(), later) if 1 <= number < len(places)})
