"""How the recordings of the authors' scripts are computed with our code.

Three kinds of file: the resize and the sizes of pyramids, every way to use a trained pyramid, one epoch of one scale.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from pydantic import BaseModel
from tests.parity.stepping import Found, RecordedBatch, RecordedStep
from torch import Tensor

from i2i_plugin_singan.applications import Blending, Injection, SuperResolution
from i2i_plugin_singan.config import COARSEST, Config, Mode, enlarging_passes, enlarging_scales_for, scales_for
from i2i_plugin_singan.model import BLUR, FIRST_STEP, PYRAMID, SOFTENING, SinGAN
from i2i_plugin_singan.networks import Pyramid
from i2i_plugin_singan.official import OFFICIAL_FORMAT
from i2i_plugin_singan.sampling import padded
from i2i_plugin_singan.trainer import CRITICS, RECONSTRUCTION_WEIGHT, Options, SinGANTrainer
from i2i_registry.importing import rename
from i2i_runtime.masks import soften
from i2i_toolkit.cubic import levels_of, resample_by, resample_levels, resample_to, scaled_side
from i2i_toolkit.devices import open_accelerator
from i2i_toolkit.engine import Engine
from i2i_toolkit.state import Cursor

if TYPE_CHECKING:
    from tests.parity.judging import Row
    from tests.parity.recording import Recording

    from i2i_registry.model import Model
    from i2i_registry.trainer import Trainer
    from i2i_runtime.operations import Record

PAPER = "singan"
SOURCE = "tamarott/SinGAN"

# Tolerances of the recordings' README; those of `after` (absolute 2e-5 of a step of 5e-4) as a share of the movement.
EXACT = 0.0
RAW = 1e-9
FORWARD = 1e-5
LOSS = 1e-5
GRADIENT = 1e-4
AFTER = 2e-2
RELATIVE = 1e-6

RATE = 5e-4
BORDER = 5


class Computed(BaseModel):
    """What the official functions made of a picture's size."""

    stop_scale: int
    scale_factor: float
    sizes: list[tuple[int, int, int, int]]
    in_scale: float = 0.0
    iter_num: int = 0


class Case(BaseModel):
    """The metadata's `config`."""

    nfc: int
    min_size: int
    max_size: int
    scale_factor: float
    H: int
    W: int
    raw_scales: list[float] = []
    raw_shapes: list[tuple[int, int]] = []
    gen_start_scale: int = 0
    inject_scale: int = 0
    sr_factor: float = 4.0
    train_scale: int = 0
    Dsteps: int = 0
    computed: Computed
    computed_SR: Computed | None = None  # noqa: N815 - the scripts' name


def check(recording: Recording) -> Iterator[Row]:
    """Compute what was recorded and compare."""
    case = Case.model_validate(recording.config)
    kinds = {"imresize": check_resize, "pyramid": check_pyramid, "train": check_step}
    yield from _check_computed(recording, case.computed, config_of(case))
    yield from kinds[recording.case.partition("_")[0]](recording, case)


def picture_of(levels: Tensor) -> Tensor:
    """A picture in [-1, 1] from its 8-bit levels [h, w, 3]."""
    return ((levels.permute(2, 0, 1)[None].double() / 255).float() - 0.5) * 2


def config_of(case: Case, mode: Mode = "generation") -> Config:
    """The Config of the recorded pyramid, its sizes and scales counted by our code."""
    factor = min(case.max_size / max(case.H, case.W), 1)
    scales = scales_for(
        (case.H, case.W), coarsest=case.min_size, scale_factor=case.scale_factor, max_size=case.max_size
    )
    return Config(
        mode=mode,
        height=scaled_side(case.H, factor),
        width=scaled_side(case.W, factor),
        scales=scales,
        coarsest=case.min_size,
        channels=case.nfc,
        enlargement=case.sr_factor,
    )


def _check_computed(recording: Recording, computed: Computed, config: Config) -> Iterator[Row]:
    sizes = tuple(size[2:] for size in computed.sizes)
    yield recording.row(f"sizes of {config.mode}", float(config.sizes != sizes), EXACT)
    yield recording.row(f"scales of {config.mode}", abs(config.finest - computed.stop_scale), EXACT)
    yield recording.row(f"factor of {config.mode}", abs(config.factor - computed.scale_factor), RAW)


# --- The resize -------------------------------------------------------------------------------------------------------


def check_resize(recording: Recording, case: Case) -> Iterator[Row]:
    """Raw results, pictures, and pyramids for generation and for super-resolution."""
    yield from _check_raw(recording, case)
    config = config_of(case)
    picture = picture_of(recording.tensors["input/image_u8"])
    yield recording.output("np2torch", picture, EXACT)
    real = resample_by(picture, case.max_size / max(case.H, case.W))
    yield recording.output("real_scale1", real, FORWARD)
    for scale in range(config.scales):
        yield recording.output(f"reals_{scale}", resample_by(real, config.shrinking(scale)), FORWARD)
    coarse = recording.tensors["output/reals_0"]
    yield recording.output("upscaled_by_inverse_factor", resample_by(coarse, 1 / config.factor), FORWARD)
    floats = recording.tensors["input/float_image"] * 1.2
    yield recording.output("float_same_scale", resample_by(floats, 1.0), FORWARD)
    yield recording.output("float_upscaled_1.3333", resample_by(floats, 4 / 3), FORWARD)
    every = torch.arange(256, dtype=torch.uint8)
    there = levels_of(picture_of(every.reshape(16, 16, 1).expand(-1, -1, 3)))[0, 0].flatten().byte()
    yield recording.output("uint8_round_trip_of_0_255", there, EXACT)
    yield from _check_enlarging(recording, case, real)


def _check_raw(recording: Recording, case: Case) -> Iterator[Row]:
    levels = recording.tensors["input/image_u8"].permute(2, 0, 1)[None].double()
    height, width = case.H, case.W
    for factor in case.raw_scales:
        size = scaled_side(height, factor), scaled_side(width, factor)
        found = resample_levels(levels, size, (factor, factor))[0].permute(1, 2, 0)
        yield recording.output(f"raw_imresize_in_scale_{factor:g}", found, RAW)
    for size in case.raw_shapes:
        found = resample_levels(levels, size, (size[0] / height, size[1] / width))[0].permute(1, 2, 0)
        yield recording.output(f"raw_imresize_in_shape_{size[0]}x{size[1]}", found, RAW)


def _check_enlarging(recording: Recording, case: Case, real: Tensor) -> Iterator[Row]:
    """The pyramid of a training for super-resolution."""
    computed = case.computed_SR
    assert computed is not None
    passes = enlarging_passes(case.sr_factor)
    step = case.sr_factor ** (1 / passes)
    yield recording.row("passes of super-resolution", abs(passes - computed.iter_num), EXACT)
    yield recording.row("factor of a pass", abs(step - computed.in_scale), RAW)
    coarsest = COARSEST["super_resolution"]
    scales = enlarging_scales_for((case.H, case.W), coarsest=coarsest, scale_factor=1 / step, max_size=case.max_size)
    config = config_of(case).model_copy(update={"mode": "super_resolution", "scales": scales, "coarsest": coarsest})
    yield from _check_computed(recording, computed, config)
    for scale in (0, 1):
        yield recording.output(f"sr_reals_{scale}", resample_by(real, config.shrinking(scale)), FORWARD)


# --- A trained pyramid ------------------------------------------------------------------------------------------------


def our_state(recording: Recording, official: str, prefix: str) -> dict[str, Tensor]:
    """The tensors of one recorded network, under our names inside the network."""
    return {our_key(official, key, prefix): tensor for key, tensor in recording.under(f"state/{official}/").items()}


def our_key(official: str, key: str, prefix: str) -> str:
    """Our name, behind `prefix`, of an official tensor; critics are named like generators."""
    if official == "netD":
        key = key.replace("tail.", "tail.0.")
    scale = official.partition(".")[2] or "0"
    named = str(rename(OFFICIAL_FORMAT.keys, f"Gs.{scale}.{key}")).removeprefix(f"{PYRAMID}.levels.{scale}.")
    return prefix + (named.replace("to_image", "to_score") if official == "netD" else named)


def filled(pyramid: Pyramid, recording: Recording) -> Pyramid:
    """Generators, amplitudes and stored noise, as many as there are."""
    for official in recording.networks():
        if official.startswith("Gs."):
            level = pyramid.level(int(official.removeprefix("Gs.")))
            level.load_state_dict(our_state(recording, official, ""), strict=False)
    for key, amplitude in recording.under("input/noise_amp_").items():
        pyramid.level(int(key)).amplitude.copy_(amplitude)
    if "input/z_rec_0" in recording.tensors:
        pyramid.noise.copy_(recording.tensors["input/z_rec_0"])
    return pyramid


def noises(recording: Recording, run: str) -> list[Tensor]:
    """The noise maps of a run, in the order in which they were drawn."""
    prefix = f"input/{run}/noise_" if run else "input/noise_"
    return [tensor for key, tensor in sorted(recording.under(prefix).items()) if key.isdigit()]


@torch.no_grad()
def check_pyramid(recording: Recording, case: Case) -> Iterator[Row]:
    """Every way to use it."""
    config = config_of(case)
    pyramid = filled(Pyramid(config).eval(), recording)
    real = resample_by(picture_of(recording.tensors["input/image_u8"]), case.max_size / max(case.H, case.W))
    for scale in range(config.scales):
        pyramid.level(scale).real.copy_(resample_by(real, config.shrinking(scale)))
        yield recording.output(f"reals_{scale}", pyramid.level(scale).real, FORWARD)
    for run, start in (("random", 0), ("start_scale", case.gen_start_scale), ("arbitrary", 0)):
        images = pyramid(noises(recording, run), torch.tensor([float(start)]), torch.zeros(1))
        for scale, image in enumerate(images):
            yield recording.output(f"{run}/scale_{scale}", image, FORWARD)
        below = pyramid.below(images[0], (images[1].shape[-2], images[1].shape[-1]), 1 / config.factor)
        yield recording.output(f"{run}/prev_1", below, FORWARD)
    yield from check_enlarged(recording, pyramid)
    # The authors blend with the picture as it was before it became the finest scale, which cuts it off to 8 bits.
    pyramid.real.copy_(real)
    yield from check_injection(recording, case, pyramid)
    yield from check_frames(recording, case)


def check_injection(recording: Recording, case: Case, pyramid: Pyramid) -> Iterator[Row]:
    """A picture that enters half-way, its mask, and the blend with the training picture."""
    config, scale = pyramid.config, case.inject_scale
    reference = resample_to(picture_of(recording.tensors["input/inject/ref_u8"]), (config.height, config.width))
    yield recording.output("inject/ref_resized", reference, FORWARD)
    injection = Injection(pyramid)
    entering = injection.at_scale(reference, scale)
    yield recording.output("inject/in_s", entering, FORWARD)
    yield recording.output("inject/prev_2", padded(entering, BORDER), FORWARD)
    maps = noises(recording, "inject")
    yield recording.output(
        "inject/scale_2", pyramid.level(scale)(padded(maps[0], BORDER), padded(entering, BORDER)), FORWARD
    )
    unused = torch.zeros(1, *pyramid.noise_shape(1))
    made = injection(reference, torch.tensor([float(scale)]), unused, *maps)
    yield recording.output("inject/scale_3", made, FORWARD)
    marked = recording.tensors["input/inject/mask_u8"][..., 0].numpy() > 0
    for official, ours in (("harmonization", "harmonize"), ("editing", "edit")):
        mask = torch.from_numpy(soften(np.asarray(marked), SOFTENING[ours], BLUR))[None, None]
        yield recording.output(f"inject/mask_dilated_{official}", mask, FORWARD)
        yield recording.output(f"inject/composed_{official}", Blending(pyramid)(made, mask), FORWARD)


def check_enlarged(recording: Recording, pyramid: Pyramid) -> Iterator[Row]:
    """Super-resolution: every pass, and what is cut from the last."""
    config, maps = pyramid.config, noises(recording, "sr")
    finest, step = pyramid.level(config.finest), config.pass_factor
    below = padded(resample_by(pyramid.real, step), BORDER)
    for number, noise in enumerate(maps):
        if number < 2:
            yield recording.output(f"sr/prev_{number}", below, FORWARD)
        image = finest(pyramid.bordered(noise), below)
        yield recording.output(f"sr/scale_{number}", image, FORWARD)
        below = padded(resample_by(image, step), BORDER)
    yield recording.output("sr/final", SuperResolution(pyramid)(*maps), FORWARD)


def check_frames(recording: Recording, case: Case) -> Iterator[Row]:
    """An animation, whose walk the runtime takes: as c * stored + m, map by map in the recorded order of draws."""
    config = config_of(case, "animation")
    pyramid, maps = filled(Pyramid(config).eval(), recording), noises(recording, "gif")
    alpha, beta, start, frames = 0.1, 0.9, 1, 3
    drawn = [maps[scale * (frames + 1) : (scale + 1) * (frames + 1)] for scale in range(config.scales)]
    anchors, walks = [1.0, 1 - FIRST_STEP], [[torch.zeros_like(d[0]), FIRST_STEP * d[0]] for d in drawn]
    for frame in range(frames):
        step = beta * (anchors[-1] - anchors[-2])
        anchors.append(alpha + (1 - alpha) * (anchors[-1] + step))
        for walk, fresh in zip(walks, drawn, strict=True):
            moved = beta * (walk[-1] - walk[-2]) + (1 - beta) * fresh[frame + 1]
            walk.append((1 - alpha) * (walk[-1] + moved))
        image = pyramid([walk[-1] for walk in walks], torch.tensor([float(start)]), torch.tensor([anchors[-1]]))[-1]
        yield recording.output(f"gif/frame_{frame}", image, FORWARD)


# --- One epoch of one scale -------------------------------------------------------------------------------------------


class RecordedDraws(SinGANTrainer):
    """The trainer with the recorded random numbers in the place of its own."""

    recording: Recording
    drawn: int = 1  # the map with number 0 was drawn for its shape alone
    shares: int = 0

    def noise(self, scale: int, count: int) -> Tensor:
        maps = noises(self.recording, "")
        if count == 1:
            self.drawn += 1
            return maps[self.drawn - 1]
        # For every critic step the maps of all scales below: those of one scale together.
        below = Case.model_validate(self.recording.config).train_scale
        return torch.cat([maps[self.drawn + number * below + scale] for number in range(count)])

    def share(self) -> Tensor:
        self.shares += 1
        return self.recording.tensors[f"input/gp_alpha_{self.shares - 1}"].reshape(())


def build_trainer(recording: Recording, case: Case, critic_steps: int) -> RecordedDraws:
    """The recorded networks and options, the scale begun."""
    options = Options(
        critic_steps=critic_steps, generator_steps=1, max_size=case.max_size, steps_per_scale=1, full_rate_share=1
    )
    trainer = RecordedDraws(cast("Model[Record]", SinGAN(config_of(case))), options)
    trainer.recording = recording
    filled(trainer.pyramid, recording)
    picture, scale = picture_of(recording.tensors["input/image_u8"]), case.train_scale
    if scale > 0:
        trainer.begin(0, {"image": picture})
        filled(trainer.pyramid, recording)
    trainer.begin(scale, {"image": picture})
    trainer.pyramid.level(scale).load_state_dict(our_state(recording, "netG", ""), strict=False)
    trainer.critic(scale).load_state_dict(our_state(recording, "netD", ""))
    return trainer


def recorded_step(recording: Recording, case: Case) -> RecordedStep:
    """Where the networks of the scale are, and what may differ."""
    return RecordedStep(
        recording=recording,
        names={"netG": PYRAMID, "netD": CRITICS},
        our_key=lambda official, key: our_key(
            official, key, f"levels.{case.train_scale}." if official == "netG" else f"{case.train_scale}."
        ),
        learning_rate=RATE,
        loss=LOSS,
        gradient=GRADIENT,
        after=AFTER,
    )


def check_step(recording: Recording, case: Case) -> Iterator[Row]:
    """What the scale starts from, and one step of the real engine."""
    scale = case.train_scale
    trainer = build_trainer(recording, case, case.Dsteps)
    level = trainer.pyramid.level(scale)
    yield recording.output("real", level.real, FORWARD)
    yield recording.output("noise_amp", level.amplitude, RELATIVE)
    yield recording.output("z_prev", trainer.memory.below(scale), FORWARD)
    yield from check_made(recording, case)
    picture = picture_of(recording.tensors["input/image_u8"])
    batch = RecordedBatch({"image": picture.expand(scale + 1, -1, -1, -1)})
    engine = Engine(cast("Trainer[Record]", trainer), batch, accelerator=open_accelerator("cpu"))
    engine.cursor = Cursor(stage=scale, step=1, phase=0)
    step, gradients = recorded_step(recording, case), dict[str, Tensor]()
    for report in engine.phases():
        official = {"critic_1": "netD", "generator_1": "netG"}.get(report.phase, "")
        for key in recording.under(f"grad/{official}/"):
            found = trainer.networks[step.names[official]].get_parameter(step.our_key(official, key))
            # One that cancels out of the loss is not learned at all.
            gradients[f"{official}/{key}"] = torch.zeros_like(found) if found.grad is None else found.grad.clone()
        if report.step_complete:
            yield from step.check(trainer, Found(report.values, gradients), losses(report.values, case))
            break
    if scale == 0:
        yield recording.output("z_opt", trainer.pyramid.noise, EXACT)


def check_made(recording: Recording, case: Case) -> Iterator[Row]:
    """The pictures that the critic's steps see, and what they were made above."""
    for number in range(case.Dsteps):
        trainer = build_trainer(recording, case, critic_steps=number + 1)
        with torch.no_grad():
            made = trainer.make(case.train_scale, {})
        yield recording.output(f"D{number}_fake_image", made[f"fake_{number + 1}"], FORWARD)
        yield recording.output(f"D{number}_prev", made["below"], FORWARD)


def losses(terms: Mapping[str, float], case: Case) -> dict[str, float]:
    """The official names: the terms of every critic step and of the generator's, with weights and without."""
    named: dict[str, float] = {}
    for number in range(case.Dsteps):
        real, fake, penalty = (terms[f"critic_{number + 1}/{name}"] for name in ("real", "fake", "penalty"))
        named |= {
            f"D{number}_real": real,
            f"D{number}_fake": fake,
            f"D{number}_gp_weighted": penalty,
            f"D{number}_gp_unweighted": penalty / Options().penalty_weight,
            f"D{number}_total": real + fake + penalty,
        }
    adversarial, error = terms["generator_1/adversarial"], terms["generator_1/reconstruction"]
    return {
        **named,
        "G_adv": adversarial,
        "G_rec_weighted": error,
        "G_rec_unweighted": error / RECONSTRUCTION_WEIGHT,
        "G_total": adversarial + error,
    }
