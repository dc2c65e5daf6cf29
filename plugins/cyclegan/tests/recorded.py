"""How the recordings of the authors' PyTorch release are computed with our code.

Four kinds of file, told from the metadata's `config.kind`: forward passes of some networks ("nets"), one training
step ("train"), the store of generated pictures ("pool"), and pictures in and out ("prepost").
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Literal, cast

import torch
from pydantic import BaseModel
from tests.parity.preparing import Variant, check_pictures
from tests.parity.stepping import RecordedStep, load
from torch import Tensor, nn

from i2i_plugin_cyclegan.config import Config
from i2i_plugin_cyclegan.model import CycleGAN
from i2i_plugin_cyclegan.networks import PatchDiscriminator, make_generator
from i2i_plugin_cyclegan.official import GENERATORS, JUNYANZ_FORMAT
from i2i_plugin_cyclegan.trainer import CycleGANTrainer, Options
from i2i_registry.importing import rename
from i2i_toolkit.image_pool import ImagePool

if TYPE_CHECKING:
    from tests.parity.judging import Row
    from tests.parity.recording import Recording

    from i2i_registry.model import Model
    from i2i_runtime.operations import Record

PAPER = "cyclegan"
SOURCE = "junyanz/pytorch-CycleGAN-and-pix2pix"

# Tolerances of the recordings' README; those of `after` (absolute 2e-6 of a step of 2e-4) as a share of the movement.
FORWARD = 2e-5
STEP_OUTPUT = 5e-5
STEP_LOSS = 1e-5
STEP_GRADIENT = 1e-2
STEP_AFTER = 1e-2
EXACT = 0.0

JUDGED_BY = {"D_A": "B", "D_B": "A"}
"""official discriminator -> the domain it judges: the release counts them by the generator they face"""
NAMES = GENERATORS | {official: f"discriminator_{domain.lower()}" for official, domain in JUDGED_BY.items()}
"""official name of a network -> ours"""

Draw = tuple[Literal["p", "i"], float]


class Resolved(BaseModel):
    """The options of the release that change the numbers."""

    ngf: int
    netG: str
    no_dropout: bool
    input_nc: int
    output_nc: int
    lr: float
    beta1: float
    pool_size: int
    lambda_A: float
    lambda_B: float
    lambda_identity: float


class Case(BaseModel):
    """The metadata's `config`."""

    kind: Literal["nets", "train", "pool", "prepost"]
    hw: tuple[int, int] = (0, 0)
    batch: int = 1
    pool_size: int = 0
    draws: list[Draw] = []
    variants: list[Variant] = []
    resolved: Resolved


def kind_of(recording: Recording) -> str:
    """What a file holds."""
    return str(recording.config["kind"])


def check(recording: Recording) -> Iterator[Row]:
    """Compute what was recorded and compare."""
    case = Case.model_validate(recording.config)
    kinds = {"nets": check_networks, "train": check_step, "pool": check_pool, "prepost": check_prepost}
    yield from kinds[case.kind](recording, case)


def check_prepost(recording: Recording, case: Case) -> Iterator[Row]:
    """Pictures in and out."""
    yield from check_pictures(recording, case.variants)


# --- Names and networks -----------------------------------------------------------------------------------------------


def layer_count(state: Mapping[str, Tensor]) -> int:
    """Layers of a discriminator, in the release's way of counting."""
    return (max(int(match[1]) for key in state if (match := re.match(r"model\.(\d+)\.", key))) - 2) // 3


def our_key(recording: Recording, official: str, key: str) -> str:
    """Our name, inside the network, of an official tensor."""
    if official in GENERATORS:
        return str(rename(JUNYANZ_FORMAT.keys, f"{official}.{key}")).removeprefix(f"{GENERATORS[official]}.")
    layers = layer_count(recording.under(f"state/{official}/"))
    places = {0: "first", 2 + 3 * layers: "to_logits"} | {2 + 3 * n: f"convs.{n}" for n in range(layers)}
    _, place, kind = key.split(".")
    return f"{places[int(place)]}.{kind}"


def infer_config(recording: Recording, official: str, case: Case) -> Config:
    """The Config, told from a generator's tensors as for a checkpoint, at the recorded size."""
    state = recording.under(f"state/{official}/")
    inferred = JUNYANZ_FORMAT.infer_config({key: tuple(tensor.shape) for key, tensor in state.items()})
    return inferred.model_copy(update={"image_size": case.hw[0]})


def expected_config(case: Case) -> Config:
    """The Config that the recorded options ask for, of one direction."""
    return Config(
        image_size=case.hw[0],
        channels=case.resolved.ngf,
        res_blocks={"resnet_6blocks": 6, "resnet_9blocks": 9}[case.resolved.netG],
        channels_a=case.resolved.input_nc,
        channels_b=case.resolved.output_nc,
        dropout=not case.resolved.no_dropout,
        directions="a_to_b",
    )


# --- Forward passes ---------------------------------------------------------------------------------------------------


@torch.no_grad()
def check_networks(recording: Recording, case: Case) -> Iterator[Row]:
    """Every recorded network on its input; with instance norm the mode makes no difference."""
    for official in recording.networks():
        picture = recording.tensors.get(f"input/dis_{official}", recording.tensors["input/image"])
        if official in GENERATORS:
            config = infer_config(recording, official, case)
            yield recording.row(f"config of {official}", float(config != expected_config(case)), EXACT)
            network: nn.Module = make_generator(config, config.channels_a, config.channels_b)
        else:
            state = recording.under(f"state/{official}/")
            width, channels_in = state["model.0.weight"].shape[:2]
            network = PatchDiscriminator(channels_in, width, layer_count(state), "instance")
        load(network, official, recording, partial(our_key, recording))
        for mode, training in (("eval", False), ("train_nodrop", True)):
            if f"output/{mode}/{official}" in recording.tensors:
                for module in network.train(training).modules():
                    if isinstance(module, nn.Dropout):
                        module.eval()
                yield recording.output(f"{mode}/{official}", network(picture), FORWARD)


# --- One training step ------------------------------------------------------------------------------------------------


def build_trainer(recording: Recording, case: Case) -> CycleGANTrainer:
    """The recorded networks and options."""
    state, resolved = recording.under("state/D_A/"), case.resolved
    config = infer_config(recording, "G_A", case).model_copy(update={"directions": "both"})
    options = Options(
        batch_size=case.batch,
        learning_rate=resolved.lr,
        betas=(resolved.beta1, 0.999),
        cycle_weight_a=resolved.lambda_A,
        cycle_weight_b=resolved.lambda_B,
        identity_weight=resolved.lambda_identity,
        pool_size=resolved.pool_size,
        discriminator_layers=layer_count(state),
        discriminator_channels=state["model.0.weight"].shape[0],
    )
    built = CycleGANTrainer(cast("Model[Record]", CycleGAN(config)), options)
    recorded_step(recording, case).load(built)
    return built


def recorded_step(recording: Recording, case: Case) -> RecordedStep:
    """The step with its tolerances."""
    return RecordedStep(
        recording=recording,
        names=NAMES,
        our_key=partial(our_key, recording),
        learning_rate=case.resolved.lr,
        loss=STEP_LOSS,
        gradient=STEP_GRADIENT,
        after=STEP_AFTER,
    )


def check_step(recording: Recording, case: Case) -> Iterator[Row]:
    """One step of the real engine, and the optimizers by themselves."""
    batch = {domain: recording.tensors[f"input/{domain}"] for domain in "AB"}
    step, built = recorded_step(recording, case), build_trainer(recording, case)
    for name, picture in pictures_of(built, batch).items():
        if f"output/{name}" in recording.tensors:
            yield recording.output(name, picture, STEP_OUTPUT)
    found = step.run(built, batch)
    yield from step.check(built, found, losses(found.terms, built))
    yield from step.check_optimizers(build_trainer(recording, case))


@torch.no_grad()
def pictures_of(built: CycleGANTrainer, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What the generators make of the batch, under the release's names."""
    made = built.translations(batch)
    found = {"fake_A": made["fake_A"], "fake_B": made["fake_B"]}
    found |= {"rec_A": built.b_to_a(made["fake_B"]), "rec_B": built.a_to_b(made["fake_A"])}
    # The release counts identities by the generator: G_A makes B from B.
    return found | {f"idt_{name}": made[same] for name, same in (("A", "same_B"), ("B", "same_A")) if same in made}


def losses(terms: Mapping[str, float], built: CycleGANTrainer) -> dict[str, float]:
    """The release's names: everything but cycles is counted by the generator, whose target is the other domain."""
    found: dict[str, float] = {}
    for name, target in JUDGED_BY.items():
        own = name[-1]
        weight = built.cycle_weights[target] * built.options.identity_weight
        found[name] = terms[f"discriminators/{target}"]
        found[f"G_{own}"] = terms[f"generators/adversarial_{target}"]
        found[f"cycle_{own}"] = terms[f"generators/cycle_{own}"]
        found[f"raw/cycle_{own}"] = found[f"cycle_{own}"] / built.cycle_weights[own]
        found[f"idt_{own}"] = terms.get(f"generators/identity_{target}", 0.0)
        found[f"raw/idt_{own}"] = found[f"idt_{own}"] / (weight or 1.0)
    found["G"] = sum(found[f"{kind}_{own}"] for kind in ("G", "cycle", "idt") for own in "AB")
    return found


# --- The store of generated pictures ----------------------------------------------------------------------------------


def check_pool(recording: Recording, case: Case) -> Iterator[Row]:
    """Batch after batch through the pool, with the recorded draws."""
    batches = recording.tensors["input/batches"]
    slots = decisions(case.draws)
    channels, height, width = batches.shape[2:]
    pool = ImagePool(case.pool_size, case.batch, (channels, height, width))
    returned = torch.stack([pool.exchange(batch, slots) for batch in batches])
    yield recording.output("returned", returned, EXACT)
    yield recording.output("pool_final", pool.pictures, EXACT)
    yield recording.row("draws left over", float(len(list(slots))), EXACT)


def decisions(draws: Sequence[Draw]) -> Iterator[int | None]:
    """Where each picture is exchanged: a number above 1/2 is followed by the place."""
    following = iter(draws)
    for kind, value in following:
        if kind != "p":
            raise ValueError(f"a place without a probability before it: {value}")
        yield int(next(following)[1]) if value > 0.5 else None
