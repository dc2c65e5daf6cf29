"""One measurement in a fresh process; prints one line of JSON. `bench.py` runs these side by side.

python benchmarks/measure.py step cyclegan official
python benchmarks/measure.py step cyclegan ours --precision bf16
python benchmarks/measure.py prepare cyclegan FOLDER           # the bundle and the weights that the next ones take
python benchmarks/measure.py infer cyclegan FOLDER
python benchmarks/measure.py several stargan2 FOLDER
python benchmarks/measure.py profile cyclegan FOLDER
python benchmarks/measure.py start ugatit FOLDER bundle IMAGE
"""

from __future__ import annotations

import argparse
import hashlib
import json
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from papers import Inference, Size, Training, load, names

if TYPE_CHECKING:
    from torch import nn

    from i2i_registry.interfaces.model import Model
    from i2i_runtime.records import Record

THREADS = 2
WARM_UPS = 1
TIMED_STEPS = 2
ROUNDS = 7
SEVERAL = 4
"""images in one style"""
SEVERAL_ROUNDS = 3


def peak_mb() -> float:
    """Largest resident size of this process so far, in MB (Linux counts in KiB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def timed(action: Callable[[], object]) -> float:
    """Seconds of wall-clock time."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


# --- Training ---------------------------------------------------------------------------------------------------------


def step(arguments: argparse.Namespace) -> dict[str, object]:
    """Return some steps: seconds of each without the first, losses of each, and the memory they took."""
    import torch

    torch.set_num_threads(THREADS)
    training = training_of(arguments.paper)
    if arguments.loop == "official":
        loop, batch = training.official(arguments.size), training.batch(arguments.size)

        def take() -> Mapping[str, float]:
            return loop.step(batch)

    else:
        take = our_stepper(training, arguments.size, arguments.precision, arguments.alternative)
    losses: list[Mapping[str, float]] = []
    seconds = [timed(lambda: losses.append(take())) for _ in range(WARM_UPS + TIMED_STEPS)]
    return {"seconds": seconds[WARM_UPS:], "losses": losses, "peak_mb": peak_mb()}


def our_stepper(
    training: Training, size: Size, precision: str, alternative: str | None
) -> Callable[[], Mapping[str, float]]:
    """Our engine and trainer, from the very weights of the official loop."""
    from papers._loops import our_step

    trainer = training.ours(size, training.official(size))
    if alternative:
        training.alternatives[alternative](trainer)
    chosen = "bf16" if precision == "bf16" else "fp32"
    advance = our_step(trainer, training.batch(size), chosen, training.stage(size))
    return lambda: training.losses(advance())


def training_of(paper: str) -> Training:
    """Of a paper that has one."""
    training = load(paper).training
    if training is None:
        raise SystemExit(f"{paper}: no training is measured")
    return training


# --- Inference --------------------------------------------------------------------------------------------------------


def prepare(arguments: argparse.Namespace) -> dict[str, object]:
    """Write the release's generator, with random weights, and our bundle with the same."""
    import torch
    from safetensors.torch import save_file

    inference = inference_of(arguments.paper)
    torch.manual_seed(0)
    eager = inference.eager(arguments.size)
    leave_start(eager)
    save_file({key: value.contiguous() for key, value in eager.state_dict().items()}, weights_in(arguments.folder))
    export(arguments.paper, inference.ours(arguments.size, eager), bundle_in(arguments.folder))
    return {}


def weights_in(folder: Path) -> Path:
    """Where `prepare` writes the release's generator."""
    return folder / "eager.safetensors"


def bundle_in(folder: Path) -> Path:
    """Where `prepare` writes the bundle."""
    return folder / "bundle"


def leave_start(network: nn.Module) -> None:
    """Draw all vectors anew: a norm that scales by 1, or a ratio of 0, would hide an error in what it stands for."""
    import torch

    with torch.no_grad():
        for tensor in network.state_dict().values():
            if tensor.is_floating_point() and tensor.numel() == max(tensor.shape, default=1):
                tensor.uniform_(0.1, 0.9)


def export(name: str, model: Model[Record], destination: Path) -> None:
    """Write a bundle of `model` with the weights that it has."""
    from i2i_registry.interfaces.cards import Trained, WeightsCard
    from i2i_registry.interfaces.exporter import ExportOptions
    from i2i_registry.plugins.discovery import discover
    from i2i_runtime.attribution import Licence

    card = WeightsCard(
        name="benchmark",
        model=name,
        config=model.config.model_dump(mode="json"),
        licence=Licence(spdx="CC0-1.0"),
        provenance=Trained(data="nothing", command="make bench", seed=0, steps=0),
        plugin=f"i2i-plugin-{name}",
        sha256=hashlib.sha256(b"").hexdigest(),
        size=1,
    )
    exporter = discover().exporter("onnx")
    exporter.export(model, card, destination, ExportOptions(), lambda _line: None)


def inference_of(paper: str) -> Inference:
    """Of a paper that has one."""
    inference = load(paper).inference
    if inference is None:
        raise SystemExit(f"{paper}: no inference is measured")
    return inference


def read_eager(inference: Inference, arguments: argparse.Namespace) -> nn.Module:
    """Return the release's generator as `prepare` wrote it."""
    from safetensors.torch import load_file

    eager = inference.eager(arguments.size)
    eager.load_state_dict(load_file(weights_in(arguments.folder)))
    return eager.eval()


def infer(arguments: argparse.Namespace) -> dict[str, object]:
    """One image through the bundle and through the release's generator in eager torch, in turns."""
    import numpy as np
    import torch

    import i2i_runtime as i2i

    torch.set_num_threads(THREADS)
    inference = inference_of(arguments.paper)
    eager = read_eager(inference, arguments)
    loaded = i2i.load(bundle_in(arguments.folder), device="cpu", threads=THREADS)
    inputs = inference.inputs(arguments.size)
    values = {name: tensor.numpy() for name, tensor in {**inputs, **inference.also(arguments.size)}.items()}
    made: dict[str, object] = {}

    def with_torch() -> None:
        with torch.inference_mode():
            made["torch"] = eager(*inputs.values()).numpy()

    def with_bundle() -> None:
        made["bundle"] = loaded.compute(inference.operation, values, inference.labels, [inference.output])

    pairs = [(timed(with_torch), timed(with_bundle)) for _ in range(ROUNDS + 1)][1:]
    of_bundle = loaded.compute(inference.operation, values, inference.labels, [inference.output])[inference.output]
    error = float(np.abs(np.asarray(made["torch"]) - of_bundle).max())
    return {"torch": [a for a, _ in pairs], "bundle": [b for _, b in pairs], "max_abs": error}


def several(arguments: argparse.Namespace) -> dict[str, object]:
    """Several images in one style: in one call, and in a call for each, in turns."""
    import numpy as np
    from PIL import Image

    import i2i_runtime as i2i

    inference = inference_of(arguments.paper)
    loaded = i2i.load(bundle_in(arguments.folder), device="cpu", threads=THREADS)
    draw = np.random.default_rng(7)
    sources = [Image.fromarray(draw.integers(0, 256, (256, 256, 3), dtype=np.uint8)) for _ in range(SEVERAL + 1)]
    given = {name: label or sources[-1] for name, label in inference.in_common.items()}
    # pyright cannot know that no input is called like an argument of `run`
    run = partial(loaded.run, inference.operation, **given)  # pyright: ignore[reportArgumentType]

    def in_one_call() -> None:
        run(sources[:-1])

    def one_by_one() -> None:
        for source in sources[:-1]:
            run(source)

    pairs = [(timed(one_by_one), timed(in_one_call)) for _ in range(SEVERAL_ROUNDS + 1)][1:]
    return {"each": [a for a, _ in pairs], "together": [b for _, b in pairs], "images": SEVERAL}


def profile(arguments: argparse.Namespace) -> dict[str, object]:
    """Share of the time of an operation's graphs by kind of ONNX node, the largest first."""
    import numpy as np

    from i2i_runtime import read_manifest
    from i2i_runtime.device import providers as devices

    inference, bundle = inference_of(arguments.paper), bundle_in(arguments.folder)
    operation = next(o for o in read_manifest(bundle).operations if o.name == inference.operation)
    tensors = {**inference.inputs(arguments.size), **inference.also(arguments.size)}
    values = {name: tensor.numpy() for name, tensor in tensors.items()}
    onnxruntime = devices.onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = THREADS
    options.enable_profiling = True
    options.profile_file_prefix = str(arguments.folder / "profile")
    spent: Counter[str] = Counter()
    for step in operation.steps_for(dict(inference.labels)):
        file = str(bundle / f"{step.graph}.onnx")
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        feeds, made = {name: values[value] for name, value in step.inputs.items()}, []
        feeds |= {name: np.full(1, number, np.float32) for name, number in step.constants.items()}
        for _ in range(ROUNDS):
            made = session.run(list(step.outputs), feeds)
        values |= dict(zip(step.outputs.values(), made, strict=True))
        for event in json.loads(Path(session.end_profiling()).read_text(encoding="utf-8")):
            if event["cat"] == "Node" and event["name"].endswith("kernel_time"):
                spent[event["args"]["op_name"]] += event["dur"]
    return {kind: share / spent.total() for kind, share in spent.most_common(6)}


# --- A cold start -----------------------------------------------------------------------------------------------------


def start(arguments: argparse.Namespace) -> dict[str, object]:
    """Return what an app pays before its first image."""
    (start_bundle if arguments.what == "bundle" else start_torch)(arguments)
    return {"peak_mb": peak_mb()}


def start_bundle(arguments: argparse.Namespace) -> None:
    """From a bundle."""
    import i2i_runtime as i2i

    i2i.load(bundle_in(arguments.folder), device="cpu", threads=THREADS).translate(arguments.image)


def start_torch(arguments: argparse.Namespace) -> None:
    """With torch: the generator from safetensors, resize, normalise, run, denormalise."""
    import numpy as np
    import torch
    from PIL import Image

    torch.set_num_threads(THREADS)
    generator = read_eager(inference_of(arguments.paper), arguments)
    pixels = np.asarray(Image.open(arguments.image).convert("RGB").resize((256, 256), Image.Resampling.BILINEAR))
    x = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 127.5 - 1
    with torch.inference_mode():
        result = generator(x)
    Image.fromarray(((result[0].permute(1, 2, 0) + 1) * 127.5).round().clamp(0, 255).byte().numpy())


def main() -> None:
    """Run the measurement that the arguments name."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    kinds = parser.add_subparsers(required=True)
    for measurement in (step, prepare, infer, several, profile, start):
        kind = kinds.add_parser(measurement.__name__, help=measurement.__doc__)
        kind.set_defaults(measurement=measurement)
        kind.add_argument("paper", choices=names())
        kind.add_argument("--size", choices=["full", "small"], default="full")
        if measurement is step:
            kind.add_argument("loop", choices=["official", "ours"])
            kind.add_argument("--precision", choices=["fp32", "bf16"], default="fp32")
            kind.add_argument("--alternative")
        else:
            kind.add_argument("folder", type=Path)
        if measurement is start:
            kind.add_argument("what", choices=["bundle", "torch"])
            kind.add_argument("image", type=Path)
    arguments = parser.parse_args()
    sys.stdout.write(json.dumps(arguments.measurement(arguments)) + "\n")


if __name__ == "__main__":
    main()
