"""What the engine tells whoever runs it after every optimizer step, and how it is asked to stop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PhaseReport:
    """What just happened: one optimizer step."""

    stage: str
    step: int
    """of the stage, from 1"""
    total_step: int
    """over all stages, from 1"""
    phase: str
    values: Mapping[str, float]
    """Of all phases of this step so far: "<phase>/<loss>" -> value, mean over processes; "rate/<phase>" -> learning
    rate of its optimizer's first group."""
    step_complete: bool
    stop: bool
    """whether any process asked to stop (see `Engine.phases`)"""


class StopRequest:
    """A flag that a signal handler, or a test, raises: training stops after the phase it is in."""

    def __init__(self) -> None:
        self.raised = False

    def __call__(self) -> None:
        """Ask to stop."""
        self.raised = True
