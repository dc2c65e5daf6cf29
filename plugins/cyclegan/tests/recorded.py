"""How the recordings of the authors' PyTorch release are computed with our code.

Four kinds of file, told from the metadata's `config.kind`: forward passes of some networks ("nets"), one training
step ("train"), the store of generated pictures ("pool"), and pictures in and out ("prepost").
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, cast

import numpy as np
import torch
from PIL import Image
from pydantic import BaseModel
from torch import Tensor, nn

from i2i_plugin_cyclegan.config import Channels, Config
from i2i_plugin_cyclegan.model import CycleGAN
from i2i_plugin_cyclegan.networks import Discriminator, Generator
from i2i_plugin_cyclegan.official import GENERATORS, JUNYANZ_FORMAT
from i2i_plugin_cyclegan.trainer import CycleGANTrainer, Options
from i2i_registry.importing import rename
from i2i_runtime.fitting import to_picture
from i2i_toolkit.data.augment import Draws
from i2i_toolkit.data.preparation import Mode, Preparation
from i2i_toolkit.devices import open_accelerator
from i2i_toolkit.engine import Engine
from i2i_toolkit.image_pool import ImagePool

if TYPE_CHECKING:
    from tests.parity.judging import Row
    from tests.parity.recording import Recording

    from i2i_registry.model import Model
    from i2i_registry.trainer import Trainer
    from i2i_runtime.operations import Record

PAPER = "cyclegan"
SOURCE = "junyanz/pytorch-CycleGAN-and-pix2pix"

# Tolerances of the recordings' README; those of `after` (absolute 2e-6 of a step of 2e-4) as a share of the movement.
FORWARD = 2e-5
STEP_OUTPUT = 5e-5
STEP_LOSS = 1e-5
STEP_GRADIENT = 1e-2
STEP_AFTER = 1e-2
OPTIMIZER_ALONE = 1e-3
TRANSFORM = 1e-6
EXACT = 0.0
ONE_LEVEL = 1.0

JUDGED_BY = {"D_A": "B", "D_B": "A"}
"""official discriminator -> the domain it judges: the release counts them by the generator they face"""
NAMES = GENERATORS | {official: f"discriminator_{domain.lower()}" for official, domain in JUDGED_BY.items()}
"""official name of a network -> ours"""

Draw = tuple[Literal["p", "i"], float]


class Resolved(BaseModel):
    """The options of the release that change the numbers."""

    ngf: int
    netG: str  # noqa: N815 - the release's name
    no_dropout: bool
    input_nc: Channels
    output_nc: Channels
    lr: float
    beta1: float
    pool_size: int
    lambda_A: float  # noqa: N815
    lambda_B: float  # noqa: N815
    lambda_identity: float


class Variant(BaseModel):
    """One way of preparing the recorded pictures, and what was drawn for it."""

    preprocess: Mode
    load_size: int
    crop_size: int
    crop_pos: tuple[int, int]
    flip: bool
    no_flip: bool = False
    gray_A: bool = False  # noqa: N815


class Case(BaseModel):
    """The metadata's `config`."""

    kind: Literal["nets", "train", "pool", "prepost"]
    hw: tuple[int, int] = (0, 0)
    batch: int = 1
    pool_size: int = 0
    draws: list[Draw] = []
    variants: list[Variant] = []
    resolved: Resolved


def check(recording: Recording) -> Iterator[Row]:
    """Compute what was recorded and compare."""
    case = Case.model_validate(recording.config)
    kinds = {"nets": check_networks, "train": check_step, "pool": check_pool, "prepost": check_pictures}
    yield from kinds[case.kind](recording, case)


# --- Names and networks -----------------------------------------------------------------------------------------------


def layer_count(state: Mapping[str, Tensor]) -> int:
    """Layers of a discriminator, in the release's way of counting."""
    return (max(int(match[1]) for key in state if (match := re.match(r"model\.(\d+)\.", key))) - 2) // 3


def our_key(recording: Recording, official: str, key: str) -> str:
    """Our name, inside the network, of an official tensor."""
    if official in GENERATORS:
        return str(rename(JUNYANZ_FORMAT.keys, f"{official}.{key}")).removeprefix(f"{GENERATORS[official]}.")
    layers = layer_count(recording.under(f"state/{official}/"))
    places = {0: "first", 2 + 3 * layers: "to_scores"} | {2 + 3 * n: f"convs.{n}" for n in range(layers)}
    _, place, kind = key.split(".")
    return f"{places[int(place)]}.{kind}"


def load(network: nn.Module, official: str, recording: Recording) -> None:
    """Fill a network; every official tensor has its place, and every place its tensor."""
    state = recording.under(f"state/{official}/")
    network.load_state_dict({our_key(recording, official, key): tensor for key, tensor in state.items()})


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
            network: nn.Module = Generator(config, config.channels_a, config.channels_b)
        else:
            state = recording.under(f"state/{official}/")
            width, channels_in = state["model.0.weight"].shape[:2]
            network = Discriminator(channels_in, width, layer_count(state))
        load(network, official, recording)
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
    for official, ours in NAMES.items():
        load(built.networks[ours], official, recording)
    return built


class OneBatch:
    """The recorded pictures, as the engine's source of samples."""

    def __init__(self, recording: Recording) -> None:
        self.batch = {domain: recording.tensors[f"input/{domain}"] for domain in "AB"}

    def draw(self, position: int) -> Mapping[str, Tensor]:
        return {domain: pictures[position] for domain, pictures in self.batch.items()}

    def preview(self, count: int) -> Mapping[str, Tensor]:
        return {domain: pictures[:count] for domain, pictures in self.batch.items()}

    def describe(self) -> Mapping[str, int]:
        return {domain: len(pictures) for domain, pictures in self.batch.items()}


def check_step(recording: Recording, case: Case) -> Iterator[Row]:
    """One step of the real engine, and the optimizers by themselves."""
    source = OneBatch(recording)
    built = build_trainer(recording, case)
    for name, found in pictures_of(built, source.batch).items():
        if f"output/{name}" in recording.tensors:
            yield recording.output(name, found, STEP_OUTPUT)
    gradients: dict[str, Tensor | None] = {}
    terms: Mapping[str, float] = {}
    engine = Engine(cast("Trainer[Record]", built), source, accelerator=open_accelerator("cpu"))
    for report in engine.phases():
        gradients |= gradients_of(recording, built, report.phase)
        terms = report.values
        if report.step_complete:
            break
    values = losses(terms, built)
    for key in recording.under("loss/"):
        yield recording.loss(key, values[key], STEP_LOSS)
    for key in recording.under("grad/"):
        yield recording.gradient(key, gradients[key], STEP_GRADIENT)
    for key in recording.under("after/"):
        yield from recording.after(key, tensor_of(recording, built, key), STEP_AFTER, case.resolved.lr)
    yield from check_optimizers(recording, case)


@torch.no_grad()
def pictures_of(built: CycleGANTrainer, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What the generators make of the batch, under the release's names."""
    made = built.translations(batch)
    found = {"fake_A": made["fake_A"], "fake_B": made["fake_B"]}
    found |= {"rec_A": built.b_to_a(made["fake_B"]), "rec_B": built.a_to_b(made["fake_A"])}
    # The release counts identities by the generator: G_A makes B from B.
    return found | {f"idt_{name}": made[same] for name, same in (("A", "same_B"), ("B", "same_A")) if same in made}


def gradients_of(recording: Recording, built: CycleGANTrainer, phase: str) -> dict[str, Tensor | None]:
    """The recorded parameters' gradients that a phase has just left."""
    learning = GENERATORS if phase == "generators" else JUDGED_BY
    found: dict[str, Tensor | None] = {}
    for key in recording.under("grad/"):
        official, inner = key.split("/")
        if official in learning:
            gradient = built.networks[NAMES[official]].get_parameter(our_key(recording, official, inner)).grad
            found[key] = None if gradient is None else gradient.clone()
    return found


def tensor_of(recording: Recording, built: CycleGANTrainer, key: str) -> Tensor:
    """The parameter "<official network>/<official key>"."""
    official, inner = key.split("/")
    return built.networks[NAMES[official]].state_dict()[our_key(recording, official, inner)]


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


def check_optimizers(recording: Recording, case: Case) -> Iterator[Row]:
    """One step from the recorded gradients: a wrong optimizer apart from a wrong gradient."""
    built = build_trainer(recording, case)
    stage = built.stages()[0]
    for key, gradient in recording.under("grad/").items():
        official, inner = key.split("/")
        parameter = built.networks[NAMES[official]].get_parameter(our_key(recording, official, inner))
        parameter.grad = gradient.clone()
    for phase in stage.phases:
        phase.optimizer.step()
    for key in recording.under("grad/"):
        if f"after/{key}" in recording.tensors:
            movement = recording.movement(key, case.resolved.lr)
            found = tensor_of(recording, built, key)
            error = (found - movement.after).abs().max().item() / movement.scale
            yield recording.row(f"optimizer alone: {key}", error, OPTIMIZER_ALONE)


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


# --- Pictures in and out ----------------------------------------------------------------------------------------------


def check_pictures(recording: Recording, case: Case) -> Iterator[Row]:
    """The transforms of training, and the saved picture."""
    joined = Image.fromarray(recording.tensors["input/image"].numpy())
    half = joined.width // 2
    pictures = {"A": joined.crop((0, 0, half, joined.height)), "B": joined.crop((half, 0, joined.width, joined.height))}
    for number, variant in enumerate(case.variants):
        preparation = Preparation(variant.preprocess, variant.load_size, variant.crop_size, flip=not variant.no_flip)
        left, top = variant.crop_pos
        for name, picture in pictures.items():
            channels: Channels = 1 if variant.gray_A and name == "A" else 3
            found = preparation.cut(preparation.scaled(picture, channels), Draws(flip=variant.flip, top=top, left=left))
            yield recording.output(f"{number}_{variant.preprocess}/{name}", found, TRANSFORM)
    generated = recording.tensors["input/generated"].numpy()
    cut = ((generated.transpose(1, 2, 0) + 1) / 2 * 255).astype(np.uint8)
    yield recording.output("tensor2im", torch.from_numpy(cut), EXACT)
    rounded = torch.from_numpy(to_picture(generated))
    yield recording.output("tensor2im", rounded, ONE_LEVEL, by="i2i_runtime, which rounds")
