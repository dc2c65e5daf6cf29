"""How the recordings of the authors' PyTorch release are computed with our code.

Four kinds of file, told from their keys: one training step ("train": there are losses), forward passes of some
networks ("nets"), the store of generated images ("pool"), and images in and out ("prepost").
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Literal

import torch
from tests.parity import junyanz
from tests.parity.comparison import Row
from tests.parity.junyanz import check_images, check_options, kind_of
from tests.parity.recording import Recording
from tests.parity.stepping import RecordedStep, StepTolerances
from torch import Tensor

from i2i_plugin_cyclegan.config import Config
from i2i_plugin_cyclegan.model import CycleGAN
from i2i_plugin_cyclegan.official import GENERATORS, JUNYANZ_FORMAT
from i2i_plugin_cyclegan.trainer import CycleGANTrainer, Options
from i2i_toolkit import ImagePool, make_generator

__all__ = ["MARK", "PAPER", "SOURCE", "check", "kind_of"]

PAPER = "cyclegan"
SOURCE = "junyanz/pytorch-CycleGAN-and-pix2pix"
MARK = "lambda_A"
"""an option that pix2pix's recordings, which have the same source, do not have"""

# Tolerances of the recordings' README; those of `after` (absolute 2e-6 of a step of 2e-4) as a share of the movement.
FORWARD = 2e-5
STEP_OUTPUT = 5e-5
STEP = StepTolerances(loss=1e-5, gradient=1e-2, after=1e-2)
EXACT = 0.0

JUDGED_BY = {"D_A": "B", "D_B": "A"}
"""official discriminator -> the domain it judges: the release counts them by the generator they face"""
NAMES = GENERATORS | {official: f"discriminator_{domain.lower()}" for official, domain in JUDGED_BY.items()}
"""official name of a network -> ours"""

Draw = tuple[Literal["p", "i"], float]


class Resolved(junyanz.Resolved):
    """With the options of CycleGAN alone."""

    lambda_A: float
    lambda_B: float
    lambda_identity: float


class Case(junyanz.Case):
    """The metadata."""

    n: int = 0
    pool_size: int = 0
    draws: tuple[Draw, ...] = ()
    resolved: Resolved


def check(recording: Recording) -> Iterator[Row]:
    """Compute what was recorded and compare."""
    case = recording.options(Case)
    yield from check_options(recording, case, case.resolved.direction)
    junyanz.ignore(recording, "CycleGAN has no such loss", "lambda_L1")
    kinds = {"nets": check_networks, "train": check_step, "pool": check_pool, "prepost": check_prepost}
    yield from kinds[kind_of(recording)](recording, case)


def check_prepost(recording: Recording, case: Case) -> Iterator[Row]:
    """Images in and out."""
    yield from check_images(recording, case.variants, case.image_hw)


def our_key_of(recording: Recording, official: str, key: str) -> str:
    """Our name, inside the network, of an official tensor."""
    if official in GENERATORS:
        return junyanz.generator_key(recording, official, key)
    return junyanz.discriminator_key(recording, official, key)


def stated_config(case: Case, directions: Literal["both", "a_to_b"], *, way_back: bool = False) -> Config:
    """The Config that the recorded options ask for; as that of one direction, either way."""
    options = case.resolved
    kind, depth = junyanz.generator_of(options.netG)
    channels = (options.input_nc, options.output_nc)[:: -1 if way_back else 1]
    return Config.model_validate(
        {
            "generator": kind,
            "image_size": case.hw[0] if case.hw else 256,
            "channels": options.ngf,
            "levels" if kind == "unet" else "res_blocks": depth,
            "channels_a": channels[0],
            "channels_b": channels[1],
            "norm": options.norm,
            "dropout": not options.no_dropout,
            "directions": directions,
        }
    )


def check_config(recording: Recording, case: Case, official: str) -> Iterator[Row]:
    """What an import tells from a generator's tensors, but for the size and a U-Net's dropout, which none shows."""
    state, stated = recording.under(f"state/{official}/"), stated_config(case, "a_to_b", way_back=official == "G_B")
    inferred = JUNYANZ_FORMAT.infer_config({key: tuple(tensor.shape) for key, tensor in state.items()})
    hidden: dict[str, object] = {"image_size": stated.image_size}
    if stated.generator == "unet":
        hidden["dropout"] = stated.dropout
    yield recording.agrees(f"config of {official}", stated, inferred.model_copy(update=hidden))


def check_networks(recording: Recording, case: Case) -> Iterator[Row]:
    """Every recorded network on its input."""
    generators = [official for official in recording.networks() if official in GENERATORS]
    if case.gname is not None:
        yield recording.agrees("gname", [case.gname], generators)
    empty = {}
    for official in generators:
        yield from check_config(recording, case, official)
        config = stated_config(case, "a_to_b", way_back=official == "G_B")
        empty[official] = (
            make_generator(config.architecture, config.channels_a, config.channels_b),
            partial(our_key_of, recording),
        )
    yield from junyanz.check_networks(recording, case, case.resolved, empty, FORWARD)


# --- One training step ------------------------------------------------------------------------------------------------


def build_trainer(recording: Recording, case: Case) -> CycleGANTrainer:
    """The recorded networks and options."""
    state, resolved = recording.under("state/D_A/"), case.resolved
    options = Options(
        batch_size=case.batch,
        learning_rate=resolved.lr,
        betas=(resolved.beta1, 0.999),
        cycle_weight_a=resolved.lambda_A,
        cycle_weight_b=resolved.lambda_B,
        identity_weight=resolved.lambda_identity,
        pool_size=resolved.pool_size,
        objective=resolved.gan_mode,
        discriminator=junyanz.discriminator_kind(state),
        discriminator_layers=junyanz.layer_count(state),
        discriminator_channels=resolved.ndf,
    )
    built = CycleGANTrainer(CycleGAN(stated_config(case, "both")), options)
    # We train on squares; the recorded images need not be any.
    for domain in built.pools:
        shape = recording.tensors[f"input/{domain}"].shape
        built.pools[domain] = ImagePool(resolved.pool_size, case.batch, (shape[1], shape[2], shape[3]))
    recorded_step(recording, case).load(built)
    return built


def recorded_step(recording: Recording, case: Case) -> RecordedStep:
    """The step with its tolerances."""
    return RecordedStep(recording, NAMES, partial(our_key_of, recording), case.resolved.lr, STEP)


def check_step(recording: Recording, case: Case) -> Iterator[Row]:
    """One step of the real engine, and the optimizers by themselves."""
    junyanz.ignore(recording, "in the first step a pool of any size returns what it is given", "pool_size")
    batch = {domain: recording.tensors[f"input/{domain}"] for domain in "AB"}
    yield recording.agrees("batch, hw", (case.batch, case.hw), (len(batch["A"]), tuple(batch["A"].shape[2:])))
    yield recording.agrees("resolved.no_dropout", case.resolved.no_dropout, found=True)
    for network in recording.networks():
        if network in GENERATORS:
            yield from check_config(recording, case, network)
        else:
            yield from junyanz.check_discriminator(recording, case, network, case.resolved)
    step, built = recorded_step(recording, case), build_trainer(recording, case)
    for name, image in images_of(build_trainer(recording, case), batch).items():
        if f"output/{name}" in recording.tensors:
            yield recording.output(name, image, STEP_OUTPUT)
    found = step.run(built, batch)
    yield from step.check(built, found, losses(found.losses, built))
    yield from step.check_optimizers(build_trainer(recording, case))


@torch.no_grad()
def images_of(built: CycleGANTrainer, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What the generators make of the batch, under the release's names."""
    made = built.translations(batch)
    found = {"fake_A": made["fake_A"], "fake_B": made["fake_B"]}
    found |= {"rec_A": built.b_to_a(made["fake_B"]), "rec_B": built.a_to_b(made["fake_A"])}
    # The release counts identities by the generator: G_A makes B from B.
    return found | {f"idt_{name}": made[same] for name, same in (("A", "same_B"), ("B", "same_A")) if same in made}


def losses(reported: Mapping[str, float], built: CycleGANTrainer) -> dict[str, float]:
    """The release's names: everything but cycles is counted by the generator, whose target is the other domain."""
    found: dict[str, float] = {}
    for name, target in JUDGED_BY.items():
        own = name[-1]
        weight = built.cycle_weights[target] * built.options.identity_weight
        found[name] = reported[f"discriminators/{target}"]
        found[f"G_{own}"] = reported[f"generators/adversarial_{target}"]
        found[f"cycle_{own}"] = reported[f"generators/cycle_{own}"]
        found[f"raw/cycle_{own}"] = found[f"cycle_{own}"] / (built.cycle_weights[own] or 1.0)
        found[f"idt_{own}"] = reported.get(f"generators/identity_{target}", 0.0)
        found[f"raw/idt_{own}"] = found[f"idt_{own}"] / (weight or 1.0)
    found["G"] = sum(found[f"{kind}_{own}"] for kind in ("G", "cycle", "idt") for own in "AB")
    return found


# --- The store of generated images ----------------------------------------------------------------------------------


def check_pool(recording: Recording, case: Case) -> Iterator[Row]:
    """Batch after batch through the pool, with the recorded draws."""
    batches = recording.tensors["input/batches"]
    recording.ignore("the draws that it gave are recorded", "py_seed")
    slots = decisions(case.draws)
    count, batch, channels, height, width = batches.shape
    yield recording.agrees("n, batch", (case.n, case.batch), (count, batch))
    pool = ImagePool(case.pool_size, case.batch, (channels, height, width))
    returned = torch.stack([pool.exchange(batch, slots) for batch in batches])
    yield recording.output("returned", returned, EXACT)
    yield recording.output("pool_final", pool.images, EXACT)
    yield recording.agrees("draws that are left over", 0, len(list(slots)))


def decisions(draws: Sequence[Draw]) -> Iterator[int | None]:
    """Where each image is exchanged: a number above 1/2 is followed by the place."""
    following = iter(draws)
    for kind, value in following:
        if kind != "p":
            raise ValueError(f"a place without a probability before it: {value}")
        yield int(next(following)[1]) if value > 0.5 else None
