"""How the recordings of the authors' PyTorch release are computed with our code.

Three kinds of file, told from the metadata's `config.kind`: forward passes of some networks ("nets"), one training
step ("train"), and pictures in and out ("prepost").
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Literal, cast

import numpy as np
import torch
from PIL import Image
from pydantic import BaseModel
from torch import Tensor, nn

from i2i_plugin_pix2pix.config import Channels, Config, Norm
from i2i_plugin_pix2pix.model import GENERATOR, Pix2Pix
from i2i_plugin_pix2pix.networks import Dropout, PatchDiscriminator, PixelDiscriminator, make_generator
from i2i_plugin_pix2pix.official import JUNYANZ_FORMAT
from i2i_plugin_pix2pix.trainer import DISCRIMINATOR, Objective, Options, Pix2PixTrainer
from i2i_registry.importing import rename
from i2i_registry.model import KeyMap
from i2i_runtime.fitting import to_picture
from i2i_toolkit.data.augment import Draws
from i2i_toolkit.data.preparation import Mode, Preparation
from i2i_toolkit.devices import open_accelerator
from i2i_toolkit.engine import Engine

if TYPE_CHECKING:
    from tests.parity.judging import Row
    from tests.parity.recording import Recording

    from i2i_registry.model import Model
    from i2i_registry.trainer import Trainer
    from i2i_runtime.operations import Record

PAPER = "pix2pix"
SOURCE = "junyanz/pytorch-CycleGAN-and-pix2pix"

# Tolerances of the recordings' README; those of `after` (absolute 2e-6 of a step of 2e-4) as a share of the movement.
FORWARD = 2e-5
STEP_LOSS = 1e-5
STEP_GRADIENT = 1e-2
STEP_AFTER = 1e-2
OPTIMIZER_ALONE = 1e-3
TRANSFORM = 1e-6
EXACT = 0.0
ONE_LEVEL = 1.0

_NORM = "(weight|bias|running_mean|running_var|num_batches_tracked)"
PIXEL_KEYS: KeyMap = (
    (r"net\.0\.(.+)", r"first.\1"),
    (r"net\.2\.(.+)", r"conv.\1"),
    (rf"net\.3\.{_NORM}", r"norm.\1"),
    (r"net\.5\.(.+)", r"to_logits.\1"),
)


class Resolved(BaseModel):
    """The options of the release that change the numbers."""

    ngf: int
    ndf: int
    netG: str  # noqa: N815 - the release's name
    netD: str  # noqa: N815
    n_layers_D: int  # noqa: N815
    norm: Norm
    no_dropout: bool
    input_nc: Channels
    output_nc: Channels
    lr: float
    beta1: float
    gan_mode: Objective
    lambda_L1: float  # noqa: N815


class Variant(BaseModel):
    """One way of preparing the recorded pair, and what was drawn for it."""

    preprocess: Mode
    load_size: int
    crop_size: int
    crop_pos: tuple[int, int]
    flip: bool
    no_flip: bool = False
    gray_A: bool = False  # noqa: N815


class Case(BaseModel):
    """The metadata's `config`."""

    kind: Literal["nets", "train", "prepost"]
    hw: tuple[int, int] = (0, 0)
    batch: int = 1
    variants: list[Variant] = []
    resolved: Resolved


def check(recording: Recording) -> Iterator[Row]:
    """Compute what was recorded and compare."""
    case = Case.model_validate(recording.config)
    kinds = {"nets": check_networks, "train": check_step, "prepost": check_pictures}
    yield from kinds[case.kind](recording, case)


# --- Names and networks -----------------------------------------------------------------------------------------------


def patch_keys(layers: int) -> KeyMap:
    """The names inside a patch discriminator of that many layers."""
    inner = [
        line
        for number in range(layers)
        for line in (
            (rf"model\.{2 + 3 * number}\.(.+)", rf"convs.{number}.\1"),
            (rf"model\.{3 + 3 * number}\.{_NORM}", rf"norms.{number}.\1"),
        )
    ]
    return (
        (r"model\.0\.(.+)", r"first.\1"),
        *inner,
        (rf"model\.{2 + 3 * layers}\.(.+)", r"to_logits.\1"),
    )


def discriminator_keys(state: Mapping[str, Tensor]) -> KeyMap:
    """The names inside the recorded discriminator, whichever it is."""
    return PIXEL_KEYS if "net.0.weight" in state else patch_keys(layer_count(state))


def layer_count(state: Mapping[str, Tensor]) -> int:
    """Layers of a patch discriminator, in the release's way of counting."""
    return (max(int(match[1]) for key in state if (match := re.match(r"model\.(\d+)\.", key))) - 2) // 3


def norm_of(state: Mapping[str, Tensor]) -> Norm:
    """The norm of a recorded discriminator."""
    return "batch" if any(key.endswith("running_mean") for key in state) else "instance"


def make_discriminator(state: Mapping[str, Tensor]) -> PatchDiscriminator | PixelDiscriminator:
    """The recorded discriminator, empty."""
    if "net.0.weight" in state:
        width, channels_in = state["net.0.weight"].shape[:2]
        return PixelDiscriminator(channels_in, width, norm_of(state))
    width, channels_in = state["model.0.weight"].shape[:2]
    return PatchDiscriminator(channels_in, width, layer_count(state), norm_of(state))


def our_key(recording: Recording, official: str, key: str) -> str:
    """Our name, inside the network, of an official tensor."""
    if official.startswith("G"):
        return str(rename(JUNYANZ_FORMAT.keys, key)).removeprefix(f"{GENERATOR}.")
    return str(rename(discriminator_keys(recording.under(f"state/{official}/")), key))


def load(network: nn.Module, official: str, recording: Recording) -> None:
    """Fill a network; every official tensor has its place, and every place its tensor."""
    state = recording.under(f"state/{official}/")
    network.load_state_dict({our_key(recording, official, key): tensor for key, tensor in state.items()})


def infer_config(recording: Recording, case: Case) -> Config:
    """The Config, told from the generator's tensors as for a checkpoint, at the recorded size."""
    state = recording.under("state/G/")
    inferred = JUNYANZ_FORMAT.infer_config({key: tuple(tensor.shape) for key, tensor in state.items()})
    update: dict[str, object] = {"image_size": case.hw[0]}
    if inferred.generator == "unet":
        update["dropout"] = not case.resolved.no_dropout
    return inferred.model_copy(update=update)


def expected_config(case: Case) -> Config:
    """The Config that the recorded options ask for."""
    options = case.resolved
    unet = options.netG.startswith("unet")
    depth = {"unet_128": 7, "unet_256": 8, "resnet_6blocks": 6, "resnet_9blocks": 9}[options.netG]
    return Config(
        generator="unet" if unet else "resnet",
        image_size=case.hw[0],
        depth=depth,
        channels=options.ngf,
        input_channels=options.input_nc,
        output_channels=options.output_nc,
        norm=options.norm,
        dropout=not options.no_dropout,
    )


# --- Forward passes ---------------------------------------------------------------------------------------------------


def check_networks(recording: Recording, case: Case) -> Iterator[Row]:
    """Every recorded network on its input, in each recorded mode."""
    for official in recording.networks():
        picture = recording.tensors.get(f"input/dis_{official}", recording.tensors["input/image"])
        if official.startswith("G"):
            config = infer_config(recording, case)
            yield recording.row(f"config of {official}", float(config != expected_config(case)), EXACT)
            network: nn.Module = make_generator(config)
        else:
            network = make_discriminator(recording.under(f"state/{official}/"))
        load(network, official, recording)
        for mode in ("eval", "train_nodrop"):
            if f"output/{mode}/{official}" in recording.tensors:
                found = forward(network, picture, mode)
                yield recording.output(f"{mode}/{official}", found, FORWARD)


@torch.no_grad()
def forward(network: nn.Module, picture: Tensor, mode: str) -> Tensor:
    """The output in evaluation mode, or with the batch's statistics and without dropout."""
    network.train(mode == "train_nodrop")
    for module in network.modules():
        if isinstance(module, Dropout):
            module.eval()
    return network(picture)


# --- One training step ------------------------------------------------------------------------------------------------


def build_trainer(recording: Recording, case: Case) -> Pix2PixTrainer:
    """The recorded networks and options."""
    state, resolved = recording.under("state/D/"), case.resolved
    pixel = "net.0.weight" in state
    options = Options(
        batch_size=case.batch,
        learning_rate=resolved.lr,
        betas=(resolved.beta1, 0.999),
        objective=resolved.gan_mode,
        l1_weight=resolved.lambda_L1,
        discriminator="pixel" if pixel else "patch",
        discriminator_layers=3 if pixel else layer_count(state),
        discriminator_channels=next(iter(make_discriminator(state).parameters())).shape[0],
    )
    built = Pix2PixTrainer(cast("Model[Record]", Pix2Pix(infer_config(recording, case))), options)
    load(built.pix2pix.generator, "G", recording)
    load(built.discriminator, "D", recording)
    return built


class OneBatch:
    """The recorded pictures, as the engine's source of samples."""

    def __init__(self, recording: Recording) -> None:
        self.batch = {"input": recording.tensors["input/A"], "target": recording.tensors["input/B"]}

    def draw(self, position: int) -> Mapping[str, Tensor]:
        return {name: pictures[position] for name, pictures in self.batch.items()}

    def preview(self, count: int) -> Mapping[str, Tensor]:
        return {name: pictures[:count] for name, pictures in self.batch.items()}

    def describe(self) -> Mapping[str, int]:
        return {name: len(pictures) for name, pictures in self.batch.items()}


NETWORKS = {"G": GENERATOR, "D": DISCRIMINATOR}


def check_step(recording: Recording, case: Case) -> Iterator[Row]:
    """One step of the real engine, and the optimizers by themselves."""
    source = OneBatch(recording)
    with torch.no_grad():
        made = build_trainer(recording, case).translate(source.batch)["fake"]
    yield recording.output("fake_B", made, FORWARD)
    built = build_trainer(recording, case)
    gradients: dict[str, Tensor | None] = {}
    terms: Mapping[str, float] = {}
    engine = Engine(cast("Trainer[Record]", built), source, accelerator=open_accelerator("cpu"))
    for report in engine.phases():
        gradients |= gradients_of(recording, built, report.phase)
        terms = report.values
        if report.step_complete:
            break
    values = losses(terms, built.options)
    for key in recording.under("loss/"):
        yield recording.loss(key, values[key], STEP_LOSS)
    for key in recording.under("grad/"):
        yield recording.gradient(key, gradients[key], STEP_GRADIENT)
    for key in recording.under("after/"):
        yield from recording.after(key, tensor_of(recording, built, key), STEP_AFTER, case.resolved.lr)
    yield from check_optimizers(recording, case)


def gradients_of(recording: Recording, built: Pix2PixTrainer, phase: str) -> dict[str, Tensor | None]:
    """The recorded parameters' gradients that a phase has just left."""
    found: dict[str, Tensor | None] = {}
    for key in recording.under("grad/"):
        official, inner = key.split("/")
        if NETWORKS[official] == phase:
            gradient = built.networks[phase].get_parameter(our_key(recording, official, inner)).grad
            found[key] = None if gradient is None else gradient.clone()
    return found


def tensor_of(recording: Recording, built: Pix2PixTrainer, key: str) -> Tensor:
    """The parameter or buffer "<official network>/<official key>"."""
    official, inner = key.split("/")
    return built.networks[NETWORKS[official]].state_dict()[our_key(recording, official, inner)]


def losses(terms: Mapping[str, float], options: Options) -> dict[str, float]:
    """The release's names: the discriminator's losses unhalved, their half sum, the generator's with weights."""
    fake, real = (2 * terms[f"discriminator/{name}"] for name in ("fake", "real"))
    adversarial, distance = terms["generator/adversarial"], terms["generator/l1"]
    return {
        "D_fake": fake,
        "D_real": real,
        "D": 0.5 * (fake + real),
        "G_GAN": adversarial,
        "G_L1": distance,
        "raw/G_L1": distance / options.l1_weight,
        "G": adversarial + distance,
    }


def check_optimizers(recording: Recording, case: Case) -> Iterator[Row]:
    """One step from the recorded gradients: a wrong optimizer apart from a wrong gradient."""
    built = build_trainer(recording, case)
    stage = built.stages()[0]
    for key, gradient in recording.under("grad/").items():
        official, inner = key.split("/")
        parameter = built.networks[NETWORKS[official]].get_parameter(our_key(recording, official, inner))
        parameter.grad = gradient.clone()
    for phase in stage.phases:
        phase.optimizer.step()
    for key in recording.under("grad/"):
        if f"after/{key}" in recording.tensors:
            movement = recording.movement(key, case.resolved.lr)
            found = tensor_of(recording, built, key)
            error = (found - movement.after).abs().max().item() / movement.scale
            yield recording.row(f"optimizer alone: {key}", error, OPTIMIZER_ALONE)


# --- Pictures in and out ----------------------------------------------------------------------------------------------


def check_pictures(recording: Recording, case: Case) -> Iterator[Row]:
    """The transforms of training, and the saved picture."""
    joined = Image.fromarray(recording.tensors["input/image"].numpy())
    half = joined.width // 2
    pictures = {
        "A": joined.crop((0, 0, half, joined.height)),
        "B": joined.crop((half, 0, joined.width, joined.height)),
    }
    for number, variant in enumerate(case.variants):
        preparation = Preparation(variant.preprocess, variant.load_size, variant.crop_size, flip=not variant.no_flip)
        left, top = variant.crop_pos
        for name, picture in pictures.items():
            channels: Channels = 1 if variant.gray_A and name == "A" else 3
            scaled = preparation.scaled(picture, channels)
            found = preparation.cut(scaled, Draws(flip=variant.flip, top=top, left=left))
            yield recording.output(f"{number}_{variant.preprocess}/{name}", found, TRANSFORM)
    generated = recording.tensors["input/generated"].numpy()
    cut = ((generated.transpose(1, 2, 0) + 1) / 2 * 255).astype(np.uint8)
    yield recording.output("tensor2im", torch.from_numpy(cut), EXACT)
    rounded = torch.from_numpy(to_picture(generated))
    yield recording.output("tensor2im", rounded, ONE_LEVEL, by="i2i_runtime, which rounds")
