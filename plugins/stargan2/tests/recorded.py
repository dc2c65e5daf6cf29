"""How the recordings of the authors' release are computed with our code.

Four kinds of file, told from the metadata's `config.kind`: forward passes of all networks ("nets"), the generator with
details that pass through masks ("w1"), the landmark network and what is made of its heat maps ("fan"), and one training
step ("train").
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, cast

import torch
from pydantic import BaseModel
from tests.parity.stepping import RecordedBatch
from torch import Tensor, nn
from torch.nn import functional as F

from i2i_plugin_stargan2.config import Config
from i2i_plugin_stargan2.face import face_masks, landmarks
from i2i_plugin_stargan2.fan import INPUT_SIDE, MAP_SIDE, FaceAlignmentNetwork
from i2i_plugin_stargan2.model import StarGAN2, mean_styles, truncated
from i2i_plugin_stargan2.networks import Discriminator, Generator
from i2i_plugin_stargan2.official import CLOVA_FORMAT, trunk_rules
from i2i_plugin_stargan2.trainer import Options, StarGAN2Trainer, diversity_factor
from i2i_registry.importing import rename
from i2i_registry.model import KeyMap
from i2i_registry.trainer import Step
from i2i_runtime import faces
from i2i_toolkit.devices import open_accelerator
from i2i_toolkit.engine import Engine

if TYPE_CHECKING:
    from tests.parity.judging import Row
    from tests.parity.recording import Recording

    from i2i_registry.trainer import Trainer
    from i2i_runtime.operations import Record

PAPER = "stargan2"
SOURCE = "clovaai/stargan-v2"

# Tolerances of the recordings' README.
VECTORS = 1e-5
PICTURES = 1e-4
HEATMAPS = 1e-5
MASKS = 1e-4
EXACT = 0.0
ALONE_LOSS = 1e-5
STEP_LOSS = 1e-4
JUDGING_GRADIENT = 1e-4
MAKING_GRADIENT = 5e-3
LAST_GRADIENT = 3e-2
FIRST_MOVE = 1e-6
MOVEMENT = 0.05
AVERAGE_MOVEMENT = 0.25
REACH = 2.2  # learning rates that a single number may be off, for every step it took: Adam steps by the sign here
UNMOVED = 1e-7  # the mapping network's average moves by less than float32 resolves

NAMES = {
    "generator": "generator",
    "mapping_network": "mapping",
    "style_encoder": "style_encoder",
    "discriminator": "discriminator",
    "fan": "fan",
}
"""official name of a network -> ours"""

PHASES = {
    "d_latent": "discriminator_latent",
    "d_ref": "discriminator_reference",
    "g_latent": "generator_latent",
    "g_ref": "generator_reference",
}
"""official name of an update -> ours"""

STEPS_TAKEN = {"generator": 2, "discriminator": 2, "mapping_network": 1, "style_encoder": 1}

DISCRIMINATOR_KEYS: KeyMap = (
    (r"main\.(?:8)\.(weight|bias)", r"to_logits.\1"),
    *trunk_rules("main", "trunk"),
)
"""Inside the discriminator of the recorded size: layer 8 follows four blocks and one last convolution."""


class Case(BaseModel):
    """The metadata's `config`: what the shapes do not tell."""

    kind: str
    img_size: int
    style_dim: int
    max_conv_dim: int
    channel_base: int
    w_hpf: float
    fan_width: tuple[int, int, int]
    subset: list[int] = []
    lambda_reg: float = 1
    lambda_sty: float = 1
    lambda_ds: float = 1
    lambda_cyc: float = 1
    ds_iter: int = 1
    lr: float = 0
    f_lr: float = 0
    beta1: float = 0
    beta2: float = 0
    weight_decay: float = 0


def check(recording: Recording) -> Iterator[Row]:
    """Compute what was recorded and compare."""
    case = Case.model_validate(recording.config)
    kinds = {"nets": check_networks, "w1": check_details, "fan": check_faces, "train": check_step}
    yield from kinds[case.kind](recording, case)


# --- Names and networks -----------------------------------------------------------------------------------------------


def our_key(network: str, key: str) -> str:
    """Our name, inside the network, of an official tensor."""
    if network == "discriminator":
        return str(rename(DISCRIMINATOR_KEYS, key))
    return str(rename(CLOVA_FORMAT.keys, f"{network}.{key}")).removeprefix(f"{NAMES[network]}.")


def load(network: nn.Module, official: str, recording: Recording) -> None:
    """Fill a network; every official tensor has its place, and every place its tensor."""
    state = recording.under(f"state/{official}/")
    network.load_state_dict({our_key(official, key): tensor for key, tensor in state.items() if "num_b" not in key})


def infer_config(recording: Recording) -> Config:
    """The Config, told from the tensors as for a checkpoint."""
    state = recording.under("state/")
    return CLOVA_FORMAT.infer_config({key.replace("/", ".", 1): tuple(tensor.shape) for key, tensor in state.items()})


def build_model(recording: Recording) -> StarGAN2:
    """The recorded networks."""
    model = StarGAN2(infer_config(recording))
    for official, ours in NAMES.items():
        if ours in model.networks:
            load(model.networks[ours], official, recording)
    return model


# --- Forward passes ---------------------------------------------------------------------------------------------------


@torch.no_grad()
def check_networks(recording: Recording, case: Case) -> Iterator[Row]:
    """Every network on its input, and what is computed with styles."""
    tensors, model = recording.tensors, build_model(recording)
    discriminator = Discriminator(model.config)
    load(discriminator, "discriminator", recording)
    x, z, y, y_source = (tensors[f"input/{name}"] for name in ("x", "z", "y", "y_src"))
    mapped, encoded = model.mapping(z, y), model.style_encoder(tensors["input/x_ref"], y)
    mean = mean_styles(model.mapping, tensors["input/z_many"])[None, y[0]]
    shortened = truncated(model.mapping(z, y[:1].expand(len(z))), mean, torch.tensor([0.7]))
    by_latent, by_reference = model.generator(x, mapped), model.generator(x, encoded)
    vectors = {
        "mapping_selected": mapped,
        "mapping_all": model.mapping.of_all_domains(z),
        "style_selected": encoded,
        "style_all": model.style_encoder.of_all_domains(tensors["input/x_ref"]),
        "s_avg": mean,
        "s_psi_0.7": shortened,
        "disc_selected": discriminator(x, y_source),
        "disc_all": discriminator.of_all_domains(x),
        "disc_fake": discriminator(by_latent, y),
    }
    pictures = {
        "translate_latent": by_latent,
        "translate_reference": by_reference,
        "reconstruct": model.generator(by_reference, model.style_encoder(x, y_source)),
        "translate_psi_0.7_item0": model.generator(x[:1], shortened[:1]),
        "translate_wide": model.generator(tensors["input/x_wide"], mapped[:1]),
    }
    for found, tolerance in ((vectors, VECTORS), (pictures, PICTURES)):
        for key, value in found.items():
            yield recording.output(key, value, tolerance)
    wanted = (case.img_size, case.channel_base, case.max_conv_dim)
    config = model.config
    inferred = (config.image_size, config.channel_base, config.max_channels)
    yield recording.row("sizes told from shapes", float(inferred != wanted), EXACT)


@torch.no_grad()
def check_details(recording: Recording, case: Case) -> Iterator[Row]:
    """The generator whose details pass by: through masks, and without."""
    config = Config(
        image_size=case.img_size,
        channel_base=case.channel_base,
        max_channels=case.max_conv_dim,
        style_length=case.style_dim,
        high_pass=case.w_hpf,
    )
    generator = Generator(config)
    fresh = generator.high_pass
    assert fresh is not None
    x, style, whole, inner = (recording.tensors[f"input/{name}"] for name in ("x", "s", "mask0", "mask1"))
    yield recording.output("hpf_of_x", fresh(x), VECTORS, by="a filter made for w_hpf")
    load(generator, "generator", recording)
    yield recording.output("fake_masks", generator(x, style, whole, inner), PICTURES)
    yield recording.output("fake_nomasks", generator(x, style), PICTURES)


@torch.no_grad()
def check_faces(recording: Recording, case: Case) -> Iterator[Row]:
    """Heat maps, and masks and places made from them."""
    fan = FaceAlignmentNetwork(case.fan_width[0])
    load(fan, "fan", recording)
    x, bumps = recording.tensors["input/x"], recording.tensors["input/heatmaps"].float()
    resized = F.interpolate(x, size=(INPUT_SIDE, INPUT_SIDE), mode="bilinear", align_corners=False)
    maps = fan.all_maps(resized * 0.5 + 0.5)
    yield recording.output("raw_heatmaps_subset", maps[:, case.subset], HEATMAPS)
    yield recording.output("raw_heatmaps_channel_mean", maps.mean((2, 3)), HEATMAPS)
    for name, heatmaps in (("net", fan(x)), ("bump", bumps)):
        for number, mask in enumerate(face_masks(heatmaps)):
            yield recording.output(f"{name}_mask{number}", mask, MASKS)
    yield recording.output("bump_landmarks", landmarks(bumps), EXACT)
    ours = torch.from_numpy(faces.landmarks(bumps[0].numpy()))[None].float() * (INPUT_SIDE // MAP_SIDE)
    yield recording.output("bump_landmarks", ours, EXACT, by="i2i_runtime")


# --- One training step ------------------------------------------------------------------------------------------------


class RecordedLatents(StarGAN2Trainer):
    """The trainer with the recorded latents in the place of its own: z, then z2, for every step."""

    recording: Recording
    drawn: int = 0

    def latents(self, count: int, like: Tensor) -> Tensor:
        drawn = self.recording.tensors[("input/z_trg", "input/z_trg2")[self.drawn % 2]]
        assert len(drawn) == count
        self.drawn += 1
        return drawn.to(like.device)


def build_trainer(recording: Recording, case: Case) -> RecordedLatents:
    """The recorded networks and options."""
    options = Options(
        batch_size=len(recording.tensors["input/x_src"]),
        learning_rate=case.lr,
        mapping_learning_rate=case.f_lr,
        betas=(case.beta1, case.beta2),
        weight_decay=case.weight_decay,
        r1_weight=case.lambda_reg,
        style_weight=case.lambda_sty,
        cycle_weight=case.lambda_cyc,
        diversity_weight=case.lambda_ds,
        diversity_steps=case.ds_iter,
    )
    trainer = RecordedLatents(build_model(recording), options)
    trainer.recording = recording
    load(trainer.discriminator, "discriminator", recording)
    return trainer


def recorded_batch(recording: Recording) -> RecordedBatch:
    """The recorded pictures and domains, under the names of the trainer's samples."""
    names = {
        "image": "x_src",
        "domain": "y_src",
        "reference": "x_ref",
        "other_reference": "x_ref2",
        "reference_domain": "y_ref",
    }
    return RecordedBatch({ours: recording.tensors[f"input/{theirs}"] for ours, theirs in names.items()})


def check_step(recording: Recording, case: Case) -> Iterator[Row]:
    """Each phase alone, and one step of the real engine."""
    for official in PHASES:
        yield from check_alone(recording, case, official)
    trainer = build_trainer(recording, case)
    engine = Engine(cast("Trainer[Record]", trainer), recorded_batch(recording), accelerator=open_accelerator("cpu"))
    for official, report in zip(PHASES, engine.phases(), strict=False):
        start = f"{report.phase}/"
        terms = {key.removeprefix(start): value for key, value in report.values.items() if key.startswith(start)}
        yield from check_losses(recording, case, official, terms, STEP_LOSS)
        yield from check_gradients(recording, trainer, official, MAKING_GRADIENT if official != "g_ref" else None)
        yield from check_parameters(recording, case, trainer, f"after_{official}")
        if report.step_complete:
            break
    yield from check_parameters(recording, case, trainer, "after")
    yield from check_averages(recording, engine)
    weight = trainer.diversity_weight * diversity_factor(2, case.ds_iter)
    yield recording.loss("lambda_ds_after", weight, 1e-12)


def check_alone(recording: Recording, case: Case, official: str) -> Iterator[Row]:
    """One phase at the given state, no step before."""
    trainer = build_trainer(recording, case)
    (stage,) = trainer.stages()
    batch = recorded_batch(recording).batch
    phase = next(phase for phase in stage.phases if phase.name == PHASES[official])
    terms = phase.loss(Step(number=1, batch=batch, shared=stage.shared(batch)))
    torch.stack([*terms.values()]).sum().backward()
    values = {name: float(term.detach()) for name, term in terms.items()}
    yield from check_losses(recording, case, f"iso_{official}", values, ALONE_LOSS)
    yield from check_gradients(recording, trainer, f"iso_{official}", MAKING_GRADIENT)


def check_losses(
    recording: Recording, case: Case, phase: str, terms: Mapping[str, float], tolerance: float
) -> Iterator[Row]:
    """Terms with their weights and without, and their sum."""
    names = {
        "real": ("real", 1.0),
        "fake": ("fake", 1.0),
        "r1": ("reg", case.lambda_reg),
        "adversarial": ("adv", 1.0),
        "style": ("sty", case.lambda_sty),
        "diversity": ("ds", -case.lambda_ds),
        "cycle": ("cyc", case.lambda_cyc),
    }
    for ours, value in terms.items():
        theirs, weight = names[ours]
        yield recording.loss(f"{phase}/{theirs}", value / weight, tolerance)
        yield recording.loss(f"{phase}/{theirs}_weighted", value, tolerance)
    yield recording.loss(f"{phase}/total", sum(terms.values()), tolerance)


def check_gradients(recording: Recording, trainer: RecordedLatents, phase: str, making: float | None) -> Iterator[Row]:
    """The gradients that a phase has left; `making` is the tolerance for what makes pictures."""
    for key in recording.under(f"grad/{phase}/"):
        official, inner = key.split("/")
        gradient = trainer.networks[NAMES[official]].get_parameter(our_key(official, inner)).grad
        tolerance = JUDGING_GRADIENT if official == "discriminator" else making or LAST_GRADIENT
        yield recording.gradient(f"{phase}/{key}", gradient, tolerance)


def check_parameters(recording: Recording, case: Case, trainer: RecordedLatents, place: str) -> Iterator[Row]:
    """Parameters after a phase, or at the end of the step: as a share of their movement, and none too far."""
    for key, after in recording.under(f"{place}/").items():
        official, inner = key.split("/")
        if official not in NAMES:
            continue  # averages
        recording.compared.add(f"{place}/{key}")
        found = trainer.networks[NAMES[official]].get_parameter(our_key(official, inner)).detach()
        if place == "after_d_latent":
            yield recording.row(f"{place}/{key}", float((found - after).abs().max()), FIRST_MOVE)
        else:
            yield recording.row(f"{place}/{key}", share_of_movement(recording, key, found, after), MOVEMENT)
        steps = STEPS_TAKEN[official] if place == "after" else 1
        reach = REACH * steps * (case.f_lr if official == "mapping_network" else case.lr)
        yield recording.row(f"{place}/{key} in reach", float((found - after).abs().max()) / reach, 1.0)


def check_averages(recording: Recording, engine: Engine) -> Iterator[Row]:
    """The moving averages at the end of the step."""
    for key, after in recording.under("after/ema_").items():
        official, inner = key.split("/")
        recording.compared.add(f"after/ema_{key}")
        found = engine.averages.tensors[NAMES[official]][our_key(official, inner)]
        if official == "mapping_network":
            yield recording.row(f"after/ema_{key}", float((found - after).abs().max()), UNMOVED)
        else:
            error = share_of_movement(recording, key, found, after)
            yield recording.row(f"after/ema_{key}", error, AVERAGE_MOVEMENT)


def share_of_movement(recording: Recording, key: str, found: Tensor, after: Tensor) -> float:
    """Mean difference over how far the tensor moved from the given state, in the mean."""
    moved = (after - recording.tensors[f"state/{key}"]).abs().mean()
    return float((found - after).abs().mean() / moved)
