"""How the recordings of the authors' release are computed with our code.

Three kinds of file, told from their keys: one training step ("train": there are losses), forward passes of all
networks ("nets"), and images in and out ("prepost").
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Literal

import torch
from tests.parity.comparison import Row
from tests.parity.junyanz import Variant, check_images, check_shared_options, ignore, kind_of
from tests.parity.names import our_name
from tests.parity.options import Options as RecordedOptions
from tests.parity.recording import Recording
from tests.parity.stepping import OurKey, RecordedStep, StepTolerances, load
from torch import Tensor

from i2i_plugin_bicyclegan.config import Config
from i2i_plugin_bicyclegan.model import BicycleGAN
from i2i_plugin_bicyclegan.networks import Discriminator
from i2i_plugin_bicyclegan.official import RELEASE_FORMAT
from i2i_plugin_bicyclegan.trainer import ENCODED, RANDOM, SHARED, BicycleGANTrainer, Options
from i2i_runtime import lerp, slerp

__all__ = ["PAPER", "SOURCE", "check", "kind_of"]

PAPER = "bicyclegan"
SOURCE = "junyanz/BicycleGAN"

# Tolerances of the recordings' README; that of `after` (absolute 2e-6) as a share of the movement (2e-4).
UP_TO = 5.0  # the largest numbers that those of outputs were stated for
FORWARD = 5e-5
STEP_GRADIENT_L2 = 1.5e-2
STEP = StepTolerances(loss=1e-5, gradient=3e-2, after=1e-2)
INTERPOLATED = 1e-6

# What the release calls these.
ACTIVATIONS: Mapping[str, Literal["relu", "leaky_relu", "elu"]] = {"relu": "relu", "lrelu": "leaky_relu", "elu": "elu"}
OBJECTIVES: Mapping[str, Literal["least_squares", "logistic", "wasserstein"]] = {
    "lsgan": "least_squares",
    "vanilla": "logistic",
    "wgangp": "wasserstein",
}
UPSAMPLINGS = {"basic": "transposed", "bilinear": "bilinear"}
ENCODERS = {"resnet": "resnet", "conv": "cnn"}
KERNEL = 4
"""axes of a convolution's weights"""
DISCRIMINATOR_LAYERS = {"basic_128_multi": 2, "basic_256_multi": 3}

NETWORKS = (
    *(
        "input_nc",
        "output_nc",
        "nz",
        "ngf",
        "nef",
        "ndf",
        "netG",
        "netE",
        "netD",
        "netD2",
        "num_Ds",
        "norm",
        "upsample",
    ),
    *("nl", "where_add", "conditional_D", "use_same_D", "use_dropout"),
)
"""options that decide the networks"""
STEPPING = ("gan_mode", "lr", "beta1", "lambda_L1", "lambda_GAN", "lambda_GAN2", "lambda_z", "lambda_kl")
"""options that decide how they are trained"""


class Resolved(RecordedOptions):
    """All options of the release, of which these change the numbers."""

    input_nc: int
    output_nc: int
    nz: int
    ngf: int
    nef: int
    ndf: int
    netG: str
    netE: str
    netD: str
    netD2: str
    num_Ds: int
    norm: Literal["instance", "batch", "none"]
    upsample: str
    nl: str
    where_add: Literal["all", "input"]
    conditional_D: bool
    use_same_D: bool
    use_dropout: bool
    direction: str
    batch_size: int
    gan_mode: str
    lr: float
    beta1: float
    lambda_L1: float
    lambda_GAN: float
    lambda_GAN2: float
    lambda_z: float
    lambda_kl: float


class Case(RecordedOptions):
    """The metadata."""

    mode: str
    kind: str
    modes: tuple[Literal["eval", "train"], ...] = ()
    size: int = 0
    dsize: int | None = None
    batch: int = 2
    opt: dict[str, object] | None = None
    image_hw: tuple[int, int] | None = None
    variants: tuple[Variant, ...] = ()
    num_frames: int = 0
    resolved: Resolved


def check(recording: Recording) -> Iterator[Row]:
    """Compute what was recorded and compare."""
    case, kind = recording.options(Case), kind_of(recording)
    recording.up_to = UP_TO
    ignore(recording, "only for the release's test script", "no_encode")
    yield from check_shared_options(
        recording, kind=case.kind, mode=case.mode, modes=case.modes, direction=case.resolved.direction, opt=case.opt
    )
    if kind == "prepost":
        ignore(recording, "there is no network", *NETWORKS, "batch_size")
    else:
        yield from check_sizes(recording, case)
    if kind != "train":
        ignore(recording, "there is no step", *STEPPING)
    kinds = {"nets": check_networks, "train": check_step, "prepost": check_prepost}
    yield from kinds[kind](recording, case)


# --- Names and networks -----------------------------------------------------------------------------------------------


def names_of(case: Case) -> Mapping[str, str]:
    """Official name of a network -> ours."""
    encoded = SHARED if case.resolved.use_same_D else ENCODED
    discriminators = {"D": f"discriminator_{encoded}", "D2": f"discriminator_{RANDOM}"}
    return {"G": "generator", "E": "encoder", **discriminators}


def discriminator_key(state: Mapping[str, Tensor], key: str) -> str:
    """Inside a discriminator: convolutions in a row, each but the first and the last with a norm behind it or not."""
    place, number, leaf = key.split(".")
    convolutions = [int(k.split(".")[1]) for k, t in state.items() if k.startswith(f"{place}.") and t.dim() == KERNEL]
    convolutions.sort()
    scale = place.removeprefix("model").removeprefix("_") or "0"
    if int(number) == convolutions[-1]:
        return f"scales.{scale}.to_logits.{leaf}"
    part, before = ("conv", int(number)) if int(number) in convolutions else ("norm", int(number) - 1)
    return f"scales.{scale}.layers.{convolutions.index(before)}.{part}.{leaf}"


def our_key_of(recording: Recording, case: Case) -> OurKey:
    """Our name, inside the network, of an official tensor; without norms the release counts in another way."""
    table = RELEASE_FORMAT.table(stated_config(case))

    def our_key(network: str, key: str) -> str:
        if network in ("G", "E"):
            return our_name(table, f"{network}.{key}", names_of(case)[network])
        return discriminator_key(recording.under(f"state/{network}/"), key)

    return our_key


def stated_config(case: Case) -> Config:
    """The Config that the recorded options ask for."""
    options = case.resolved
    encoder, _, side = options.netE.partition("_")
    if int(side) != case.size:
        raise ValueError(f"netE is {options.netE!r}, and the images have {case.size} pixels a side")
    match = re.fullmatch(r"unet_(\d+)", options.netG)
    if match is None:
        raise ValueError(f"netG is {options.netG!r}, which is no generator of the release")
    return Config.model_validate(
        {
            "image_size": case.size,
            "levels": int(match[1]).bit_length() - 1,
            "source_channels": options.input_nc,
            "target_channels": options.output_nc,
            "latent_dim": options.nz,
            "latent_at": options.where_add,
            "upsampling": UPSAMPLINGS[options.upsample],
            "activation": ACTIVATIONS[options.nl],
            "norm": options.norm,
            "channels": options.ngf,
            "encoder": ENCODERS[encoder],
            "encoder_channels": options.nef,
        }
    )


def check_sizes(recording: Recording, case: Case) -> Iterator[Row]:
    """What an import tells from the tensors, but for what none shows: the activation, and instance norm or none."""
    resolved, stated = case.resolved, stated_config(case)
    shapes = {key.replace("/", ".", 1): tuple(tensor.shape) for key, tensor in recording.under("state/").items()}
    inferred = RELEASE_FORMAT.infer_config(shapes)
    hidden = {"activation": stated.activation, **({"norm": stated.norm} if stated.norm != "batch" else {})}
    yield recording.agrees("config", stated, inferred.model_copy(update=hidden))
    yield recording.agrees("resolved.netD2", resolved.netD2, resolved.netD)
    yield recording.agrees("resolved.use_same_D", resolved.use_same_D, "D2" not in recording.networks())
    yield recording.agrees("resolved.batch_size", resolved.batch_size, case.batch)
    yield recording.agrees("resolved.use_dropout", resolved.use_dropout, found=False)
    image = recording.tensors["input/A"]
    yield recording.agrees("batch, size", (case.batch, case.size), (len(image), image.shape[-1]))


# --- Forward passes ---------------------------------------------------------------------------------------------------


@torch.no_grad()
def check_networks(recording: Recording, case: Case) -> Iterator[Row]:
    """Every recorded network on its input, in every mode."""
    tensors, key = recording.tensors, our_key_of(recording, case)
    yield recording.agrees("dsize", case.dsize or case.size, tensors["input/dis"].shape[-1])
    for mode in case.modes:
        model = BicycleGAN(stated_config(case))
        assert model.encoder is not None
        for official, network in (("G", model.generator), ("E", model.encoder)):
            load(network.train(mode == "train"), official, recording, key)
        encoding = model.encoder(tensors["input/B"])
        yield recording.output(f"{mode}/G/fake_B", model.generator(tensors["input/A"], tensors["input/z"]), FORWARD)
        yield recording.output(f"{mode}/E/mu", encoding.mean, FORWARD)
        yield recording.output(f"{mode}/E/logvar", encoding.log_variance, FORWARD)
        for official in recording.networks():
            if official.startswith("D"):
                discriminator = make_discriminator(case).train(mode == "train")
                load(discriminator, official, recording, key)
                for scale, logits in enumerate(discriminator(tensors["input/dis"])):
                    yield recording.output(f"{mode}/{official}/logit_{scale}", logits, FORWARD)


def make_discriminator(case: Case) -> Discriminator:
    """The stated discriminator, empty."""
    options = case.resolved
    channels_in = options.output_nc + (options.input_nc if options.conditional_D else 0)
    return Discriminator(channels_in, options.ndf, DISCRIMINATOR_LAYERS[options.netD], options.num_Ds, options.norm)


# --- One training step ------------------------------------------------------------------------------------------------


class RecordedNoise(BicycleGANTrainer):
    """The trainer with the recorded draws in the place of its own: first that of the encoding."""

    def draws_from(self, recording: Recording) -> None:
        """Take `input/eps` and `input/z_random`, in this order."""
        self.left = [recording.tensors["input/eps"], recording.tensors["input/z_random"]]

    def noise(self, count: int, like: Tensor) -> Tensor:
        drawn = self.left.pop(0)
        assert len(drawn) == count
        return drawn.to(like.device)


def build_trainer(recording: Recording, case: Case) -> RecordedNoise:
    """The recorded networks and options."""
    resolved = case.resolved
    options = Options(
        batch_size=case.batch,
        learning_rate=resolved.lr,
        betas=(resolved.beta1, 0.999),
        adversarial=OBJECTIVES[resolved.gan_mode],
        encoded_gan_weight=resolved.lambda_GAN,
        random_gan_weight=resolved.lambda_GAN2,
        l1_weight=resolved.lambda_L1,
        latent_weight=resolved.lambda_z,
        kl_weight=resolved.lambda_kl,
        discriminator_channels=resolved.ndf,
        discriminator_layers=DISCRIMINATOR_LAYERS[resolved.netD],
        discriminator_scales=resolved.num_Ds,
        one_discriminator=resolved.use_same_D,
        conditional_discriminator=resolved.conditional_D,
    )
    built = RecordedNoise(BicycleGAN(stated_config(case)), options)
    recorded_step(recording, case).load(built)
    return built


def recorded_step(recording: Recording, case: Case) -> RecordedStep:
    """The step with its tolerances."""
    return RecordedStep(recording, names_of(case), our_key_of(recording, case), case.resolved.lr, STEP)


def check_step(recording: Recording, case: Case) -> Iterator[Row]:
    """One step of the real engine, and the optimizer by itself."""
    step, built = recorded_step(recording, case), build_trainer(recording, case)
    for key, output in step_outputs(built, recording).items():
        yield recording.output(key, output, FORWARD)
    built.draws_from(recording)
    found = step.run(built, batch_of(recording))
    reported = {key.removeprefix("bicycle/"): value for key, value in found.losses.items()}
    yield from step.check(built, found, losses(reported, built.options))
    for key, recorded in recording.under("grad/").items():
        share = (found.gradients.get(key, torch.zeros(())) - recorded).norm() / recorded.norm()
        yield recording.row(f"grad/{key} in L2", float(share), STEP_GRADIENT_L2)
    yield from step.check_optimizers(build_trainer(recording, case))


def batch_of(recording: Recording) -> dict[str, Tensor]:
    """The recorded pairs, under our names."""
    return {"input": recording.tensors["input/A"], "target": recording.tensors["input/B"]}


@torch.no_grad()
def step_outputs(built: RecordedNoise, recording: Recording) -> dict[str, Tensor]:
    """What encoder and generator make of the batch, under the release's names of variables."""
    built.draws_from(recording)
    pairs = built.pairs(batch_of(recording))
    encoding = built.encoder(pairs.target)
    encoded = built.sampled(encoding)
    random = built.noise(len(pairs.source), pairs.source)
    made = built.translations(pairs.source, {"encoded": encoded, "random": random})
    return {
        "mu": encoding.mean,
        "logvar": encoding.log_variance,
        "z_encoded": encoded,
        "fake_B_encoded": made["encoded"],
        "fake_B_random": made["random"],
        "mu2": built.latent_of(made["random"]),
    }


def losses(reported: Mapping[str, float], options: Options) -> dict[str, float]:
    """The release's reported losses, with their weights, and under "raw/" without."""
    weighted = {
        "G_GAN": ("encoded_gan", options.encoded_gan_weight),
        "G_GAN2": ("random_gan", options.random_gan_weight),
        "kl": ("kl", options.kl_weight),
        "G_L1": ("l1", options.l1_weight),
        "z_L1": ("latent", options.latent_weight),
    }
    # A loss of weight 0 is not computed, and reported as 0.
    found = {theirs: reported.get(ours, 0.0) for theirs, (ours, _) in weighted.items()}
    found |= {f"raw/{theirs}": found[theirs] / (weight or 1.0) for theirs, (_, weight) in weighted.items()}
    found["G"] = sum(found[name] for name in ("G_GAN", "G_GAN2", "kl", "G_L1"))
    for official, style in (("D", "encoded"), ("D2", "random")):
        for kind in ("fake", "real"):
            found[f"{official}_{kind}"] = reported[f"discriminator_{style}_{kind}"]
        found[official] = found[f"{official}_fake"] + found[f"{official}_real"]
    return found


# --- Images in and out ----------------------------------------------------------------------------------------------


def check_prepost(recording: Recording, case: Case) -> Iterator[Row]:
    """Pairs brought to size, the saved image, and latents between two."""
    yield from check_images(recording, case.variants, case.image_hw)
    start, end = recording.tensors["input/z01"].numpy()
    for name, between in (("slerp", slerp), ("lerp", lerp)):
        yield recording.output(name, torch.from_numpy(between(start, end, case.num_frames)), INTERPOLATED)
