"""How the recordings of the authors' code are computed with ours.

Three kinds of file, told from their keys: one training step ("train": there are losses), forward passes of the
generator ("generator") and of the critic ("critic").
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import cast

import numpy as np
import torch
from tests.parity.comparison import WEAK_GRADIENT, Row, difference, scale_of
from tests.parity.names import our_name
from tests.parity.options import Options as RecordedOptions
from tests.parity.recording import Recording
from tests.parity.stepping import RecordedStep, StepTolerances, load
from torch import Tensor, nn
from torch.nn import functional as F

from i2i_plugin_ingan.config import Config, Options
from i2i_plugin_ingan.model import GENERATOR, GRAPH, InGAN
from i2i_plugin_ingan.networks.critic import MultiScaleCritic, PatchCritic, net_count, scale_weights
from i2i_plugin_ingan.networks.geometry import homography_grid, resize_grid
from i2i_plugin_ingan.official import INGAN_FORMAT, critic_table, generator_table
from i2i_plugin_ingan.trainer import InGANTrainer, Retargeted
from i2i_registry import Losses, Step
from i2i_runtime import SamplingGrid, Shifts, fold_points, homography_matrix, homography_points, sampling_grid
from i2i_toolkit import Cursor

PAPER = "ingan"
SOURCE = "assafshocher/InGAN"
TABLE = {**generator_table(Config(blocks=16, downscales=5)), **critic_table(16)}
"""for any size of both networks"""

# Tolerances of the recordings' README; that of parameters after a step (absolute 2e-6 at a learning rate of 5e-5) as a
# share of the learning rate.
UP_TO = 1.4  # the largest numbers that those of outputs were stated for
FORWARD = 5e-5
THETA = 1e-6
GRID = 1e-5
MAPS = 1e-5
WEIGHTS = 1e-12
STEP_LOSS = 1e-5
AFTER = 4e-2
STEP = StepTolerances(loss=STEP_LOSS, gradient=AFTER, after=AFTER)
BUFFERS = 2e-6

REACH = 2.01
"""Learning rates for every step taken that an entry whose gradient is next to nothing may be off: Adam steps by the
sign there. A bias in front of a norm has no other entries."""
NO_GRADIENT = 1e-7
"""What rounding makes of a gradient that is 0, at most."""

NETWORKS = {"G": GENERATOR, "D": "critic"}
"""official name of a network -> ours"""


class Case(RecordedOptions):
    """The metadata, with the release's defaults; which options there are depends on the file."""

    mode: str
    H: int = 0
    W: int = 0
    sizes: tuple[tuple[int, int], ...] = ()
    homographies: tuple[tuple[tuple[int, int], tuple[float, float]], ...] = ()
    mask_scale: tuple[float, float] = (1.0, 1.0)
    must_divide: int = 8
    G_base_channels: int | None = None
    G_num_downscales: int | None = None
    G_num_resblocks: int | None = None
    output_crop_size: int = 256
    D_base_channels: int | None = None
    D_scale_factor: float = 1.4
    D_scale_weights_iter_for_even_scales: int = 25_000
    inputs: tuple[tuple[int, int, int], ...] = ()
    num_nets: int | None = None
    scale_weights: dict[str, list[float]] | None = None
    iter: int = 0
    out_size: tuple[int, int] = (0, 0)
    shifts: tuple[float, float] = (0.0, 0.0)
    g_lr: float = 5e-5
    d_lr: float = 5e-5
    beta1: float = 0.5
    reconstruct_loss_proportion: float = 0.1
    G_extra_inverse_train_start_iter: int = 10_000
    G_extra_inverse_train_ratio: float = 1.0


def kind_of(recording: Recording) -> str:
    """What a file holds."""
    if recording.holds("loss/"):
        return "train"
    return "generator" if recording.holds("state/G/") else "critic"


def check(recording: Recording) -> Iterator[Row]:
    """Compute what was recorded and compare."""
    case = recording.options(Case)
    recording.up_to = UP_TO
    recording.ignore("images, weights and noise are recorded", "picture", "picture2", "gain", "seed")
    yield recording.agrees("mode", case.mode, "train")
    if recording.holds("state/G/"):
        yield from check_generator_sizes(recording, case)
    if recording.holds("state/D/"):
        yield from check_critic_sizes(recording, case)
    kinds = {"train": check_step, "generator": check_generator, "critic": check_critic}
    yield from kinds[kind_of(recording)](recording, case)


# --- Names and networks -----------------------------------------------------------------------------------------------


def our_key(official: str, key: str) -> str:
    """Our name, inside the network, of an official tensor."""
    return our_name(TABLE, f"{official}.{key}", {"G": "generator", "D": "critic"}[official])


def fill(network: nn.Module, official: str, recording: Recording) -> None:
    """Fill a network with all that is recorded and not derived: v follows from u."""
    load(network, official, recording, our_key, derived="weight_v")


def infer_config(recording: Recording) -> Config:
    """The generator's sizes, told from the tensors as for a checkpoint."""
    return INGAN_FORMAT.infer_config({f"G.{key}": tuple(t.shape) for key, t in recording.under("state/G/").items()})


def check_generator_sizes(recording: Recording, case: Case) -> Iterator[Row]:
    """Sizes that the options state."""
    found = infer_config(recording)
    image = recording.tensors.get("input/image_u8", recording.tensors.get("input/input_crop_u8"))
    assert image is not None
    yield recording.agrees("H, W", (case.H, case.W), tuple(image.shape[:2]))
    for option, stated, there in (
        ("G_base_channels", case.G_base_channels, found.channels),
        ("G_num_downscales", case.G_num_downscales, found.downscales),
        ("G_num_resblocks", case.G_num_resblocks, found.blocks),
    ):
        if stated is not None:
            yield recording.agrees(option, stated, there)


def check_critic_sizes(recording: Recording, case: Case) -> Iterator[Row]:
    """Sizes that the options state."""
    recorded = 1 + max(int(key.split(".")[1]) for key in recording.under("state/D/"))
    counted = net_count(case.output_crop_size, case.output_crop_size, case.D_scale_factor)
    yield recording.agrees("output_crop_size, D_scale_factor", counted, recorded)
    for option, stated, there in (
        ("num_nets", case.num_nets, recorded),
        ("D_base_channels", case.D_base_channels, recording.tensors["state/D/nets.0.0.weight_orig"].shape[0]),
    ):
        if stated is not None:
            yield recording.agrees(option, stated, there)


def build_model(recording: Recording) -> InGAN:
    """The recorded generator, in training mode as the authors' code always is."""
    model = InGAN(infer_config(recording))
    fill(model.generator, "G", recording)
    model.generator.train()
    return model


def make_critic(recording: Recording, case: Case, kind: type[MultiScaleCritic] = MultiScaleCritic) -> MultiScaleCritic:
    """The recorded critic, in training mode."""
    nets = net_count(case.output_crop_size, case.output_crop_size, case.D_scale_factor)
    critic = kind(recording.tensors["state/D/nets.0.0.weight_orig"].shape[0], nets, case.D_scale_factor)
    fill(critic, "D", recording)
    return critic.train()


def weights_of(case: Case, size: tuple[int, int], iteration: int) -> tuple[float, ...]:
    """What each scale counts."""
    return scale_weights(*size, iteration, case.D_scale_weights_iter_for_even_scales, case.D_scale_factor)


def image(recording: Recording, key: str) -> Tensor:
    """A recorded image, [1, 3, h, w] in [-1, 1]."""
    return recording.tensors[f"input/{key}"].permute(2, 0, 1)[None].float() / 255 * 2 - 1


# --- The generator ----------------------------------------------------------------------------------------------------


@torch.no_grad()
def check_generator(recording: Recording, case: Case) -> Iterator[Row]:
    """Plain resizes, homographies, and what the two leave behind."""
    real, source = image(recording, "image_u8"), (case.H, case.W)
    yield recording.output("input_tensor", real, FORWARD)
    for size in case.sizes:
        name = f"{size[0]}x{size[1]}"
        for kind, grid in (
            ("resize", resize_grid(source, size)),
            ("zero_shift", homography_grid(source, size, Shifts())),
        ):
            if f"output/{kind}_{name}" in recording.tensors:
                yield recording.output(f"{kind}_{name}", build_model(recording).generator(real, grid), FORWARD)
    yield from check_second_pass(recording, real, case)
    for number, (size, shifts) in enumerate(case.homographies):
        yield from check_homography(recording, real, f"homography_{number}", size, Shifts(*shifts))
    yield from check_use(recording, real, case)


def check_second_pass(recording: Recording, image: Tensor, case: Case) -> Iterator[Row]:
    """What one pass leaves in the buffers, and the pass after it."""
    for name in recording.under("output/second_pass_resize_"):
        height, width = (int(side) for side in name.split("x"))
        model, grid = build_model(recording), resize_grid((case.H, case.W), (height, width))
        model.generator(image, grid)
        state = model.generator.state_dict()
        for key in recording.under("output/after_one_pass/"):
            yield recording.output(f"after_one_pass/{key}", state[our_key("G", key)], FORWARD)
        yield recording.output(f"second_pass_resize_{name}", model.generator(image, grid), FORWARD)


def check_homography(
    recording: Recording, image: Tensor, name: str, size: tuple[int, int], shifts: Shifts
) -> Iterator[Row]:
    """The matrix, the grid, and the image; also as torch samples by default today."""
    height, width = image.shape[2:]
    grid = homography_points(size, shifts)
    yield recording.output(f"{name}/theta", torch.from_numpy(homography_matrix(shifts)), THETA)
    yield recording.output(f"{name}/grid", torch.from_numpy(grid)[None], GRID)
    excluded = end_points_excluded(grid, height, width + sum(shifts.mirrored(width)))
    today = torch.from_numpy(fold_points(excluded, width, shifts))[None].float()
    for key, ours in (("out", homography_grid((height, width), size, shifts)), ("out_align_corners_false", today)):
        yield recording.output(f"{name}/{key}", build_model(recording).generator(image, ours), FORWARD)


def end_points_excluded(grid: SamplingGrid, height: int, width: int) -> SamplingGrid:
    """Coordinates meant for align_corners=False on a map of that size, as those for align_corners=True."""
    lengths = np.array([width, height], dtype=np.float64)
    pixels = ((grid + 1) * lengths - 1) / 2
    return 2 * pixels / (lengths - 1) - 1


def check_use(recording: Recording, image: Tensor, case: Case) -> Iterator[Row]:
    """The exported graph fed by the runtime: all results again, and the one that is no rectangle, on white."""
    module, source = build_model(recording).graphs()[GRAPH].module, (case.H, case.W)

    def used(size: tuple[int, int], shifts: Shifts) -> tuple[Tensor, Tensor]:
        made = sampling_grid(source, size, shifts)
        grid, coverage = (torch.from_numpy(array)[None] for array in made)
        return module(image, grid, coverage), coverage

    for size in case.sizes:
        found, _ = used(size, Shifts())
        yield recording.output(f"resize_{size[0]}x{size[1]}", found, FORWARD, by="the graph")
    if not recording.holds("output/nonrect/"):
        return
    shifts = Shifts(*case.homographies[0][1])
    lengths = (case.H, shifts.padded_width(case.W))
    height, width = (
        int(n * scale / case.must_divide) * case.must_divide for n, scale in zip(lengths, case.mask_scale, strict=True)
    )
    composed, coverage = used((height, width), shifts)
    yield recording.output("nonrect/mask", coverage, MAPS)
    yield recording.output("nonrect/composed", composed, FORWARD)


# --- The critic -------------------------------------------------------------------------------------------------------


class ByFactor(MultiScaleCritic):
    """With coordinates from the factor, as torch computes them by default today."""

    def reduced(self, image: Tensor, scale: int) -> Tensor:
        if scale == 0:
            return image
        return F.interpolate(image, scale_factor=self.step**-scale, mode="bilinear", align_corners=False)


@torch.no_grad()
def check_critic(recording: Recording, case: Case) -> Iterator[Row]:
    """The scales' weights, the weighted map, and what single nets say."""
    stated = case.scale_weights or {}
    for number, (height, width, iteration) in enumerate(case.inputs):
        name, real = f"case_{number}", image(recording, f"image_{number}_u8")
        yield recording.agrees(f"inputs.{number}", (height, width), tuple(real.shape[2:]))
        weights = weights_of(case, (height, width), iteration)
        found = torch.tensor(weights, dtype=torch.float64)
        yield recording.output(f"{name}/scale_weights", found, WEIGHTS)
        if str(number) in stated:
            error = difference(found, torch.tensor(stated[str(number)], dtype=torch.float64))
            yield recording.row(f"config/scale_weights.{number}", scale_of(error), WEIGHTS)
        yield recording.output(f"{name}/map", make_critic(recording, case)(real, weights), MAPS)
        today = make_critic(recording, case, ByFactor)(real, weights)
        yield recording.output(f"{name}/map_recompute_scale_factor_off", today, MAPS)
        for key in recording.under(f"output/{name}/net_"):
            critic = make_critic(recording, case)
            net = cast("PatchCritic", critic.nets[int(key)])
            yield recording.output(f"{name}/net_{key}", net(critic.reduced(real, int(key))), MAPS)


# --- One training step ------------------------------------------------------------------------------------------------


class Watched(InGANTrainer):
    """The trainer with the recorded noise in the place of its own, and with its passes written down."""

    recording: Recording
    judged: list[Tensor]
    made: list[Tensor]
    drawn: int = 0

    def uniform(self, like: Tensor) -> Tensor:
        self.drawn += 1
        return self.recording.tensors[f"input/uniform_noise_{self.drawn - 1}"].reshape(like.shape)

    def critic_losses(self, start: int, step: Step[Retargeted]) -> Losses:
        """Another crop is the recorded example of what is real."""
        real = image(self.recording, "real_crop_u8")
        return super().critic_losses(start, replace(step, batch={**step.batch, "image": real}))

    def watch(self) -> None:
        self.judged, self.made = [], []
        self.critic.register_forward_hook(lambda _net, _inputs, output: self.judged.append(output.detach()))
        self.generator.register_forward_hook(lambda _net, _inputs, output: self.made.append(output.detach()))


def build_trainer(recording: Recording, case: Case) -> Watched:
    """The recorded networks, for an image of which the crop is the recorded one."""
    config = infer_config(recording)
    update = {"height": case.H + config.multiple, "width": case.W + config.multiple}
    steps = max(Options().steps, case.iter + 2)
    options = Options(
        steps=steps,
        decay_from=steps,  # the recorded step is the first one of its optimizers and their schedules
        learning_rate=case.g_lr,
        betas=(case.beta1, 0.999),
        crop_px=case.output_crop_size,
        critic_step=case.D_scale_factor,
        balanced_at=case.D_scale_weights_iter_for_even_scales,
        reconstruction_weight=case.reconstruct_loss_proportion,
        inverse_from=case.G_extra_inverse_train_start_iter,
        inverse_weight=case.G_extra_inverse_train_ratio,
    )
    trainer = Watched(InGAN(config.model_copy(update=update)), options)
    trainer.recording = recording
    fill(trainer.generator, "G", recording)
    # Its nets are counted by output_crop_size, which the crop may be smaller than.
    trainer.critic = make_critic(recording, case)
    return trainer


def batch_of(recording: Recording, case: Case) -> dict[str, Tensor]:
    """The recorded crop, size and shifts."""
    return {
        "image": image(recording, "input_crop_u8"),
        "size": torch.tensor([case.out_size]),
        "shifts": torch.tensor([case.shifts], dtype=torch.float64),
    }


def check_step(recording: Recording, case: Case) -> Iterator[Row]:
    """One step of the real engine, begun at the recorded iteration."""
    yield recording.agrees("d_lr", case.d_lr, case.g_lr)
    trainer = build_trainer(recording, case)
    trainer.watch()
    first = case.G_extra_inverse_train_start_iter + 1
    cursor = Cursor(stage=0, step=case.iter + 1, phase=0)
    if case.iter >= first:
        cursor = Cursor(stage=1, step=case.iter - first + 1, phase=0)
    gradients: dict[str, Tensor] = {}
    steps = {"G": 0, "D": 0}

    def watch(phase: str) -> None:
        official = "D" if phase == "critic" else "G"
        steps[official] += 1
        for key, parameter in trainer.all_networks[NETWORKS[official]].named_parameters():
            if parameter.grad is not None:
                gradients.setdefault(f"{official}/{key}", parameter.grad.clone())

    step = RecordedStep(recording, NETWORKS, our_key, case.g_lr, STEP)
    found = step.run(trainer, batch_of(recording, case), watch=watch, start=cursor)
    for key, value in losses(found.losses, trainer.options).items():
        yield recording.loss(key, value, STEP_LOSS)
    yield from check_outputs(recording, case, trainer)
    for key in recording.under("after/"):
        yield from check_after(recording, trainer, key, gradients, steps)


def losses(reported: Mapping[str, float], options: Options) -> dict[str, float]:
    """The losses under the official names. What one of weight 0 was without its weight is not told, and left out."""
    adversarial, reconstruction = reported["generator/adversarial"], reported["generator/reconstruction"]
    real, fake = (2 * reported[f"critic/{name}"] for name in ("real", "fake"))
    found = {
        "G_gan": adversarial,
        "G_reconstruct_weighted": reconstruction,
        "G_total": adversarial + reconstruction,
        "D_real": real,
        "D_fake": fake,
        "D_total": 0.5 * (real + fake),
    }
    if options.reconstruction_weight:
        found["G_reconstruct_unweighted"] = reconstruction / options.reconstruction_weight
    if "inverse/reconstruction" in reported and options.inverse_weight:
        found["G_inverse"] = reported["inverse/reconstruction"] / options.inverse_weight
    return found


def check_outputs(recording: Recording, case: Case, trainer: Watched) -> Iterator[Row]:
    """What the networks gave on the way."""
    weights = weights_of(case, case.out_size, case.iter)
    yield recording.output("scale_weights", torch.tensor(weights, dtype=torch.float64), WEIGHTS)
    _, real, fake = trainer.judged
    for key, found, tolerance in (
        ("G_pred", trainer.made[0], FORWARD),
        ("reconstruct", way_back(recording, case), FORWARD),
        ("d_map_real", real, MAPS),
        ("d_map_fake", fake, MAPS),
    ):
        yield recording.output(key, found, tolerance)


@torch.no_grad()
def way_back(recording: Recording, case: Case) -> Tensor:
    """The second pass of the step, from the recorded result of the first one.

    From our own result the rounding of two passes would add up: recorded and computed differ by 5.5e-5 then, of which
    float64 lays 3.8e-5 on the recorded side. The passes as a chain are judged by their losses.
    """
    trainer = build_trainer(recording, case)
    trainer.generator.train()
    shared = trainer.retarget(Step(1, batch_of(recording, case), None))
    return trainer.generator(recording.tensors["output/G_pred"], shared.back)


def check_after(
    recording: Recording, trainer: Watched, key: str, gradients: Mapping[str, Tensor], steps: Mapping[str, int]
) -> Iterator[Row]:
    """A tensor after the step; entries that Adam moves by the sign of almost nothing only have to be in reach."""
    recording.compared.add(f"after/{key}")
    official, inner = key.split("/")
    ours, rate = our_key(official, inner), trainer.options.learning_rate
    found, after = trainer.all_networks[NETWORKS[official]].state_dict()[ours], recording.tensors[f"after/{key}"]
    error = difference(found, after)
    gradient = gradients.get(f"{official}/{ours}")
    if gradient is None:
        yield recording.row(f"after/{key}", scale_of(error) / max(1.0, scale_of(after)), BUFFERS)
        return
    weak = gradient.abs() < max(WEAK_GRADIENT * scale_of(gradient), NO_GRADIENT)
    yield recording.row(f"after/{key}", scale_of(error[~weak]) / rate, AFTER)
    if weak.any():
        yield recording.row(f"after/{key} in reach", scale_of(error[weak]) / (REACH * rate * steps[official]), 1.0)
