"""How the recordings of the authors' code are computed with ours.

Forward passes of the generator ("generator") and of the critic ("discriminator"), and two training steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from pydantic import BaseModel
from tests.parity.stepping import RecordedBatch, load
from torch import Tensor, nn
from torch.nn import functional as F

from i2i_plugin_ingan.config import Config, Options
from i2i_plugin_ingan.critic import STEP, MultiScaleCritic, PatchCritic, net_count, scale_weights
from i2i_plugin_ingan.geometry import homography_grid, resize_grid
from i2i_plugin_ingan.model import GENERATOR, GRAPH, InGAN
from i2i_plugin_ingan.official import CRITIC_KEYS, GENERATOR_KEYS, INGAN_FORMAT
from i2i_plugin_ingan.trainer import CRITIC, InGANTrainer
from i2i_registry.importing import rename
from i2i_registry.trainer import Step, Tensors
from i2i_runtime import sampling_grids
from i2i_runtime.sampling_grids import Shifts
from i2i_toolkit.devices import open_accelerator
from i2i_toolkit.engine import Engine
from i2i_toolkit.state import Cursor

if TYPE_CHECKING:
    from tests.parity.judging import Row
    from tests.parity.recording import Recording

    from i2i_registry.model import Model
    from i2i_registry.trainer import Trainer
    from i2i_runtime.operations import Record

PAPER = "ingan"
SOURCE = "assafshocher/InGAN"

# Tolerances of the recordings' README.
FORWARD = 5e-5
THETA = 1e-6
GRID = 1e-5
MAPS = 1e-5
WEIGHTS = 1e-12
STEP_LOSS = 1e-5
AFTER = 2e-6
EXACT = 0.0

LEARNING_RATE = 5e-5
REACH = 2.01
"""Learning rates for every step taken that an entry whose gradient is next to nothing may be off: Adam steps by the
sign there. A bias in front of a norm has no other entries."""
WEAK_GRADIENT = 0.02
"""Share of a tensor's largest gradient below which an entry is such a one, as for the other papers."""
NO_GRADIENT = 1e-7
"""What rounding makes of a gradient that is 0, at most."""

NETWORKS = {"G": GENERATOR, "D": CRITIC}
"""official name of a network -> ours"""


class Case(BaseModel):
    """The metadata's `config`; which fields are filled depends on the file."""

    H: int = 0
    W: int = 0
    sizes: list[tuple[int, int]] = []
    homographies: list[tuple[tuple[int, int], tuple[float, float]]] = []
    mask_scale: tuple[float, float] = (1.0, 1.0)
    output_crop_size: int = 0
    inputs: list[tuple[int, int, int]] = []
    iter: int = 0
    out_size: tuple[int, int] = (0, 0)
    shifts: tuple[float, float] = (0.0, 0.0)


def check(recording: Recording) -> Iterator[Row]:
    """Compute what was recorded and compare."""
    case = Case.model_validate(recording.config)
    kinds = {"generator": check_generator, "discriminator": check_critic}
    yield from kinds.get(recording.case, check_step)(recording, case)


# --- Names and networks -----------------------------------------------------------------------------------------------


def our_key(official: str, key: str) -> str:
    """Our name, inside the network, of an official tensor."""
    return str(rename(GENERATOR_KEYS if official == "G" else CRITIC_KEYS, key))


def fill(network: nn.Module, official: str, recording: Recording) -> None:
    """Fill a network with all that is recorded and not derived: v follows from u."""
    kept = {key: t for key, t in recording.tensors.items() if not key.endswith("weight_v")}
    pruned = type(recording)(recording.paper, recording.case, kept, recording.config)
    load(network, official, pruned, our_key)


def infer_config(recording: Recording) -> Config:
    """The generator's sizes, told from the tensors as for a checkpoint."""
    return INGAN_FORMAT.infer_config({f"G.{key}": tuple(t.shape) for key, t in recording.under("state/G/").items()})


def build_model(recording: Recording) -> InGAN:
    """The recorded generator, in training mode as the authors' code always is."""
    model = InGAN(infer_config(recording))
    fill(model.generator, "G", recording)
    model.generator.train()
    return model


def make_critic(recording: Recording, nets: int, kind: type[MultiScaleCritic] = MultiScaleCritic) -> MultiScaleCritic:
    """The recorded critic, in training mode."""
    critic = kind(recording.tensors["state/D/nets.0.0.weight_orig"].shape[0], nets)
    fill(critic, "D", recording)
    return critic.train()


def picture(recording: Recording, key: str) -> Tensor:
    """A recorded picture, [1, 3, h, w] in [-1, 1]."""
    return recording.tensors[f"input/{key}"].permute(2, 0, 1)[None].float() / 255 * 2 - 1


# --- The generator ----------------------------------------------------------------------------------------------------


@torch.no_grad()
def check_generator(recording: Recording, case: Case) -> Iterator[Row]:
    """Plain resizes, homographies, and what the two leave behind."""
    image, source = picture(recording, "image_u8"), (case.H, case.W)
    yield recording.output("input_tensor", image, FORWARD)
    for size in case.sizes:
        name = f"{size[0]}x{size[1]}"
        for kind, grid in (
            ("resize", resize_grid(source, size)),
            ("zero_shift", homography_grid(source, size, Shifts())),
        ):
            if f"output/{kind}_{name}" in recording.tensors:
                yield recording.output(f"{kind}_{name}", build_model(recording).generator(image, grid), FORWARD)
    yield from check_second_pass(recording, image, case)
    for number, (size, shifts) in enumerate(case.homographies):
        yield from check_homography(recording, image, f"homography_{number}", size, Shifts(*shifts))
    yield from check_use(recording, image, case)


def check_second_pass(recording: Recording, image: Tensor, case: Case) -> Iterator[Row]:
    """What one pass leaves in the buffers, and the pass after it."""
    model, size = build_model(recording), case.sizes[-1]
    grid = resize_grid((case.H, case.W), size)
    model.generator(image, grid)
    state = model.generator.state_dict()
    for key in recording.under("output/after_one_pass/"):
        found = state[our_key("G", key)]
        yield recording.output(f"after_one_pass/{key}", found, FORWARD)
    yield recording.output(f"second_pass_resize_{size[0]}x{size[1]}", model.generator(image, grid), FORWARD)


def check_homography(
    recording: Recording, image: Tensor, name: str, size: tuple[int, int], shifts: Shifts
) -> Iterator[Row]:
    """The matrix, the grid, and the picture; also as torch samples by default today."""
    height, width = image.shape[2:]
    grid = sampling_grids.projected(size, shifts)
    yield recording.output(f"{name}/theta", torch.from_numpy(sampling_grids.homography(shifts)), THETA)
    yield recording.output(f"{name}/grid", torch.from_numpy(grid)[None], GRID)
    excluded = end_points_excluded(grid, height, width + sum(shifts.mirrored(width)))
    today = torch.from_numpy(sampling_grids.folded(excluded, width, shifts))[None].float()
    for key, ours in (("out", homography_grid((height, width), size, shifts)), ("out_align_corners_false", today)):
        yield recording.output(f"{name}/{key}", build_model(recording).generator(image, ours), FORWARD)


def end_points_excluded(grid: sampling_grids.Points, height: int, width: int) -> sampling_grids.Points:
    """Coordinates meant for align_corners=False on a map of that size, as those for align_corners=True."""
    lengths = np.array([width, height], dtype=np.float64)
    pixels = ((grid + 1) * lengths - 1) / 2
    return 2 * pixels / (lengths - 1) - 1


def check_use(recording: Recording, image: Tensor, case: Case) -> Iterator[Row]:
    """The exported graph fed by the runtime: all results again, and the one that is no rectangle, on white."""
    module, source = build_model(recording).graphs()[GRAPH].module, (case.H, case.W)

    def used(size: tuple[int, int], shifts: Shifts) -> tuple[Tensor, Tensor]:
        made = sampling_grids.sampling_grid(source, size, shifts)
        grid, coverage = (torch.from_numpy(array)[None] for array in made)
        return module(image, grid, coverage), coverage

    for size in case.sizes:
        found, _ = used(size, Shifts())
        yield recording.output(f"resize_{size[0]}x{size[1]}", found, FORWARD, by="the graph")
    shifts = Shifts(*case.homographies[0][1])
    lengths = (case.H, shifts.padded_width(case.W))
    height, width = (int(n * scale / 8) * 8 for n, scale in zip(lengths, case.mask_scale, strict=True))
    composed, coverage = used((height, width), shifts)
    yield recording.output("nonrect/mask", coverage, MAPS)
    yield recording.output("nonrect/composed", composed, FORWARD)


# --- The critic -------------------------------------------------------------------------------------------------------


class ByFactor(MultiScaleCritic):
    """With coordinates from the factor, as torch computes them by default today."""

    def reduced(self, image: Tensor, scale: int) -> Tensor:
        if scale == 0:
            return image
        return F.interpolate(image, scale_factor=STEP**-scale, mode="bilinear", align_corners=False)


@torch.no_grad()
def check_critic(recording: Recording, case: Case) -> Iterator[Row]:
    """The scales' weights, the weighted map, and what single nets say."""
    nets = net_count(case.output_crop_size, case.output_crop_size)
    for number, (height, width, iteration) in enumerate(case.inputs):
        name, image = f"case_{number}", picture(recording, f"image_{number}_u8")
        weights = scale_weights(height, width, iteration, Options().balanced_at)
        yield recording.output(f"{name}/scale_weights", torch.tensor(weights, dtype=torch.float64), WEIGHTS)
        yield recording.output(f"{name}/map", make_critic(recording, nets)(image, weights), MAPS)
        today = make_critic(recording, nets, ByFactor)(image, weights)
        yield recording.output(f"{name}/map_recompute_scale_factor_off", today, MAPS)
        for key in recording.under(f"output/{name}/net_"):
            critic = make_critic(recording, nets)
            net = cast("PatchCritic", critic.nets[int(key)])
            yield recording.output(f"{name}/net_{key}", net(critic.reduced(image, int(key))), MAPS)


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

    def critic_terms(self, start: int, step: Step) -> Tensors:
        """Another crop is the recorded example of what is real."""
        real = picture(self.recording, "real_crop_u8")
        return super().critic_terms(start, replace(step, batch={**step.batch, "image": real}))

    def watch(self) -> None:
        self.judged, self.made = [], []
        self.critic.register_forward_hook(lambda _net, _inputs, output: self.judged.append(output.detach()))
        self.generator.register_forward_hook(lambda _net, _inputs, output: self.made.append(output.detach()))


class Endless(RecordedBatch):
    """The recorded sample at any position."""

    def draw(self, position: int) -> Tensors:  # noqa: ARG002
        return super().draw(0)


def build_trainer(recording: Recording, case: Case) -> Watched:
    """The recorded networks, for a picture of which the crop is the recorded one."""
    config = infer_config(recording)
    update = {"height": case.H + config.multiple, "width": case.W + config.multiple}
    options = Options(learning_rate=LEARNING_RATE, crop_px=case.output_crop_size, critic_channels=4)
    trainer = Watched(cast("Model[Record]", InGAN(config.model_copy(update=update))), options)
    trainer.recording = recording
    fill(trainer.generator, "G", recording)
    fill(trainer.critic, "D", recording)
    return trainer


def recorded_batch(recording: Recording, case: Case) -> Endless:
    """The recorded crop, size and shifts."""
    return Endless(
        {
            "image": picture(recording, "input_crop_u8"),
            "size": torch.tensor([case.out_size]),
            "shifts": torch.tensor([case.shifts], dtype=torch.float64),
        }
    )


def check_step(recording: Recording, case: Case) -> Iterator[Row]:
    """One step of the real engine, begun at the recorded iteration."""
    trainer = build_trainer(recording, case)
    trainer.watch()
    first = trainer.options.inverse_from + 1
    cursor = Cursor(stage=0, step=case.iter + 1, phase=0)
    if case.iter >= first:
        cursor = Cursor(stage=1, step=case.iter - first + 1, phase=0)
    engine = Engine(
        cast("Trainer[Record]", trainer), recorded_batch(recording, case), accelerator=open_accelerator("cpu")
    )
    engine.cursor = cursor
    gradients: dict[str, Tensor] = {}
    steps: dict[str, int] = {"G": 0, "D": 0}
    for report in engine.phases():
        official = "D" if report.phase == "critic" else "G"
        steps[official] += 1
        for key, parameter in trainer.networks[NETWORKS[official]].named_parameters():
            if parameter.grad is not None and f"{official}/{key}" not in gradients:
                gradients[f"{official}/{key}"] = parameter.grad.clone()
        if report.step_complete:
            yield from check_losses(recording, report.values, trainer.options)
            break
    yield from check_outputs(recording, case, trainer)
    for key in recording.under("after/"):
        yield from check_after(recording, trainer, key, gradients, steps)


def check_losses(recording: Recording, terms: Mapping[str, float], options: Options) -> Iterator[Row]:
    """The terms under the official names."""
    adversarial, reconstruction = terms["generator/adversarial"], terms["generator/reconstruction"]
    real, fake = (2 * terms[f"critic/{name}"] for name in ("real", "fake"))
    losses = {
        "G_gan": adversarial,
        "G_reconstruct_unweighted": reconstruction / options.reconstruction_weight,
        "G_reconstruct_weighted": reconstruction,
        "G_total": adversarial + reconstruction,
        "D_real": real,
        "D_fake": fake,
        "D_total": 0.5 * (real + fake),
    }
    if "inverse/reconstruction" in terms:
        losses["G_inverse"] = terms["inverse/reconstruction"] / options.inverse_weight
    for key, value in losses.items():
        yield recording.loss(key, value, STEP_LOSS)


def check_outputs(recording: Recording, case: Case, trainer: Watched) -> Iterator[Row]:
    """What the networks gave on the way."""
    weights = scale_weights(*case.out_size, case.iter, trainer.options.balanced_at)
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
    batch = recorded_batch(recording, case).preview(1)
    trainer.generator.train()
    shared = trainer.retarget(batch)
    return trainer.generator(recording.tensors["output/G_pred"], shared["back"])


def check_after(
    recording: Recording, trainer: Watched, key: str, gradients: Mapping[str, Tensor], steps: Mapping[str, int]
) -> Iterator[Row]:
    """A tensor after the step; entries that Adam moves by the sign of almost nothing only have to be in reach."""
    recording.compared.add(f"after/{key}")
    official, inner = key.split("/")
    ours = our_key(official, inner)
    found, after = trainer.networks[NETWORKS[official]].state_dict()[ours], recording.tensors[f"after/{key}"]
    error = (found.double() - after.double()).abs()
    gradient = gradients.get(f"{official}/{ours}", torch.ones_like(error)).abs()
    weak = gradient < max(WEAK_GRADIENT * float(gradient.max()), NO_GRADIENT)
    yield recording.row(f"after/{key}", float(error[~weak].max()) if (~weak).any() else 0.0, AFTER)
    if weak.any():
        reach = REACH * LEARNING_RATE * steps[official]
        yield recording.row(f"after/{key} in reach", float(error[weak].max()) / reach, 1.0)
