"""How the recordings of the authors' release are computed with our code.

Three kinds of file, told from the metadata's `config.kind`: forward passes of all networks ("nets"), one training step
("train"), and pictures in and out ("prepost").
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Literal, cast

import torch
from pydantic import BaseModel
from tests.parity.junyanz import Variant, check_pictures
from tests.parity.stepping import RecordedStep
from torch import Tensor

from i2i_plugin_bicyclegan.config import Config
from i2i_plugin_bicyclegan.model import BicycleGAN
from i2i_plugin_bicyclegan.networks import Discriminator
from i2i_plugin_bicyclegan.official import RELEASE_FORMAT
from i2i_plugin_bicyclegan.trainer import BicycleGANTrainer, Options
from i2i_registry.importing import rename
from i2i_registry.model import KeyMap
from i2i_runtime.interpolation import lerp, slerp

if TYPE_CHECKING:
    from tests.parity.judging import Row
    from tests.parity.recording import Recording


PAPER = "bicyclegan"
SOURCE = "junyanz/BicycleGAN"

# Tolerances of the recordings' README; that of `after` (absolute 2e-6) as a share of the movement (2e-4).
FORWARD = 5e-5
STEP_LOSS = 1e-5
STEP_GRADIENT = 3e-2
STEP_GRADIENT_L2 = 1.5e-2
STEP_AFTER = 1e-2
INTERPOLATED = 1e-6

NAMES = {
    "G": "generator",
    "E": "encoder",
    "D": "discriminator_encoded",
    "D2": "discriminator_random",
}
"""official name of a network -> ours"""

ACTIVATIONS: Mapping[str, Literal["relu", "leaky_relu", "elu"]] = {
    "relu": "relu",
    "lrelu": "leaky_relu",
    "elu": "elu",
}
OBJECTIVES: Mapping[str, Literal["least_squares", "logistic", "wasserstein"]] = {
    "lsgan": "least_squares",
    "vanilla": "logistic",
    "wgangp": "wasserstein",
}


class Resolved(BaseModel):
    """The options of the release that change the numbers."""

    norm: Literal["instance", "batch", "none"]
    nl: str
    ndf: int
    netD: str
    num_Ds: int
    conditional_D: bool
    use_same_D: bool
    gan_mode: str
    lr: float
    beta1: float
    lambda_L1: float
    lambda_GAN: float
    lambda_GAN2: float
    lambda_z: float
    lambda_kl: float


class Case(BaseModel):
    """The metadata's `config`."""

    kind: Literal["nets", "train", "prepost"]
    modes: list[Literal["eval", "train"]] = []
    batch: int = 2
    variants: list[Variant] = []
    num_frames: int = 0
    resolved: Resolved


def kind_of(recording: Recording) -> str:
    """What a file holds."""
    return str(recording.config["kind"])


def check(recording: Recording) -> Iterator[Row]:
    """Compute what was recorded and compare."""
    case = Case.model_validate(recording.config)
    kinds = {"nets": check_networks, "train": check_step, "prepost": check_prepost}
    yield from kinds[case.kind](recording, case)


# --- Names and networks -----------------------------------------------------------------------------------------------


def discriminator_keys(case: Case) -> KeyMap:
    """Inside a discriminator: sequences of convolution, norm and activation, the first without a norm."""
    layers, stride = layer_count(case), 2 if case.resolved.norm == "none" else 3
    positions = [0, *(2 + stride * number for number in range(layers + 1))]
    rules: list[tuple[str, str]] = []
    for number, position in enumerate(positions):
        is_last = number == len(positions) - 1
        ours = "to_logits" if is_last else f"layers.{number}.conv"
        for theirs, scale in ((r"model", "0"), (r"model_(\d+)", r"\1")):
            leaf = r"\2" if scale == r"\1" else r"\1"
            rules.append((rf"{theirs}\.{position}\.(weight|bias)", rf"scales.{scale}.{ours}.{leaf}"))
            rules.append((rf"{theirs}\.{position + 1}\.(\w+)", rf"scales.{scale}.layers.{number}.norm.{leaf}"))
    return tuple(rules)


def layer_count(case: Case) -> int:
    """Halvings of a discriminator: "basic_128_multi" has two."""
    return 2 if "128" in case.resolved.netD else 3


def our_key(case: Case, network: str, key: str) -> str:
    """Our name, inside the network, of an official tensor."""
    if network in ("G", "E"):
        return str(rename(RELEASE_FORMAT.keys, f"{network}.{key}")).removeprefix(f"{NAMES[network]}.")
    return str(rename(discriminator_keys(case), key))


def build_trainer(recording: Recording, case: Case) -> RecordedNoise:
    """The recorded networks and options; the Config is told from the tensors, as for a checkpoint."""
    shapes = {key.replace("/", ".", 1): tuple(tensor.shape) for key, tensor in recording.under("state/").items()}
    update = {"activation": ACTIVATIONS[case.resolved.nl], "norm": case.resolved.norm}
    config = Config.model_validate({**RELEASE_FORMAT.infer_config(shapes).model_dump(), **update})
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
        discriminator_layers=layer_count(case),
        discriminator_scales=resolved.num_Ds,
        one_discriminator=resolved.use_same_D,
        conditional_discriminator=resolved.conditional_D,
    )
    built = RecordedNoise(BicycleGAN(config), options)
    recorded_step(recording, case).load(built)
    return built


def recorded_step(recording: Recording, case: Case) -> RecordedStep:
    """The step with its tolerances."""
    return RecordedStep(
        recording=recording,
        names=NAMES,
        our_key=partial(our_key, case),
        learning_rate=case.resolved.lr,
        loss=STEP_LOSS,
        gradient=STEP_GRADIENT,
        after=STEP_AFTER,
    )


class RecordedNoise(BicycleGANTrainer):
    """The trainer with the recorded draws in the place of its own: first that of the encoding."""

    def draws_from(self, recording: Recording) -> None:
        """Take `input/eps` and `input/z_random`, in this order."""
        self.left = [recording.tensors["input/eps"], recording.tensors["input/z_random"]]

    def noise(self, count: int, like: Tensor) -> Tensor:
        drawn = self.left.pop(0)
        assert len(drawn) == count
        return drawn.to(like.device)


# --- Forward passes ---------------------------------------------------------------------------------------------------


@torch.no_grad()
def check_networks(recording: Recording, case: Case) -> Iterator[Row]:
    """Every recorded network on its input, in every mode."""
    tensors = recording.tensors
    for mode in case.modes:
        built = build_trainer(recording, case)
        for network in built.networks.values():
            network.train(mode == "train")
        encoding = built.encoder(tensors["input/B"])
        yield recording.output(f"{mode}/G/fake_B", built.generator(tensors["input/A"], tensors["input/z"]), FORWARD)
        yield recording.output(f"{mode}/E/mu", encoding.mean, FORWARD)
        yield recording.output(f"{mode}/E/logvar", encoding.log_variance, FORWARD)
        for official in ("D", "D2"):
            discriminator = cast("Discriminator", built.networks[NAMES[official]])
            for scale, logits in enumerate(discriminator(tensors["input/dis"])):
                yield recording.output(f"{mode}/{official}/logit_{scale}", logits, FORWARD)


# --- One training step ------------------------------------------------------------------------------------------------


def check_step(recording: Recording, case: Case) -> Iterator[Row]:
    """One step of the real engine, and the optimizer by itself."""
    step, built = recorded_step(recording, case), build_trainer(recording, case)
    for key, output in step_outputs(built, recording).items():
        yield recording.output(key, output, FORWARD)
    built.draws_from(recording)
    found = step.run(built, batch_of(recording))
    terms = {key.removeprefix("bicycle/"): value for key, value in found.terms.items()}
    yield from step.check(built, found, losses(terms, built.options))
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


def losses(terms: Mapping[str, float], options: Options) -> dict[str, float]:
    """The release's reported losses, with their weights, and under "raw/" without."""
    weighted = {
        "G_GAN": ("encoded_gan", options.encoded_gan_weight),
        "G_GAN2": ("random_gan", options.random_gan_weight),
        "kl": ("kl", options.kl_weight),
        "G_L1": ("l1", options.l1_weight),
        "z_L1": ("latent", options.latent_weight),
    }
    found = {theirs: terms[ours] for theirs, (ours, _) in weighted.items()}
    found |= {f"raw/{theirs}": terms[ours] / weight for theirs, (ours, weight) in weighted.items()}
    found["G"] = sum(found[name] for name in ("G_GAN", "G_GAN2", "kl", "G_L1"))
    for official, style in (("D", "encoded"), ("D2", "random")):
        for kind in ("fake", "real"):
            found[f"{official}_{kind}"] = terms[f"discriminator_{style}_{kind}"]
        found[official] = found[f"{official}_fake"] + found[f"{official}_real"]
    return found


# --- Pictures in and out ----------------------------------------------------------------------------------------------


def check_prepost(recording: Recording, case: Case) -> Iterator[Row]:
    """Pairs brought to size, the saved picture, and latents between two."""
    yield from check_pictures(recording, case.variants, None)
    start, end = recording.tensors["input/z01"].numpy()
    for name, between in (("slerp", slerp), ("lerp", lerp)):
        yield recording.output(name, torch.from_numpy(between(start, end, case.num_frames)), INTERPOLATED)
