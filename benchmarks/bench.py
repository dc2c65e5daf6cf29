"""The figures of docs/benchmarks.md: every pair measured side by side, in fresh processes, in one run.

make bench                          # all of them, about ten minutes on two cores
python benchmarks/bench.py startup  # some of them, printed only
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PICTURE = ROOT / "examples" / "pictures" / "chelsea.jpg"
REPORT = ROOT / "docs" / "benchmarks.md"
PROGRAM = Path(sys.executable).with_name("i2i-registry")
SIDE, CHANNELS = 256, 64
STARTS = 5
STEP_ROUNDS = 2
EQUAL = 1e-5
"""the tolerance of the recorded losses"""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the report."""

    what: str
    measured: str
    target: str
    kept: bool | None
    """None: reported without a target"""

    def line(self) -> str:
        """As a row of a Markdown table."""
        verdict = "" if self.kept is None else ("yes" if self.kept else "**no**")
        return f"| {self.what} | {self.measured} | {self.target} | {verdict} |"


def measure(*arguments: str | Path) -> dict[str, list[float]]:
    """The JSON that `measure.py` prints in a fresh process."""
    command = [sys.executable, str(HERE / "measure.py"), *map(str, arguments)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def wall(*command: str | Path) -> float:
    """Seconds from start to end of a process."""
    start = time.perf_counter()
    subprocess.run([str(part) for part in command], check=True, capture_output=True)
    return time.perf_counter() - start


def fastest(*command: str | Path) -> float:
    """The fastest of some runs: what the work takes when nothing else does."""
    return min(wall(*command) for _ in range(STARTS))


def startup(_folder: Path) -> list[Row]:
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


def paper_size_bundle(folder: Path) -> tuple[Path, Path]:
    """A bundle of the paper's light model at 256 px, through import and export; and its A-to-B generator's tensors."""
    prepare = [sys.executable, str(HERE / "official_checkpoint.py"), str(folder), str(CHANNELS)]
    subprocess.run(prepare, check=True)
    environment = {**os.environ, "I2I_HOME": str(folder / "home")}
    for arguments in (
        ("import", "ugatit", folder / "official.pt", "--as", "paper-size"),
        ("export", "paper-size", "--onnx", "-o", folder / "bundle"),
    ):
        subprocess.run([PROGRAM, *arguments], check=True, env=environment, capture_output=True)
    return folder / "bundle", folder / "generator.safetensors"


def inference(folder: Path) -> list[Row]:
    """One picture in steady state, and from a cold start."""
    bundle, weights = paper_size_bundle(folder)
    pairs = measure("infer", bundle, weights, str(SIDE))
    ratio = statistics.median(t / b for t, b in zip(pairs["torch"], pairs["bundle"], strict=True))
    torch_ms, bundle_ms = (1000 * statistics.median(pairs[name]) for name in ("torch", "bundle"))
    measured = f"{ratio:.2f}x ({torch_ms:.0f} ms against {bundle_ms:.0f} ms; largest difference {pairs['max_abs']:.1e})"
    rows = [Row("picture: torch eager / bundle", measured, ">= 2x", ratio >= 2)]
    shares = ", ".join(f"{kind} {share:.0%}" for kind, share in measure("profile", bundle, str(SIDE)).items())  # pyright: ignore[reportArgumentType]
    rows.append(Row("where the bundle's time goes", shares, "", None))
    return rows + cold_start(bundle, weights)


def cold_start(bundle: Path, weights: Path) -> list[Row]:
    """New process, load, first picture, in turns."""
    seconds: dict[str, list[float]] = {"bundle": [], "torch": []}
    peaks: dict[str, list[float]] = {"bundle": [], "torch": []}
    for _ in range(STARTS):
        for what, file in (("bundle", bundle), ("torch", weights)):
            start = time.perf_counter()
            result = measure("start", what, file, PICTURE)
            seconds[what].append(time.perf_counter() - start)
            peaks[what].append(float(result["peak_mb"]))  # pyright: ignore[reportArgumentType]
    rows: list[Row] = []
    for name, unit, values in (("cold start", "s", seconds), ("peak memory", "MB", peaks)):
        ours, theirs = min(values["bundle"]), min(values["torch"])
        digits = 2 if unit == "s" else 0
        measured = f"{ours / theirs:.0%} ({ours:.{digits}f} {unit} against {theirs:.{digits}f} {unit})"
        rows.append(Row(f"{name}: bundle / torch", measured, "<= 60 %", ours <= 0.6 * theirs))
    return rows


def training(_folder: Path) -> list[Row]:
    """One training step, official order against ours, in turns."""
    variants = {"official": ("official",), "ours": ("ours",), "bf16": ("ours", "--precision", "bf16")}
    results: dict[str, list[dict[str, list[float]]]] = {name: [] for name in variants}
    for _ in range(STEP_ROUNDS):
        for name, (loop, *more) in variants.items():
            results[name].append(measure("step", loop, str(SIDE), str(CHANNELS), *more))
    seconds = {name: min(min(result["seconds"]) for result in many) for name, many in results.items()}
    peak = {name: max(float(result["peak_mb"]) for result in many) for name, many in results.items()}  # pyright: ignore[reportArgumentType]
    losses = {name: many[0]["losses"] for name, many in results.items()}
    ratio, faster = seconds["official"] / seconds["ours"], seconds["official"] / seconds["bf16"]
    first, last = difference(losses, 0), difference(losses, -1)
    return [
        Row(
            "training step: official order / ours, fp32",
            f"{ratio:.2f}x ({seconds['official']:.1f} s against {seconds['ours']:.1f} s)",
            ">= 1.5x",
            ratio >= 1.5,
        ),
        Row("largest relative difference of a loss, first step", f"{first:.1e}", "< 1e-5", first < EQUAL),
        Row("the same after two more steps", f"{last:.1e}", "", None),
        Row("training step: official order / ours, bf16", f"{faster:.2f}x ({seconds['bf16']:.1f} s)", "", None),
        Row(
            "peak memory of a step: official, ours, ours in bf16",
            f"{peak['official'] / 1000:.1f} GB, {peak['ours'] / 1000:.1f} GB, {peak['bf16'] / 1000:.1f} GB",
            "",
            None,
        ),
    ]


def difference(losses: dict[str, list[float]], step: int) -> float:
    """Largest relative difference between the two loops' losses (discriminators, generators) at one step."""
    pairs = zip(losses["official"][step], losses["ours"][step], strict=True)  # pyright: ignore[reportArgumentType]
    return max(abs(a - b) / abs(a) for a, b in pairs)


SECTIONS: dict[str, Callable[[Path], list[Row]]] = {"startup": startup, "inference": inference, "training": training}


def report(rows: Sequence[Row]) -> str:
    """The page."""
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


def main(names: Sequence[str]) -> None:
    """Measure the sections that are named, all of them by default; only a full run writes the page."""
    rows: list[Row] = []
    for name in names or SECTIONS:
        with tempfile.TemporaryDirectory() as folder:
            rows += SECTIONS[name](Path(folder))
        print("\n".join(row.line() for row in rows), flush=True)
    if not names:
        REPORT.write_text(report(rows), encoding="utf-8")
        print(f"wrote {REPORT.relative_to(ROOT)}")


if __name__ == "__main__":
    main(sys.argv[1:])
