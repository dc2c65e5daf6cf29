"""The figures of docs/benchmarks.md: every pair measured side by side, in fresh processes, in one run.

make bench                                    # all of them, about twenty minutes on two cores
python benchmarks/bench.py startup            # a part, printed only
python benchmarks/bench.py training cyclegan  # a part, of one paper
python benchmarks/bench.py --size small       # all of it with tiny networks, printed only: does it run?
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from papers import Paper, Size, Training, load, names

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
IMAGE = ROOT / "examples" / "images" / "chelsea.jpg"
REPORT = ROOT / "docs" / "benchmarks.md"
PROGRAM = Path(sys.executable).with_name("i2i-registry")
STARTS = 5
STEP_ROUNDS = 2
STARTED_COLD = "ugatit"
"""The paper whose first image is timed from the start of a process: most of it is the same for all papers."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the report."""

    what: str
    measured: str
    target: str = ""
    kept: bool | None = None
    """None: reported without a target"""

    def line(self) -> str:
        """As a row of a Markdown table."""
        verdict = "" if self.kept is None else ("yes" if self.kept else "**no**")
        return f"| {self.what} | {self.measured} | {self.target} | {verdict} |"


@dataclass(frozen=True, slots=True)
class Subject:
    """A paper, at the size that it is measured at."""

    name: str
    paper: Paper
    size: Size

    def row(self, what: str, measured: str, target: str = "", kept: bool | None = None) -> Row:  # noqa: FBT001 - as Row
        """Return a row that begins with the paper's title."""
        return Row(f"{self.paper.title}: {what}", measured, target, kept)

    def measure(self, kind: str, *arguments: str | Path) -> dict[str, Any]:
        """Return the JSON that `measure.py` prints in a fresh process; each kind says there what it holds."""
        command = [sys.executable, HERE / "measure.py", kind, self.name, *arguments, "--size", self.size]
        done = subprocess.run([str(part) for part in command], check=True, stdout=subprocess.PIPE, text=True)
        return json.loads(done.stdout.splitlines()[-1])


# --- Start-up ---------------------------------------------------------------------------------------------------------


def wall(*command: str | Path) -> float:
    """Seconds from start to end of a process."""
    start = time.perf_counter()
    subprocess.run([str(part) for part in command], check=True, capture_output=True)
    return time.perf_counter() - start


def fastest(*command: str | Path) -> float:
    """Return the fastest of some runs: what the work takes when nothing else does."""
    return min(wall(*command) for _ in range(STARTS))


def startup(_subjects: Sequence[Subject]) -> list[Row]:
    """Start-up of the command line and of the runtime."""
    rows: list[Row] = []
    for what, limit, command in (
        ("`i2i-registry list`", 0.35, (PROGRAM, "list")),
        ("`i2i-registry --help`", 0.35, (PROGRAM, "--help")),
        ("`import i2i_runtime`, with `load`", 0.25, (sys.executable, "-c", "import i2i_runtime; i2i_runtime.load")),
        ("(`python -c pass`)", None, (sys.executable, "-c", "pass")),
    ):
        seconds = fastest(*command)
        target = "" if limit is None else f"< {limit} s"
        rows.append(Row(what, f"{seconds:.2f} s", target, None if limit is None else seconds < limit))
    return rows


# --- Inference --------------------------------------------------------------------------------------------------------


def inference(subjects: Sequence[Subject]) -> list[Row]:
    """One image in steady state; of one paper also from a cold start."""
    rows: list[Row] = []
    for subject in subjects:
        if subject.paper.inference is None:
            continue
        with tempfile.TemporaryDirectory() as folder:
            subject.measure("prepare", folder)
            rows += steady_state(subject, subject.paper.inference.target, folder)
            if subject.paper.inference.in_common:
                rows.append(one_style(subject, folder))
            if subject.name == STARTED_COLD:
                rows += cold_start(subject, folder)
    return rows


def steady_state(subject: Subject, target: float | None, folder: str) -> list[Row]:
    """Return the bundle and eager torch in turns, in one process."""
    pairs = subject.measure("infer", folder)
    ratio = statistics.median(t / b for t, b in zip(pairs["torch"], pairs["bundle"], strict=True))
    torch_ms, bundle_ms = (1000 * statistics.median(pairs[side]) for side in ("torch", "bundle"))
    measured = f"{ratio:.2f}x ({torch_ms:.0f} ms against {bundle_ms:.0f} ms; largest difference {pairs['max_abs']:.1e})"
    shares = ", ".join(f"{kind} {share:.0%}" for kind, share in subject.measure("profile", folder).items())
    return [
        held(subject.row("an image, torch eager / bundle", measured), ratio, target),
        subject.row("where the bundle's time goes", shares),
    ]


def held(row: Row, ratio: float, target: float | None) -> Row:
    """Return the row, beside its target if it has one."""
    return row if target is None else replace(row, target=f">= {target:g}x", kept=ratio >= target)


def one_style(subject: Subject, folder: str) -> Row:
    """Check that a style is computed once for all images of a call."""
    seconds = subject.measure("several", folder)
    each, together = min(seconds["each"]), min(seconds["together"])
    what = f"{seconds['images']} images in the style of another, a call for each / one call"
    return subject.row(what, f"{each / together:.2f}x ({each:.2f} s against {together:.2f} s)")


def cold_start(subject: Subject, folder: str) -> list[Row]:
    """Time a new process, the load and the first image, in turns."""
    seconds: dict[str, list[float]] = {"bundle": [], "torch": []}
    peaks: dict[str, list[float]] = {"bundle": [], "torch": []}
    for _ in range(STARTS):
        for what in ("bundle", "torch"):
            start = time.perf_counter()
            result = subject.measure("start", folder, what, IMAGE)
            seconds[what].append(time.perf_counter() - start)
            peaks[what].append(result["peak_mb"])
    rows: list[Row] = []
    for kind, unit, values in (("cold start", "s", seconds), ("peak memory", "MB", peaks)):
        ours, theirs = min(values["bundle"]), min(values["torch"])
        digits = 2 if unit == "s" else 0
        measured = f"{ours / theirs:.0%} ({ours:.{digits}f} {unit} against {theirs:.{digits}f} {unit})"
        rows.append(subject.row(f"{kind}, bundle / torch", measured, "<= 60 %", ours <= 0.6 * theirs))
    return rows


# --- Training ---------------------------------------------------------------------------------------------------------

OFFICIAL, OURS, OURS_BF16 = "official order", "ours", "ours in bf16"


@dataclass(frozen=True, slots=True)
class Steps:
    """What several processes measured that took the same steps in the same way."""

    seconds: float
    """of the fastest step"""
    peak_gb: float
    losses: Sequence[Mapping[str, float]]
    """of each step"""

    @classmethod
    def of(cls, results: Sequence[Mapping[str, Any]]) -> Self:
        """Summarise."""
        return cls(
            seconds=min(min(result["seconds"]) for result in results),
            peak_gb=max(result["peak_mb"] for result in results) / 1000,
            losses=results[0]["losses"],
        )


def training(subjects: Sequence[Subject]) -> list[Row]:
    """One training step, official order against ours."""
    rows: list[Row] = []
    for subject in subjects:
        if subject.paper.training is None:
            continue
        steps = steps_in_turns(subject, tuple(subject.paper.training.alternatives))
        rows += compared(subject, subject.paper.training, steps)
        rows += beside_ours(subject, steps)
    return rows


def steps_in_turns(subject: Subject, alternatives: Sequence[str]) -> dict[str, Steps]:
    """Every way to take a step of this paper, each time in a process of its own."""
    ways: dict[str, tuple[str, ...]] = {OFFICIAL: ("official",), OURS: ("ours",)}
    ways |= {f"ours with {alternative}": ("ours", "--alternative", alternative) for alternative in alternatives}
    ways[OURS_BF16] = ("ours", "--precision", "bf16")
    results: dict[str, list[dict[str, Any]]] = {way: [] for way in ways}
    for _ in range(STEP_ROUNDS):
        for way, arguments in ways.items():
            results[way].append(subject.measure("step", *arguments))
    return {way: Steps.of(of_one) for way, of_one in results.items()}


def compared(subject: Subject, training: Training, steps: Mapping[str, Steps]) -> list[Row]:
    """Return the official order with ours: time and losses."""
    equal, (theirs, ours) = training.tolerance, (steps[way] for way in (OFFICIAL, OURS))
    first = difference(*({n: v for n, v in side.losses[0].items() if training.judged(n)} for side in (theirs, ours)))
    last = difference(theirs.losses[-1], ours.losses[-1])
    return [
        *times(subject, training, steps),
        subject.row(
            "largest relative difference of a loss, first step", f"{first:.1e}", f"< {equal:.0e}", first < equal
        ),
        subject.row("the same after two more steps", f"{last:.1e}"),
    ]


def times(subject: Subject, training: Training, steps: Mapping[str, Steps]) -> list[Row]:
    """Return the official order against ours in fp32; and in bf16, where the target is for the faster of both."""
    ways = {OURS: "fp32", OURS_BF16: "bf16"} if training.fastest else {OURS: "fp32"}
    faster, rows = min(ways, key=lambda way: steps[way].seconds), list[Row]()
    for way, precision in ways.items():
        theirs, ours = steps[OFFICIAL].seconds, steps[way].seconds
        measured = f"{theirs / ours:.2f}x ({theirs:.1f} s against {ours:.1f} s)"
        what = f"training step, {OFFICIAL}{' in fp32' if way != OURS else ''} / ours, {precision}"
        if way == faster and training.fastest:
            what += ", the faster of both"
        row = subject.row(what, measured)
        rows.append(held(row, theirs / ours, training.target if way == faster else None))
    return rows


def beside_ours(subject: Subject, steps: Mapping[str, Steps]) -> list[Row]:
    """Return the other ways to take our step, and the memory of all."""
    rows = [
        subject.row(
            f"training step, {way} / {OURS}", f"{other.seconds / steps[OURS].seconds:.2f}x ({other.seconds:.1f} s)"
        )
        for way, other in steps.items()
        if way not in (OFFICIAL, OURS)
    ]
    peaks = ", ".join(f"{way} {measured.peak_gb:.1f} GB" for way, measured in steps.items())
    return [*rows, subject.row("peak memory of a step", peaks)]


def difference(theirs: Mapping[str, float], ours: Mapping[str, float]) -> float:
    """Largest relative difference of a loss; both sides have the same ones."""
    if theirs.keys() != ours.keys():
        raise SystemExit(f"losses {sorted(theirs)} in the official order, and {sorted(ours)} in ours")
    return max(abs(value - ours[name]) / abs(value) for name, value in theirs.items())


# --- The report -------------------------------------------------------------------------------------------------------

SECTIONS: dict[str, Callable[[Sequence[Subject]], list[Row]]] = {
    "startup": startup,
    "inference": inference,
    "training": training,
}


def report(rows: Sequence[Row]) -> str:
    """Return the page."""
    head = (HERE / "header.md").read_text(encoding="utf-8")
    system = f"{platform.system()} {platform.machine()}, Python {platform.python_version()}"
    machine = f"{os.cpu_count()} CPUs ({processor()}), {system}"
    head_row = ["| what | measured | target | kept |", "| --- | --- | --- | --- |"]
    table = "\n".join([*head_row, *(row.line() for row in rows)])
    return f"{head}\nMeasured on {machine}.\n\n{table}\n"


def processor() -> str:
    """Name of the processor, where the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def main() -> None:
    """Measure what is named, all by default; only a full run writes the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("section", nargs="?", choices=[*SECTIONS])
    parser.add_argument("paper", nargs="?", choices=names())
    parser.add_argument("--size", choices=["full", "small"], default="full")
    arguments = parser.parse_args()
    chosen = [arguments.paper] if arguments.paper else names()
    subjects = [Subject(name, load(name), arguments.size) for name in chosen]
    rows: list[Row] = []
    for name in [arguments.section] if arguments.section else SECTIONS:
        measured = SECTIONS[name](subjects)
        print("\n".join(row.line() for row in measured), flush=True)
        rows += measured
    if arguments.section is None and arguments.size == "full":
        REPORT.write_text(report(rows), encoding="utf-8")
        print(f"wrote {REPORT.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
