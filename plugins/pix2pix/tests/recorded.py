"""How the recordings of the authors' PyTorch release are computed with our code.

Three kinds of file, told from their keys: one training step ("train": there are losses), forward passes of some
networks ("nets"), and images in and out ("prepost").
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

import torch
from tests.parity import junyanz
from tests.parity.comparison import Row
from tests.parity.junyanz import check_images, check_options, kind_of
from tests.parity.recording import Recording
from tests.parity.stepping import RecordedStep, StepTolerances

from i2i_plugin_pix2pix.config import Config
from i2i_plugin_pix2pix.model import GENERATOR, Pix2Pix
from i2i_plugin_pix2pix.networks import make_generator
from i2i_plugin_pix2pix.official import JUNYANZ_FORMAT
from i2i_plugin_pix2pix.trainer import Options, Pix2PixTrainer
from i2i_registry import Step

__all__ = ["PAPER", "SOURCE", "check", "kind_of"]

PAPER = "pix2pix"
SOURCE = "junyanz/pytorch-CycleGAN-and-pix2pix"

# Tolerances of the recordings' README; those of `after` (absolute 2e-6 of a step of 2e-4) as a share of the movement.
FORWARD = 2e-5
STEP = StepTolerances(loss=1e-5, gradient=1e-2, after=1e-2)

NETWORKS = {"G": GENERATOR, "D": "discriminator"}
"""official name of a network -> ours"""


class Resolved(junyanz.Resolved):
    """With the options of pix2pix alone."""

    lambda_L1: float


class Case(junyanz.Case):
    """The metadata."""

    resolved: Resolved


def check(recording: Recording) -> Iterator[Row]:
    """Compute what was recorded and compare."""
    case = recording.options(Case)
    yield from check_options(recording, case, case.resolved.direction)
    kinds = {"nets": check_networks, "train": check_step, "prepost": check_prepost}
    yield from kinds[kind_of(recording)](recording, case)


def check_prepost(recording: Recording, case: Case) -> Iterator[Row]:
    """Images in and out."""
    yield from check_images(recording, case.variants, case.image_hw)


def stated_config(case: Case) -> Config:
    """The Config that the recorded options ask for."""
    options = case.resolved
    kind, depth = junyanz.generator_of(options.netG)
    return Config(
        generator=kind,
        image_size=case.hw[0] if case.hw else 256,
        depth=depth,
        channels=options.ngf,
        input_channels=options.input_nc,
        output_channels=options.output_nc,
        norm=options.norm,
        dropout=not options.no_dropout,
    )


def check_config(recording: Recording, case: Case) -> Iterator[Row]:
    """What an import tells from the generator's tensors, but for the size and a U-Net's dropout, which none shows."""
    state, stated = recording.under("state/G/"), stated_config(case)
    inferred = JUNYANZ_FORMAT.infer_config({key: tuple(tensor.shape) for key, tensor in state.items()})
    hidden = {"image_size": stated.image_size}
    if stated.generator == "unet":
        hidden["dropout"] = stated.dropout
    yield recording.agrees("config of G", stated, inferred.model_copy(update=hidden))


def our_key_of(recording: Recording, official: str, key: str) -> str:
    """Our name, inside the network, of an official tensor."""
    if official == "G":
        return junyanz.generator_key(recording, official, key)
    return junyanz.discriminator_key(recording, official, key)


def check_networks(recording: Recording, case: Case) -> Iterator[Row]:
    """Every recorded network on its input, in each recorded mode."""
    yield from check_config(recording, case)
    generators = {"G": (make_generator(stated_config(case)), partial(our_key_of, recording))}
    yield from junyanz.check_networks(recording, case, case.resolved, generators, FORWARD)


# --- One training step ------------------------------------------------------------------------------------------------


def build_trainer(recording: Recording, case: Case) -> Pix2PixTrainer:
    """The recorded networks and options."""
    state, resolved = recording.under("state/D/"), case.resolved
    options = Options(
        batch_size=case.batch,
        learning_rate=resolved.lr,
        betas=(resolved.beta1, 0.999),
        objective=resolved.gan_mode,
        l1_weight=resolved.lambda_L1,
        discriminator=junyanz.discriminator_kind(state),
        discriminator_layers=junyanz.layer_count(state),
        discriminator_channels=resolved.ndf,
    )
    built = Pix2PixTrainer(Pix2Pix(stated_config(case)), options)
    recorded_step(recording, case).load(built)
    return built


def recorded_step(recording: Recording, case: Case) -> RecordedStep:
    """The step with its tolerances."""
    return RecordedStep(recording, NETWORKS, partial(our_key_of, recording), case.resolved.lr, STEP)


def check_step(recording: Recording, case: Case) -> Iterator[Row]:
    """One step of the real engine, and the optimizers by themselves."""
    junyanz.ignore(recording, "pix2pix has no pool", "pool_size")
    batch = {"input": recording.tensors["input/A"], "target": recording.tensors["input/B"]}
    yield recording.agrees("batch, hw", (case.batch, case.hw), (len(batch["input"]), tuple(batch["input"].shape[2:])))
    yield recording.agrees("resolved.no_dropout", case.resolved.no_dropout, found=True)
    yield from check_config(recording, case)
    yield from junyanz.check_discriminator(recording, case, "D", case.resolved)
    with torch.no_grad():
        made = build_trainer(recording, case).translate(Step(1, batch, None))
    yield recording.output("fake_B", made, FORWARD)
    step, built = recorded_step(recording, case), build_trainer(recording, case)
    found = step.run(built, batch)
    yield from step.check(built, found, losses(found.losses, built.options))
    yield from step.check_optimizers(build_trainer(recording, case))


def losses(reported: Mapping[str, float], options: Options) -> dict[str, float]:
    """The release's names: the discriminator's losses unhalved, their half sum, the generator's with weights."""
    fake, real = (2 * reported[f"discriminator/{name}"] for name in ("fake", "real"))
    adversarial, distance = reported["generator/adversarial"], reported["generator/l1"]
    named = {"D_fake": fake, "D_real": real, "D": 0.5 * (fake + real)}
    named |= {"G_GAN": adversarial, "G_L1": distance, "G": adversarial + distance}
    return named | ({"raw/G_L1": distance / options.l1_weight} if options.l1_weight else {})
