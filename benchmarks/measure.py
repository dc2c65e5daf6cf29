"""One measurement in a fresh process; prints one line of JSON. `bench.py` runs these side by side.

python benchmarks/measure.py step official 256 64
python benchmarks/measure.py step ours 256 64 --precision bf16
python benchmarks/measure.py start bundle BUNDLE PICTURE
python benchmarks/measure.py start torch CHECKPOINT PICTURE
python benchmarks/measure.py infer BUNDLE CHECKPOINT 256
"""

from __future__ import annotations

import argparse
import json
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

THREADS = 2
BLOCKS = 4
"""residual blocks on each side, as in the paper"""
WARM_UPS = 1
TIMED_STEPS = 2
ROUNDS = 7


def peak_mb() -> float:
    """Largest resident size of this process so far, in MB (Linux counts in KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def timed(action: Callable[[], object]) -> float:
    """Seconds of wall-clock time."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def inputs(side: int) -> dict[str, Tensor]:
    """The same two random pictures for both loops, batch 1, in [-1, 1]."""
    import torch

    generator = torch.Generator().manual_seed(7)
    return {name: 2 * torch.rand(1, 3, side, side, generator=generator) - 1 for name in ("A", "B")}


def official_step(side: int, channels: int) -> dict[str, object]:
    """Steps in the order of the official release."""
    import torch
    from official_order import OfficialLoop

    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    loop = OfficialLoop(channels, BLOCKS)
    batch = inputs(side)
    losses: list[tuple[float, float]] = []
    seconds = [timed(lambda: losses.append(loop.step(batch["A"], batch["B"]))) for _ in range(WARM_UPS + TIMED_STEPS)]
    return {"seconds": seconds[WARM_UPS:], "losses": losses, "peak_mb": peak_mb()}


class OneBatch:
    """A data source that always gives the same pair."""

    def __init__(self, side: int) -> None:
        self.sample = {name: picture[0] for name, picture in inputs(side).items()}

    def draw(self, position: int) -> Mapping[str, Tensor]:  # noqa: ARG002 - every position is the same
        """The pair."""
        return self.sample

    def preview(self, count: int) -> Mapping[str, Tensor]:
        """The pair, `count` times."""
        return {name: picture.expand(count, -1, -1, -1) for name, picture in self.sample.items()}

    def describe(self) -> Mapping[str, int]:
        """One picture of each domain."""
        return dict.fromkeys(self.sample, 1)


def our_step(side: int, channels: int, precision: str) -> dict[str, object]:
    """Steps by the plugin's trainer in our engine, from the very weights of the official loop."""
    import torch
    from official_order import OfficialLoop
    from official_weights import copy_official

    from i2i_registry.discovery import discover
    from i2i_toolkit.devices import open_accelerator
    from i2i_toolkit.engine import Engine

    torch.set_num_threads(THREADS)
    registry = discover()
    model_class, trainer_class = registry.model_class("ugatit"), registry.trainer_class("ugatit")
    sizes = {"image_size": side, "channels": channels, "res_blocks": BLOCKS, "pooled_style": True}
    trainer = trainer_class(model_class(model_class.Config.model_validate(sizes)), trainer_class.Options())
    torch.manual_seed(0)
    copy_official(OfficialLoop(channels, BLOCKS), trainer)
    accelerator = open_accelerator("cpu", "bf16" if precision == "bf16" else "fp32")
    engine = Engine(trainer, OneBatch(side), accelerator=accelerator)
    reports = (report for report in engine.phases() if report.step_complete)
    losses: list[list[float]] = []

    def step() -> None:
        values = next(reports).values
        losses.append([sum(v for k, v in values.items() if k.startswith(f"{phase}/")) for phase in PHASES])

    seconds = [timed(step) for _ in range(WARM_UPS + TIMED_STEPS)]
    return {"seconds": seconds[WARM_UPS:], "losses": losses, "peak_mb": peak_mb()}


PHASES = ("discriminators", "generators")


def start_bundle(bundle: Path, picture: Path) -> dict[str, object]:
    """What an app pays before its first picture, from a bundle."""
    import i2i_runtime as i2i

    i2i.load(bundle, device="cpu", threads=THREADS).translate(picture)
    return {"peak_mb": peak_mb()}


def start_torch(weights: Path, picture: Path) -> dict[str, object]:
    """The same with torch: the generator from safetensors, resize, normalise, run, denormalise."""
    import numpy as np
    import torch
    from official_order import ResnetGenerator
    from PIL import Image
    from safetensors.torch import load_file

    torch.set_num_threads(THREADS)
    state = load_file(weights)
    generator = ResnetGenerator(state["DownBlock.1.weight"].shape[0], BLOCKS)
    generator.load_state_dict(state)
    pixels = np.asarray(Image.open(picture).convert("RGB").resize((256, 256), Image.Resampling.BILINEAR))
    x = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
    with torch.inference_mode():
        result = generator(x)[0]
    Image.fromarray(((result[0].permute(1, 2, 0) + 1) * 127.5).round().clamp(0, 255).byte().numpy())
    return {"peak_mb": peak_mb()}


def infer(bundle: Path, weights: Path, side: int) -> dict[str, object]:
    """One picture through the bundle and through the official form in eager torch, in turns."""
    import numpy as np
    import torch
    from official_order import ResnetGenerator
    from safetensors.torch import load_file

    import i2i_runtime as i2i

    torch.set_num_threads(THREADS)
    state = load_file(weights)
    generator = ResnetGenerator(state["DownBlock.1.weight"].shape[0], BLOCKS)
    generator.load_state_dict(state)
    generator.eval()
    loaded = i2i.load(bundle, device="cpu", threads=THREADS)
    domain = loaded.manifest.operations[0].steps[0].when["domain"]
    x = inputs(side)["A"]
    made: dict[str, object] = {}

    def with_torch() -> None:
        with torch.inference_mode():
            made["torch"] = generator(x)[0].numpy()

    def with_bundle() -> None:
        made["bundle"] = loaded.compute("translate", {"image": x.numpy()}, {"domain": domain}, ["image"])["image"]

    pairs = [(timed(with_torch), timed(with_bundle)) for _ in range(ROUNDS + 1)][1:]
    error = float(np.abs(np.asarray(made["torch"]) - np.asarray(made["bundle"])).max())
    return {"torch": [a for a, _ in pairs], "bundle": [b for _, b in pairs], "max_abs": error}


def profile(bundle: Path, side: int) -> dict[str, float]:
    """Share of a picture's time by kind of ONNX node, the largest first."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    options.enable_profiling = True
    options.profile_file_prefix = str(bundle / "profile")
    session = onnxruntime.InferenceSession(str(bundle / "a_to_b.onnx"), options, providers=["CPUExecutionProvider"])
    for _ in range(ROUNDS):
        session.run(["translated"], {"image": inputs(side)["A"].numpy()})
    spent: Counter[str] = Counter()
    for event in json.loads(Path(session.end_profiling()).read_text(encoding="utf-8")):
        if event["cat"] == "Node" and event["name"].endswith("kernel_time"):
            spent[event["args"]["op_name"]] += event["dur"]
    return {kind: share / spent.total() for kind, share in spent.most_common(6)}


def main() -> None:
    """Run the measurement that the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(dest="kind", required=True)
    step = kinds.add_parser("step")
    step.add_argument("loop", choices=["official", "ours"])
    step.add_argument("side", type=int)
    step.add_argument("channels", type=int)
    step.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
    start = kinds.add_parser("start")
    start.add_argument("what", choices=["bundle", "torch"])
    start.add_argument("file", type=Path)
    start.add_argument("picture", type=Path)
    inference = kinds.add_parser("infer")
    inference.add_argument("bundle", type=Path)
    inference.add_argument("weights", type=Path)
    inference.add_argument("side", type=int)
    shares = kinds.add_parser("profile")
    shares.add_argument("bundle", type=Path)
    shares.add_argument("side", type=int)
    arguments = parser.parse_args()
    if arguments.kind == "infer":
        result = infer(arguments.bundle, arguments.weights, arguments.side)
    elif arguments.kind == "profile":
        result = profile(arguments.bundle, arguments.side)
    elif arguments.kind == "start":
        result = (start_bundle if arguments.what == "bundle" else start_torch)(arguments.file, arguments.picture)
    elif arguments.loop == "official":
        result = official_step(arguments.side, arguments.channels)
    else:
        result = our_step(arguments.side, arguments.channels, arguments.precision)
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
