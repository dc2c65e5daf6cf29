"""How the recordings of the authors' release are computed with our code.

Four kinds of file, told from their keys and from the networks that they hold: one training step ("train": there are
losses), the landmark network and what is made of its heat maps ("fan"), the generator alone with details that pass
through masks ("details"), and forward passes of all networks ("nets").
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import torch
from tests.parity.comparison import Row, absolute_error, difference
from tests.parity.names import our_name
from tests.parity.options import Options as RecordedOptions
from tests.parity.recording import Recording
from tests.parity.stepping import OurKey, engine_of, load
from torch import Tensor, nn
from torch.nn import functional as F

from i2i_plugin_stargan2.config import ENCODED_SIDE, Config
from i2i_plugin_stargan2.model import StarGAN2
from i2i_plugin_stargan2.networks import Discriminator, Generator, mean_styles, truncated
from i2i_plugin_stargan2.networks.face import face_masks, landmarks
from i2i_plugin_stargan2.networks.fan import INPUT_SIDE, MAP_SIDE, FaceAlignmentNetwork
from i2i_plugin_stargan2.official import CLOVA_FORMAT, trunk_table
from i2i_plugin_stargan2.trainer import Options, StarGAN2Trainer, diversity_factor
from i2i_registry import Step
from i2i_runtime import heatmap_landmarks

if TYPE_CHECKING:
    from i2i_toolkit import Engine

PAPER = "stargan2"
SOURCE = "clovaai/stargan-v2"

# Tolerances of the recordings' README; absolute ones of a step as a share of the learning rate.
UP_TO = 7.0  # the largest numbers that those of outputs were stated for
VECTORS = 1e-5
IMAGES = 1e-4
HEATMAPS = 1e-5
MASKS = 1e-4
EXACT = 0.0
ALONE_LOSS = 1e-5
STEP_LOSS = 1e-4
DISCRIMINATOR_GRADIENT = 1e-4
GENERATOR_GRADIENT = 5e-3
LAST_GRADIENT = 3e-2
FIRST_MOVE = 1e-2
MOVEMENT = 0.05
AVERAGE_MOVEMENT = 0.25
REACH = 2.2  # learning rates that a single number may be off, for every step it took: Adam steps by the sign here
UNMOVED = 1e-7
RESOLUTION = 2e-8
"""Mean movements below this share of the tensor's mean magnitude are lost in float32, and the difference itself is
judged: so the average of a mapping network that learns slowly."""

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

# Options that the landmark network knows nothing of.
SIZES = ("style_dim", "latent_dim", "num_domains", "hidden_dim", "max_conv_dim", "channel_base", "w_hpf")


class Case(RecordedOptions):
    """The metadata, with the release's defaults of what a training decides."""

    mode: str
    kind: str
    batch: int
    img_size: int
    style_dim: int
    latent_dim: int
    num_domains: int
    hidden_dim: int
    max_conv_dim: int
    channel_base: int
    w_hpf: float
    fan_width: tuple[int, int, int]
    mask_size: int = INPUT_SIDE
    subset: tuple[int, ...] = ()
    y_src: list[int] | None = None
    y_trg: list[int] | None = None
    lambda_reg: float = 1.0
    lambda_sty: float = 1.0
    lambda_ds: float = 1.0
    lambda_cyc: float = 1.0
    ds_iter: int = 100_000
    lr: float = 1e-4
    f_lr: float = 1e-6
    beta1: float = 0.0
    beta2: float = 0.99
    weight_decay: float = 1e-4

    def config(self) -> Config:
        """Ours."""
        return Config(
            image_size=self.img_size,
            domains=tuple(f"domain_{number}" for number in range(self.num_domains)),
            channel_base=self.channel_base,
            max_channels=self.max_conv_dim,
            latent_dim=self.latent_dim,
            style_dim=self.style_dim,
            mapping_channels=self.hidden_dim,
            high_pass=self.w_hpf,
            fan_channels=self.fan_width[0],
        )


def kind_of(recording: Recording) -> str:
    """What a file holds."""
    if recording.holds("loss/"):
        return "train"
    if recording.networks() == ["fan"]:
        return "fan"
    return "details" if recording.networks() == ["generator"] else "nets"


def check(recording: Recording) -> Iterator[Row]:
    """Compute what was recorded and compare."""
    case, kind = recording.options(Case), kind_of(recording)
    recording.up_to = UP_TO
    recording.ignore("what it drew is recorded", "seed")
    yield recording.agrees("kind", case.kind, {"details": "w1"}.get(kind, kind))
    yield recording.agrees("mode", case.mode, "train" if kind == "train" else "eval")
    width = case.fan_width[0]
    yield recording.agrees("fan_width", case.fan_width, (width, 2 * width, 4 * width))
    kinds = {"nets": check_networks, "details": check_details, "fan": check_faces, "train": check_step}
    yield from kinds[kind](recording, case)


# --- Names and networks -----------------------------------------------------------------------------------------------


def our_key_of(recording: Recording) -> OurKey:
    """Our name, inside the network, of an official tensor; the discriminator's last layer is the one to the logits."""
    scales = [int(key.split(".")[1]) for key in recording.under("state/discriminator/")]
    last = max(scales, default=0)
    encoding = sum(key.endswith(".conv1.weight") for key in recording.under("state/style_encoder/"))
    sizes = Config(image_size=ENCODED_SIDE * 2**encoding) if encoding else Config()
    table = CLOVA_FORMAT.table(sizes.model_copy(update={"domains": tuple("abcdefghijkl")}))
    table = {**table, **trunk_table("discriminator.main", "discriminator.trunk", last - 4)}
    table[f"discriminator.main.{last}"] = "discriminator.to_logits"

    def our_key(network: str, key: str) -> str:
        return our_name(table, f"{network}.{key}", NAMES[network])

    return our_key


def fill(network: nn.Module, official: str, recording: Recording) -> None:
    """Fill a network; the counters of batch norms, which decide nothing, have no place."""
    load(network, official, recording, our_key_of(recording), derived="num_batches_tracked")


def check_sizes(recording: Recording, case: Case) -> Iterator[Row]:
    """What an import tells from the tensors, as far as they show it, and the sizes that the options state."""
    shapes = {key.replace("/", ".", 1): tuple(t.shape) for key, t in recording.under("state/").items()}
    found, stated = CLOVA_FORMAT.infer_config(shapes), case.config()
    for option in ("image_size", "domains", "channel_base", "latent_dim", "style_dim", "mapping_channels"):
        yield recording.agrees(option, getattr(stated, option), getattr(found, option))
    yield recording.agrees("max_conv_dim", stated.trunk_widths, found.trunk_widths)
    yield recording.agrees("w_hpf", stated.has_masks, found.has_masks)


def build_model(recording: Recording, case: Case) -> StarGAN2:
    """The recorded networks."""
    model = StarGAN2(case.config())
    for official in recording.networks():
        if NAMES[official] in model.networks:
            fill(model.networks[NAMES[official]], official, recording)
    return model


# --- Forward passes ---------------------------------------------------------------------------------------------------


@torch.no_grad()
def check_networks(recording: Recording, case: Case) -> Iterator[Row]:
    """Every network on its input, and what is computed with styles."""
    recording.ignore("there is no landmark network", "fan_width")
    tensors = recording.tensors
    yield from check_sizes(recording, case)
    model = build_model(recording, case)
    discriminator = Discriminator(model.config)
    fill(discriminator, "discriminator", recording)
    x, z, y, y_source = (tensors[f"input/{name}"] for name in ("x", "z", "y", "y_src"))
    mapped, encoded = model.mapping(z, y), model.style_encoder(tensors["input/x_ref"], y)
    yield recording.agrees("batch", case.batch, len(x))
    mean = mean_styles(model.mapping, tensors["input/z_many"])[None, y[0]]
    by_latent, by_reference = model.generator(x, mapped), model.generator(x, encoded)
    vectors = {
        "mapping_selected": mapped,
        "mapping_all": model.mapping.of_all_domains(z),
        "style_selected": encoded,
        "style_all": model.style_encoder.of_all_domains(tensors["input/x_ref"]),
        "s_avg": mean,
        "disc_selected": discriminator(x, y_source),
        "disc_all": discriminator.of_all_domains(x),
        "disc_fake": discriminator(by_latent, y),
    }
    images = {
        "translate_latent": by_latent,
        "translate_reference": by_reference,
        "reconstruct": model.generator(by_reference, model.style_encoder(x, y_source)),
        "translate_wide": model.generator(tensors["input/x_wide"], mapped[:1]),
    }
    for found, tolerance in ((vectors, VECTORS), (images, IMAGES)):
        for key, value in found.items():
            yield recording.output(key, value, tolerance)
    for psi in recording.under("output/s_psi_"):
        shortened = truncated(model.mapping(z, y[:1].expand(len(z))), mean, torch.tensor([float(psi)]))
        yield recording.output(f"s_psi_{psi}", shortened, VECTORS)
        for key in recording.under(f"output/translate_psi_{psi}_item"):
            one = slice(int(key), int(key) + 1)
            found = model.generator(x[one], shortened[one])
            yield recording.output(f"translate_psi_{psi}_item{key}", found, IMAGES)


@torch.no_grad()
def check_details(recording: Recording, case: Case) -> Iterator[Row]:
    """The generator whose details pass by: through masks, and without."""
    recording.ignore("only the generator is there", "latent_dim", "num_domains", "hidden_dim", "fan_width")
    generator = Generator(case.config())
    fresh = generator.high_pass
    assert fresh is not None
    x, style, whole, inner = (recording.tensors[f"input/{name}"] for name in ("x", "s", "mask0", "mask1"))
    yield recording.agrees("batch", case.batch, len(x))
    yield recording.agrees("mask_size", case.mask_size, whole.shape[-1])
    yield recording.output("hpf_of_x", fresh(x), VECTORS, by="a filter made for w_hpf")
    fill(generator, "generator", recording)
    yield recording.output("fake_masks", generator(x, style, whole, inner), IMAGES)
    yield recording.output("fake_nomasks", generator(x, style), IMAGES)


@torch.no_grad()
def check_faces(recording: Recording, case: Case) -> Iterator[Row]:
    """Heat maps, and masks and places made from them."""
    recording.ignore("only the landmark network is there", *SIZES)
    recording.ignore("the other networks' batch", "batch")
    fan = FaceAlignmentNetwork(case.fan_width[0])
    fill(fan, "fan", recording)
    x, bumps = recording.tensors["input/x"], recording.tensors["input/heatmaps"].float()
    yield recording.agrees("img_size", case.img_size, x.shape[-1])
    resized = F.interpolate(x, size=(INPUT_SIDE, INPUT_SIDE), mode="bilinear", align_corners=False)
    maps = fan.all_maps(resized * 0.5 + 0.5)
    yield recording.output("raw_heatmaps_subset", maps[:, case.subset], HEATMAPS)
    yield recording.output("raw_heatmaps_channel_mean", maps.mean((2, 3)), HEATMAPS)
    for name, heatmaps in (("net", fan(x)), ("bump", bumps)):
        for number, mask in enumerate(face_masks(heatmaps)):
            yield recording.output(f"{name}_mask{number}", mask, MASKS)
    yield recording.output("bump_landmarks", landmarks(bumps), EXACT)
    ours = torch.from_numpy(heatmap_landmarks(bumps[0].numpy()))[None].float() * (INPUT_SIDE // MAP_SIDE)
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

    def parameter(self, key: str) -> nn.Parameter:
        """The parameter "<official network>/<official key>"."""
        official, inner = key.split("/")
        return self.all_networks[NAMES[official]].get_parameter(our_key_of(self.recording)(official, inner))


def build_trainer(recording: Recording, case: Case) -> RecordedLatents:
    """The recorded networks and options."""
    options = Options(
        batch_size=case.batch,
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
    trainer = RecordedLatents(build_model(recording, case), options)
    trainer.recording = recording
    fill(trainer.discriminator, "discriminator", recording)
    return trainer


def batch_of(recording: Recording) -> dict[str, Tensor]:
    """The recorded images and domains, under the names of the trainer's samples."""
    names = {
        "image": "x_src",
        "domain": "y_src",
        "reference": "x_ref",
        "other_reference": "x_ref2",
        "reference_domain": "y_ref",
    }
    return {ours: recording.tensors[f"input/{theirs}"] for ours, theirs in names.items()}


def check_step(recording: Recording, case: Case) -> Iterator[Row]:
    """Each phase alone, and one step of the real engine."""
    yield from check_sizes(recording, case)
    batch = batch_of(recording)
    yield recording.agrees("batch", case.batch, len(batch["image"]))
    for option, stated, domains in (("y_src", case.y_src, "domain"), ("y_trg", case.y_trg, "reference_domain")):
        yield recording.agrees(option, stated, None if stated is None else batch[domains].tolist())
    yield recording.loss("lambda_ds_after", case.lambda_ds * diversity_factor(2, case.ds_iter), 1e-12)
    for official in PHASES:
        yield from check_alone(recording, case, official)
    trainer = build_trainer(recording, case)
    engine = engine_of(trainer, batch)
    for official, report in zip(PHASES, engine.phases(), strict=False):
        start = f"{report.phase}/"
        reported = {key.removeprefix(start): value for key, value in report.values.items() if key.startswith(start)}
        yield from check_losses(recording, case, official, reported, STEP_LOSS)
        yield from check_gradients(recording, trainer, official, GENERATOR_GRADIENT if official != "g_ref" else None)
        yield from check_parameters(recording, case, trainer, f"after_{official}")
        if report.step_complete:
            break
    yield from check_parameters(recording, case, trainer, "after")
    yield from check_averages(recording, engine)


def check_alone(recording: Recording, case: Case, official: str) -> Iterator[Row]:
    """One phase at the given state, no step before."""
    trainer = build_trainer(recording, case)
    (stage,) = trainer.stages()
    batch = batch_of(recording)
    phase = next(phase for phase in stage.phases if phase.name == PHASES[official])
    reported = phase.losses(Step(number=1, batch=batch, shared=trainer.shared(Step(1, batch, None))))
    torch.stack([*reported.values()]).sum().backward()
    values = {name: float(loss.detach()) for name, loss in reported.items()}
    yield from check_losses(recording, case, f"iso_{official}", values, ALONE_LOSS)
    yield from check_gradients(recording, trainer, f"iso_{official}", GENERATOR_GRADIENT)


def check_losses(
    recording: Recording, case: Case, phase: str, reported: Mapping[str, float], tolerance: float
) -> Iterator[Row]:
    """Losses with their weights and without, and their sum. Without its weight, one of weight 0 cannot be told."""
    names = {
        "real": ("real", 1.0),
        "fake": ("fake", 1.0),
        "r1": ("reg", case.lambda_reg),
        "adversarial": ("adv", 1.0),
        "style": ("sty", case.lambda_sty),
        "diversity": ("ds", -case.lambda_ds),
        "cycle": ("cyc", case.lambda_cyc),
    }
    for ours, value in reported.items():
        theirs, weight = names[ours]
        if weight:
            yield recording.loss(f"{phase}/{theirs}", value / weight, tolerance)
        yield recording.loss(f"{phase}/{theirs}_weighted", value, tolerance)
    yield recording.loss(f"{phase}/total", sum(reported.values()), tolerance)


def check_gradients(
    recording: Recording, trainer: RecordedLatents, phase: str, generator: float | None
) -> Iterator[Row]:
    """The gradients that a phase has left; `generator` is the tolerance of the generator's networks."""
    for key in recording.under(f"grad/{phase}/"):
        tolerance = DISCRIMINATOR_GRADIENT if key.startswith("discriminator/") else generator or LAST_GRADIENT
        yield recording.gradient(f"{phase}/{key}", trainer.parameter(key).grad, tolerance)


def check_parameters(recording: Recording, case: Case, trainer: RecordedLatents, place: str) -> Iterator[Row]:
    """Parameters after a phase, or at the end of the step: as a share of their movement, and none too far."""
    for key, after in recording.under(f"{place}/").items():
        official = key.partition("/")[0]
        if official not in NAMES:
            continue  # averages
        recording.compared.add(f"{place}/{key}")
        found, rate = trainer.parameter(key).detach(), case.f_lr if official == "mapping_network" else case.lr
        error = absolute_error(found, after)
        if place == "after_d_latent":
            yield recording.row(f"{place}/{key}", error / rate, FIRST_MOVE)
        else:
            yield recording.row(f"{place}/{key}", share_of_movement(recording, key, found, after), MOVEMENT)
        steps = STEPS_TAKEN[official] if place == "after" else 1
        yield recording.row(f"{place}/{key} in reach", error / (REACH * steps * rate), 1.0)


def check_averages(recording: Recording, engine: Engine) -> Iterator[Row]:
    """The moving averages at the end of the step."""
    our_key = our_key_of(recording)
    for key, after in recording.under("after/ema_").items():
        official, inner = key.split("/")
        recording.compared.add(f"after/ema_{key}")
        found = engine.ema.tensors[NAMES[official]][our_key(official, inner)]
        moved = (after - recording.tensors[f"state/{key}"]).abs().mean()
        if moved < RESOLUTION * after.abs().mean():
            yield recording.row(f"after/ema_{key}", absolute_error(found, after), UNMOVED)
        else:
            error = share_of_movement(recording, key, found, after)
            yield recording.row(f"after/ema_{key}", error, AVERAGE_MOVEMENT)


def share_of_movement(recording: Recording, key: str, found: Tensor, after: Tensor) -> float:
    """Mean difference over how far the tensor moved from the given state, in the mean."""
    moved = (after - recording.tensors[f"state/{key}"]).abs().mean()
    return float(difference(found, after).mean() / moved)
