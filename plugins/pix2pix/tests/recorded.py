"""How the recordings of the authors' PyTorch release are computed with our code.

Three kinds of file, told from the metadata's `config.kind`: forward passes of some networks ("nets"), one training
step ("train"), and pictures in and out ("prepost").
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Literal, cast

import torch
from pydantic import BaseModel
from tests.parity.preparing import Variant, check_pictures
from tests.parity.stepping import RecordedStep, load
from torch import Tensor, nn

from i2i_plugin_pix2pix.config import Config
from i2i_plugin_pix2pix.model import GENERATOR, Pix2Pix
from i2i_plugin_pix2pix.networks import Dropout, PatchDiscriminator, PixelDiscriminator, make_generator
from i2i_plugin_pix2pix.official import JUNYANZ_FORMAT
from i2i_plugin_pix2pix.trainer import DISCRIMINATOR, Options, Pix2PixTrainer
from i2i_registry.importing import rename
from i2i_registry.model import KeyMap
from i2i_toolkit.translators.architecture import Norm
from i2i_toolkit.translators.discriminators import Objective

if TYPE_CHECKING:
    from tests.parity.judging import Row
    from tests.parity.recording import Recording

    from i2i_registry.model import Model
    from i2i_runtime.operations import Record

PAPER = "pix2pix"
SOURCE = "junyanz/pytorch-CycleGAN-and-pix2pix"

# Tolerances of the recordings' README; those of `after` (absolute 2e-6 of a step of 2e-4) as a share of the movement.
FORWARD = 2e-5
STEP_LOSS = 1e-5
STEP_GRADIENT = 1e-2
STEP_AFTER = 1e-2
EXACT = 0.0

NETWORKS = {"G": GENERATOR, "D": DISCRIMINATOR}
"""official name of a network -> ours"""

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
    netG: str
    netD: str
    n_layers_D: int
    norm: Norm
    no_dropout: bool
    input_nc: int
    output_nc: int
    lr: float
    beta1: float
    gan_mode: Objective
    lambda_L1: float


class Case(BaseModel):
    """The metadata's `config`."""

    kind: Literal["nets", "train", "prepost"]
    hw: tuple[int, int] = (0, 0)
    batch: int = 1
    variants: list[Variant] = []
    resolved: Resolved


def kind_of(recording: Recording) -> str:
    """What a file holds."""
    return str(recording.config["kind"])


def check(recording: Recording) -> Iterator[Row]:
    """Compute what was recorded and compare."""
    case = Case.model_validate(recording.config)
    kinds = {"nets": check_networks, "train": check_step, "prepost": check_prepost}
    yield from kinds[case.kind](recording, case)


def check_prepost(recording: Recording, case: Case) -> Iterator[Row]:
    """Pictures in and out."""
    yield from check_pictures(recording, case.variants)


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
        load(network, official, recording, partial(our_key, recording))
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
    recorded_step(recording, case).load(built)
    return built


def recorded_step(recording: Recording, case: Case) -> RecordedStep:
    """The step with its tolerances."""
    return RecordedStep(
        recording=recording,
        names=NETWORKS,
        our_key=partial(our_key, recording),
        learning_rate=case.resolved.lr,
        loss=STEP_LOSS,
        gradient=STEP_GRADIENT,
        after=STEP_AFTER,
    )


def check_step(recording: Recording, case: Case) -> Iterator[Row]:
    """One step of the real engine, and the optimizers by themselves."""
    batch = {"input": recording.tensors["input/A"], "target": recording.tensors["input/B"]}
    with torch.no_grad():
        made = build_trainer(recording, case).translate(batch)["fake"]
    yield recording.output("fake_B", made, FORWARD)
    step, built = recorded_step(recording, case), build_trainer(recording, case)
    found = step.run(built, batch)
    yield from step.check(built, found, losses(found.terms, built.options))
    yield from step.check_optimizers(build_trainer(recording, case))


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
