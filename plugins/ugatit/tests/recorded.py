"""How the recordings of the authors' PyTorch release are computed with our code.

Three kinds of file, told from their keys: one training step ("train": there are losses), forward passes of some
networks ("nets"), and images in and out ("prepost").
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from PIL import Image
from tests.parity.comparison import Row
from tests.parity.names import our_name
from tests.parity.options import Options as RecordedOptions
from tests.parity.recording import Recording
from tests.parity.stepping import RecordedStep, StepTolerances, load
from torch import Tensor, nn

from i2i_plugin_ugatit.config import Config
from i2i_plugin_ugatit.model import UGATIT
from i2i_plugin_ugatit.networks import Discriminator, Generator
from i2i_plugin_ugatit.official import GENERATORS, ZNXLWM_FORMAT
from i2i_plugin_ugatit.trainer import SCALES, Options, UGATITTrainer, preparation
from i2i_registry import Step
from i2i_runtime import BILINEAR, ImageInput, SizeRule, fit_image, image_to_tensor, render_heatmap, tensor_to_image
from i2i_toolkit import Draws

PAPER = "ugatit"
SOURCE = "znxlwm/UGATIT-pytorch"

# Tolerances of the recordings' README; those of `after` (absolute 2e-6) as a share of the movement (1e-4).
UP_TO = 5.0  # the largest numbers that those of outputs were stated for
FORWARD = 3e-5
STEP_OUTPUT = 1e-4
STEP = StepTolerances(loss=1e-5, gradient=5e-3, after=2e-2)
TRANSFORM = 1e-6
EXACT = 0.0
OVERLAY = 5 / 255 + 1e-6  # five levels for our own resize and colour map, and rounding of the recorded fractions

BESIDE = tuple(
    f"resolved.{option}"
    for option in ("result_dir", "dataset", "print_freq", "save_freq", "device", "benchmark_flag", "resume")
)
STEPPING = tuple(
    f"resolved.{option}"
    for option in ("lr", "weight_decay", "adv_weight", "cycle_weight", "identity_weight", "cam_weight", "decay_flag")
)
"""options that decide how it is trained"""

DISCRIMINATORS = {f"dis{scale[0].upper()}{domain}": (scale, domain) for scale in SCALES for domain in "AB"}
NAMES = GENERATORS | {
    official: f"{scale}_discriminator_{domain.lower()}" for official, (scale, domain) in DISCRIMINATORS.items()
}
"""official name of a network -> ours"""

_SPECTRAL = (("bias", "bias"), ("weight_orig", "weight"), ("weight_u", "spectral.u"), ("weight_v", "spectral.v"))
_DISCRIMINATOR_PARTS = {f"model.{1 + 3 * number}": f"layers.{number}" for number in range(10)} | {
    "gap_fc": "attention.average_head",
    "gmp_fc": "attention.maximum_head",
    "conv": "to_logits",
}
DISCRIMINATOR_TABLE = {"conv1x1": "attention.merge"} | {
    f"{part}.{theirs}": f"{name}.{ours}" for part, name in _DISCRIMINATOR_PARTS.items() for theirs, ours in _SPECTRAL
}
GENERATOR_TABLE = ZNXLWM_FORMAT.table(Config(res_blocks=16))


class Resolved(RecordedOptions):
    """All options of the release, of which these change the numbers."""

    light: bool
    ch: int
    n_res: int
    n_dis: int
    img_size: int
    img_ch: int
    lr: float
    weight_decay: float
    adv_weight: float
    cycle_weight: float
    identity_weight: float
    cam_weight: float
    decay_flag: bool


class Draw(RecordedOptions):
    """What was drawn for one image of the training."""

    flip: bool
    top: int
    left: int


class Case(RecordedOptions):
    """The metadata."""

    mode: str
    kind: str
    nets: list[str]
    light: bool
    ch: int
    n_res: int
    img_size: int
    hw: tuple[int, int] | None = None
    dis_hw: tuple[int, int] | None = None
    batch: int = 1
    image_hw: tuple[int, int] | None = None
    heat_hw: tuple[int, int] | None = None
    cam_size: int = 0
    draws: tuple[Draw, ...] = ()
    resolved: Resolved

    def config(self) -> Config:
        """Ours. The light variant takes images of any size, and keeps none."""
        size = {} if self.light else {"image_size": self.img_size}
        return Config.model_validate(
            {**size, "channels": self.ch, "res_blocks": self.n_res, "pooled_style": self.light}
        )


def kind_of(recording: Recording) -> str:
    """What a file holds."""
    if recording.holds("loss/"):
        return "train"
    return "nets" if recording.holds("state/") else "prepost"


def check(recording: Recording) -> Iterator[Row]:
    """Compute what was recorded and compare."""
    case, kind = recording.options(Case), kind_of(recording)
    resolved = case.resolved
    recording.up_to = UP_TO
    recording.ignore("what it drew is recorded", "seed")
    recording.ignore("the batch is recorded", "resolved.batch_size")
    recording.ignore("where, how often and on what the release computes and writes", *BESIDE)
    recording.ignore("how long it would go on, which without decay changes no step", "resolved.iteration")
    yield recording.agrees("kind", case.kind, kind)
    yield recording.agrees("nets", sorted(case.nets), recording.networks())
    stated = (case.light, case.ch, case.n_res, case.img_size)
    yield recording.agrees("resolved", (resolved.light, resolved.ch, resolved.n_res, resolved.img_size), stated)
    yield recording.agrees("resolved.img_ch", resolved.img_ch, 3)
    for network in recording.networks():
        yield from check_sizes(recording, case, network)
    kinds = {"nets": check_networks, "train": check_step, "prepost": check_images}
    yield from kinds[kind](recording, case)


# --- Names and networks -----------------------------------------------------------------------------------------------


def our_key(network: str, key: str) -> str:
    """Our name, inside the network, of an official tensor."""
    if network in GENERATORS:
        return our_name(GENERATOR_TABLE, f"{network}.{key}", GENERATORS[network])
    return our_name(DISCRIMINATOR_TABLE, key)


def check_sizes(recording: Recording, case: Case, network: str) -> Iterator[Row]:
    """What an import tells from the tensors, or how many layers there are, against the options."""
    state = recording.under(f"state/{network}/")
    if network not in GENERATORS:
        deeper = {"global": 1, "local": -1}[DISCRIMINATORS[network][0]]
        found = layer_count(state), width_of(state)
        yield recording.agrees(f"n_dis, ch of {network}", (case.resolved.n_dis + deeper, case.ch), found)
        return
    inferred = ZNXLWM_FORMAT.infer_config({f"genA2B.{key}": tuple(t.shape) for key, t in state.items()})
    yield recording.agrees(f"config of {network}", case.config(), inferred)


def width_of(state: Mapping[str, Tensor]) -> int:
    """Channels of a discriminator's first layer."""
    return state["model.1.weight_orig"].shape[0]


def layer_count(state: Mapping[str, Tensor]) -> int:
    """Layers of a discriminator, in the release's way of counting: the last two do not downsample."""
    numbers = [int(match[1]) for key in state if (match := re.match(r"model\.(\d+)\.", key))]
    return max(numbers) // 3 + 2


def named(outputs: Sequence[Tensor], first: str) -> dict[str, Tensor]:
    """What a network returns, under the recorded names."""
    return dict(zip((first, "cam_logit", "heatmap"), outputs, strict=True))


# --- Forward passes ---------------------------------------------------------------------------------------------------


def check_networks(recording: Recording, case: Case) -> Iterator[Row]:
    """Every recorded network on its input."""
    recording.ignore("there is no step", *STEPPING)
    if all(network in GENERATORS for network in recording.networks()):
        recording.ignore("there is no discriminator", "resolved.n_dis")
    yield recording.agrees("mode", case.mode, "train" if case.mode == "train" else "eval")
    image = recording.tensors["input/image"]
    judged = recording.tensors.get("input/dis_image", image)
    yield recording.agrees("batch", case.batch, len(image))
    for option, stated, given in (("hw", case.hw, image), ("dis_hw", case.dis_hw, judged)):
        yield recording.agrees(option, stated, None if stated is None else tuple(given.shape[2:]))
    for official in recording.networks():
        if official in GENERATORS:
            network: nn.Module = Generator(case.config())
            given, first = image, "image"
        else:
            state = recording.under(f"state/{official}/")
            network = Discriminator(width_of(state), layer_count(state))
            given, first = judged, "logit"
        load(network, official, recording, our_key)
        yield from compare_outputs(recording, f"{official}/", network.train(case.mode == "train"), given, first)


@torch.no_grad()
def compare_outputs(recording: Recording, prefix: str, network: nn.Module, image: Tensor, first: str) -> Iterator[Row]:
    """A network's outputs with those recorded under output/`prefix`."""
    found = named(network(image), first)
    for key in recording.under(f"output/{prefix}"):
        yield recording.output(prefix + key, found[key], FORWARD)


# --- One training step ------------------------------------------------------------------------------------------------


def build_trainer(recording: Recording, case: Case) -> UGATITTrainer:
    """The recorded networks and options."""
    state = {scale: recording.under(f"state/dis{scale[0].upper()}A/") for scale in SCALES}
    options = Options(
        batch_size=case.batch,
        learning_rate=case.resolved.lr,
        weight_decay=case.resolved.weight_decay,
        adversarial_weight=case.resolved.adv_weight,
        cycle_weight=case.resolved.cycle_weight,
        identity_weight=case.resolved.identity_weight,
        cam_weight=case.resolved.cam_weight,
        global_layers=layer_count(state["global"]),
        local_layers=layer_count(state["local"]),
        discriminator_channels=width_of(state["global"]),
    )
    built = UGATITTrainer(UGATIT(case.config()), options)
    recorded_step(recording, case).load(built)
    return built


def recorded_step(recording: Recording, case: Case) -> RecordedStep:
    """The step with its tolerances."""
    return RecordedStep(recording, NAMES, our_key, case.resolved.lr, STEP)


def check_step(recording: Recording, case: Case) -> Iterator[Row]:
    """One step of the real engine, and the optimizers by themselves."""
    yield recording.agrees("mode", case.mode, "train")
    yield recording.agrees("resolved.decay_flag", case.resolved.decay_flag, found=False)
    built = build_trainer(recording, case)
    yield from check_evaluation(recording, built)
    step = recorded_step(recording, case)
    batch = {domain: recording.tensors[f"input/real_{domain}"] for domain in "AB"}
    yield recording.agrees("batch", case.batch, len(batch["A"]))
    yield recording.agrees("img_size", case.img_size, batch["A"].shape[-1])
    outputs = generator_side(built, batch)

    def judge(phase: str) -> None:
        if phase == "discriminators":
            outputs.update(discriminator_side(built, outputs))

    found = step.run(built, batch, watch=judge)
    for key in sorted(recording.under("output/gstep/").keys() & outputs.keys()):
        yield recording.output(f"gstep/{key}", outputs[key], STEP_OUTPUT)
    yield from step.check(built, found, losses(found.losses, built.options))
    yield from step.check_optimizers(build_trainer(recording, case))


def check_evaluation(recording: Recording, built: UGATITTrainer) -> Iterator[Row]:
    """Discriminators in evaluation mode, before the step."""
    for key in recording.under("output/eval_on_"):
        image, official, _ = key.split("/")
        network = built.all_networks[NAMES[official]].eval()
        if f"output/eval_on_{key}" not in recording.compared:
            prefix = f"eval_on_{image}/{official}/"
            yield from compare_outputs(recording, prefix, network, recording.tensors[f"input/{image}"], "logit")


@torch.no_grad()
def generator_side(built: UGATITTrainer, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What the generators make of the batch, under the release's names of variables."""
    made = built.translations(Step(1, batch, None))
    paths = {"A2B": built.a_to_b(batch["A"]), "A2A": built.b_to_a(batch["A"])}
    paths |= {"B2A": built.b_to_a(batch["B"]), "B2B": built.a_to_b(batch["B"])}
    paths |= {"A2B2A": built.b_to_a(made["B"].fake), "B2A2B": built.a_to_b(made["A"].fake)}
    found = {
        f"fake_{path}{suffix}": output
        for path, outputs in paths.items()
        for suffix, output in zip(("", "_cam_logit", "_heatmap"), outputs, strict=True)
    }
    # What the training computes in one pass for two of these goes before what they are by themselves.
    for domain, translated, own in (("B", "A2B", "B2B"), ("A", "B2A", "A2A")):
        into = made[domain]
        found |= {f"fake_{translated}": into.fake, f"fake_{translated}_cam_logit": into.fake_cam}
        found |= {f"fake_{own}": into.same, f"fake_{own}_cam_logit": into.same_cam}
    return found


@torch.no_grad()
def discriminator_side(built: UGATITTrainer, made: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What the discriminators, just updated, say of the translations; on copies, because it moves their buffers."""
    found: dict[str, Tensor] = {}
    for official, (_, domain) in DISCRIMINATORS.items():
        fake = made["fake_B2A" if domain == "A" else "fake_A2B"]
        says = named(copy.deepcopy(built.all_networks[NAMES[official]]).train()(fake), "logit")
        found |= {f"fake_{official[3:]}_{name}": value for name, value in says.items()}
    return found


def losses(reported: Mapping[str, float], options: Options) -> dict[str, float]:
    """The release's local variables: single losses without their weight, and sums of weighted ones.

    What a loss of weight 0 was without its weight cannot be told, and is left out.
    """
    weights = {"recon": ("cycle", options.cycle_weight), "identity": ("identity", options.identity_weight)}
    weights["cam"] = ("cam", options.cam_weight)
    found: dict[str, float] = {}
    for prefix, phase in (("D", "discriminators"), ("G", "generators")):
        for official, (scale, domain) in DISCRIMINATORS.items():
            for theirs, suffix in (("ad", ""), ("ad_cam", "_cam")):
                loss = reported[f"{phase}/{scale}_{domain}{suffix}"]
                if options.adversarial_weight:
                    found[f"{prefix}_{theirs}_loss_{official[3:]}"] = loss / options.adversarial_weight
        for domain in "AB":
            own = {
                name: value for name, value in reported.items() if re.fullmatch(rf"{phase}/\w+_{domain}(_cam)?", name)
            }
            found[f"{prefix}_loss_{domain}"] = sum(own.values())
    for theirs, (ours, weight) in weights.items():
        if weight:
            found |= {f"G_{theirs}_loss_{domain}": reported[f"generators/{ours}_{domain}"] / weight for domain in "AB"}
    found["Discriminator_loss"] = found["D_loss_A"] + found["D_loss_B"]
    found["Generator_loss"] = found["G_loss_A"] + found["G_loss_B"]
    return found


# --- Images in and out ----------------------------------------------------------------------------------------------


def check_images(recording: Recording, case: Case) -> Iterator[Row]:
    """The transforms of training and test, the saved image and the coloured attention."""
    recording.ignore("there is no network", "light", "ch", "n_res", "resolved.n_dis", *STEPPING)
    pixels, heatmap = recording.tensors["input/image"], recording.tensors["input/heatmap"][0].numpy()
    height, width, _ = recording.tensors["output/cam_bgr"].shape
    yield recording.agrees("mode", case.mode, "none")
    for option, stated, found in (
        ("image_hw", case.image_hw, tuple(pixels.shape[:2])),
        ("heat_hw", case.heat_hw, heatmap.shape),
        ("cam_size", case.cam_size, height),
    ):
        yield recording.agrees(option, stated, found)
    image = Image.fromarray(pixels.numpy())
    size = case.img_size
    value = ImageInput(name="image", size=SizeRule(height=size, width=size), resize=BILINEAR)
    fed = image_to_tensor(fit_image(pixels.numpy(), value, "resize").pixels)
    yield recording.output("test", torch.from_numpy(fed), TRANSFORM, by="i2i_runtime")
    way = preparation(size, Options())
    yield recording.output("test", way.fitted(image), TRANSFORM, by="i2i_toolkit")
    for number, drawn in enumerate(case.draws):
        draws = Draws(flip=drawn.flip, top=drawn.top, left=drawn.left)
        yield recording.output(f"train_{number}", way.cut(way.scaled(image), draws), TRANSFORM)
    saved = tensor_to_image(recording.tensors["input/generated"].numpy())
    yield recording.output("saved_png_rgb", torch.from_numpy(saved), EXACT)
    overlay = render_heatmap(heatmap, height, width)[..., ::-1].astype(np.float64) / 255
    yield recording.output("cam_bgr", torch.from_numpy(overlay), OVERLAY)
