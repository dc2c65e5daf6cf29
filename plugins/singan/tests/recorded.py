"""How the recordings of the authors' scripts are computed with our code.

Three kinds of file, told from their keys: one epoch of one scale ("train": there are losses), ways to use a trained
pyramid ("pyramid": there are generators), the resize and the sizes of pyramids ("resize").
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from functools import partial

import numpy as np
import torch
from tests.parity.comparison import Row, difference
from tests.parity.names import our_name
from tests.parity.options import Options
from tests.parity.recording import Recording
from tests.parity.single_image import image_of, losses
from tests.parity.stepping import RecordedStep, StepTolerances
from torch import Tensor

from i2i_plugin_singan import trainer as training
from i2i_plugin_singan.config import COARSEST, Config, Mode, enlarging_passes, enlarging_scales_for, scales_for
from i2i_plugin_singan.model import BLUR, FIRST_STEP, PYRAMID, SOFTENING, SinGAN
from i2i_plugin_singan.networks import Pyramid
from i2i_plugin_singan.networks.applications import Blending, Injection, SuperResolution
from i2i_plugin_singan.networks.sampling import padded
from i2i_plugin_singan.official import OFFICIAL_FORMAT
from i2i_plugin_singan.trainer import SinGANTrainer
from i2i_registry import Step
from i2i_runtime import soften_mask
from i2i_toolkit import Cursor, eight_bit_levels, resample_by, resample_levels, resample_to, scaled_side

PAPER = "singan"
SOURCE = "tamarott/SinGAN"
TABLE = OFFICIAL_FORMAT.table(Config(layers=12))
"""for any size of a generator"""

# Tolerances of the recordings' README; those of `after` (absolute 2e-5 of a step of 5e-4) as a share of the movement.
UP_TO = 1.5  # the largest numbers that those of outputs were stated for
EXACT = 0.0
RAW = 1e-9
RAW_LEVELS = RAW * UP_TO / 255
FORWARD = 1e-5
CHAINED, CHAINED_SHARE = 1 / 100, 0.01
"""Between scales an image is cut off to 8 bits, where rounding may move a pixel by a level: so much, of so many."""
STEP = StepTolerances(loss=1e-5, gradient=1e-4, after=2e-2)
RELATIVE = 1e-6


class Computed(Options):
    """What the official functions made of an image's size."""

    num_scales: int
    stop_scale: int
    scale1: float
    scale_factor: float
    sizes: list[tuple[int, int, int, int]]
    in_scale: float = 1.0
    iter_num: int = 0


class Passes(Options):
    """The passes of super-resolution."""

    in_scale: float
    iter_num: int


class OfPyramid(Computed):
    """The same, with those of super-resolution."""

    sr: Passes | None = None


class Case(Options):
    """The metadata, with the scripts' defaults."""

    mode: str = "n/a"
    nfc: int
    min_nfc: int
    num_layer: int = 5
    ker_size: int = 3
    min_size: int
    max_size: int
    scale_factor: float
    H: int
    W: int
    raw_scales: tuple[float, ...] = ()
    raw_shapes: tuple[tuple[int, int], ...] = ()
    gen_start_scale: int = 0
    scale_v: float = 1.0
    scale_h: float = 1.0
    inject_scale: int = 1
    ref_H: int = 0
    ref_W: int = 0
    sr_factor: float = 4.0
    gif_frames: int = 0
    gif_alpha: float = 0.1
    gif_beta: float = 0.9
    gif_start_scale: int = 1
    train_scale: int = 0
    Dsteps: int = 3
    Gsteps: int = 1
    niter: int = 1
    alpha: float = 10.0
    lambda_grad: float = 0.1
    noise_amp: float = 0.1
    lr_g: float = 5e-4
    lr_d: float = 5e-4
    beta1: float = 0.5
    computed: OfPyramid
    computed_SR: Computed | None = None


def kind_of(recording: Recording) -> str:
    """What a file holds."""
    if recording.holds("loss/"):
        return "train"
    return "pyramid" if recording.holds("state/Gs.") else "resize"


def check(recording: Recording) -> Iterator[Row]:
    """Compute what was recorded and compare."""
    case = recording.options(Case)
    recording.up_to = UP_TO
    recording.ignore("image, weights and noise are recorded", "picture", "seed")
    recording.ignore("the weights that it scaled are recorded", "gain")
    kinds = {"resize": check_resize, "pyramid": check_pyramid, "train": check_step}
    modes = {"resize": "n/a", "pyramid": "eval", "train": "train"}
    kind, (height, width, _) = kind_of(recording), recording.tensors["input/image_u8"].shape
    yield recording.agrees("mode", case.mode, modes[kind])
    yield recording.agrees("H, W", (case.H, case.W), (height, width))
    yield from check_computed(recording, case.computed, case, config_of(case))
    yield from kinds[kind](recording, case)


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
        layers=case.num_layer,
        enlargement=case.sr_factor,
    )


def check_computed(recording: Recording, computed: Computed, case: Case, config: Config) -> Iterator[Row]:
    """Numbers of scales and their sizes."""
    place, found = f"computed {config.mode}", tuple((1, 3, *size) for size in config.sizes)
    yield recording.agrees(f"{place}: sizes", tuple(computed.sizes), found)
    yield recording.agrees(f"{place}: stop_scale", computed.stop_scale, config.finest)
    side, count = min(case.H, case.W), enlarging_scales_for if config.mode == "super_resolution" else scales_for
    # Of a square, from which nothing is left out, there is one scale more than the official functions count.
    step = case.scale_factor if count is scales_for else 1 / config.pass_factor
    whole = count((side, side), coarsest=config.coarsest, scale_factor=step, max_size=side)
    yield recording.agrees(f"{place}: num_scales", computed.num_scales, whole - 1)
    yield recording.row(f"{place}: scale1", abs(min(case.max_size / max(case.H, case.W), 1) - computed.scale1), RAW)
    yield recording.row(f"{place}: scale_factor", abs(config.factor - computed.scale_factor), RAW)


def real_of(recording: Recording, case: Case) -> Tensor:
    """The training image at its largest."""
    image = image_of(recording.tensors["input/image_u8"])
    return resample_by(image, min(case.max_size / max(case.H, case.W), 1))


# --- The resize -------------------------------------------------------------------------------------------------------


def check_resize(recording: Recording, case: Case) -> Iterator[Row]:
    """Raw results, images, and pyramids for generation and for super-resolution."""
    recording.ignore("there is no network", "nfc", "min_nfc", "num_layer", "ker_size")
    yield from _check_raw(recording, case)
    config, real = config_of(case), real_of(recording, case)
    yield recording.output("np2torch", image_of(recording.tensors["input/image_u8"]), EXACT)
    yield recording.output("real_scale1", real, FORWARD)
    for scale in range(config.scales):
        yield recording.output(f"reals_{scale}", resample_by(real, config.shrinking(scale)), FORWARD)
    coarse = recording.tensors["output/reals_0"]
    yield recording.output("upscaled_by_inverse_factor", resample_by(coarse, 1 / config.factor), FORWARD)
    floats = recording.tensors["input/float_image"] * 1.2
    yield recording.output("float_same_scale", resample_by(floats, 1.0), FORWARD)
    for named in recording.under("output/float_upscaled_"):
        factor = float(Fraction(named).limit_denominator(100))  # 1.3333 stands for 4/3
        yield recording.output(f"float_upscaled_{named}", resample_by(floats, factor), FORWARD)
    every = torch.arange(256, dtype=torch.uint8)
    there = eight_bit_levels(image_of(every.reshape(16, 16, 1).expand(-1, -1, 3)))[0, 0].flatten().byte()
    yield recording.output("uint8_round_trip_of_0_255", there, EXACT)
    if case.computed_SR is not None:
        yield from _check_enlarging(recording, case, case.computed_SR, real)


def _check_raw(recording: Recording, case: Case) -> Iterator[Row]:
    levels = recording.tensors["input/image_u8"].permute(2, 0, 1)[None].double()
    height, width = case.H, case.W
    for factor in case.raw_scales:
        size = scaled_side(height, factor), scaled_side(width, factor)
        found = resample_levels(levels, size, (factor, factor))[0].permute(1, 2, 0)
        yield recording.output(f"raw_imresize_in_scale_{factor:g}", found, RAW_LEVELS)
    for size in case.raw_shapes:
        found = resample_levels(levels, size, (size[0] / height, size[1] / width))[0].permute(1, 2, 0)
        yield recording.output(f"raw_imresize_in_shape_{size[0]}x{size[1]}", found, RAW_LEVELS)


def _check_enlarging(recording: Recording, case: Case, computed: Computed, real: Tensor) -> Iterator[Row]:
    """The pyramid of a training for super-resolution."""
    passes = enlarging_passes(case.sr_factor)
    step = case.sr_factor ** (1 / passes)
    yield recording.agrees("computed_SR.iter_num", computed.iter_num, passes)
    yield recording.row("config/computed_SR.in_scale", abs(step - computed.in_scale), RAW)
    coarsest = COARSEST["super_resolution"]
    scales = enlarging_scales_for((case.H, case.W), coarsest=coarsest, scale_factor=1 / step, max_size=case.max_size)
    config = config_of(case).model_copy(update={"mode": "super_resolution", "scales": scales, "coarsest": coarsest})
    yield from check_computed(recording, computed, case, config)
    for key in recording.under("output/sr_reals_"):
        yield recording.output(f"sr_reals_{key}", resample_by(real, config.shrinking(int(key))), FORWARD)


# --- A trained pyramid ------------------------------------------------------------------------------------------------


def our_state(recording: Recording, official: str) -> dict[str, Tensor]:
    """The tensors of one recorded network, under our names inside the network."""
    return {our_key(official, key): tensor for key, tensor in recording.under(f"state/{official}/").items()}


def our_key(official: str, key: str, prefix: str = "") -> str:
    """Our name, behind `prefix`, of an official tensor; critics are named like generators."""
    if official == "netD":
        key = key.replace("tail.", "tail.0.")
    scale = official.partition(".")[2] or "0"
    named = our_name(TABLE, f"{scale}.netG.{key}", f"{PYRAMID}.levels.{scale}")
    return prefix + (named.replace("to_image", "to_score") if official == "netD" else named)


def filled(pyramid: Pyramid, recording: Recording) -> Pyramid:
    """Generators, amplitudes and stored noise, as many as there are."""
    for official in recording.networks():
        if official.startswith("Gs."):
            level = pyramid.level(int(official.removeprefix("Gs.")))
            level.load_state_dict(our_state(recording, official), strict=False)
    for key, amplitude in recording.under("input/noise_amp_").items():
        pyramid.level(int(key)).amplitude.copy_(amplitude)
    if "input/z_rec_0" in recording.tensors:
        pyramid.noise.copy_(recording.tensors["input/z_rec_0"])
    return pyramid


def check_widths(recording: Recording, case: Case, network: str, scale: int) -> Iterator[Row]:
    """The networks have the channels, layers and kernels that the options state."""
    state = recording.under(f"state/{network}/")
    width, _, kernel, _ = state["head.conv.weight"].shape
    body = [tensor.shape[0] for key, tensor in state.items() if key.startswith("body.") and key.endswith("conv.weight")]
    config = config_of(case)
    least = config.model_copy(update={"channels": case.min_nfc})
    stated = config.width_at(scale), least.width_at(scale), config.layers, case.ker_size
    yield recording.agrees(f"sizes of {network}", stated, (width, min(body), len(body) + 2, kernel))


def noises(recording: Recording, run: str) -> list[Tensor]:
    """The noise maps of a run, in the order in which they were drawn."""
    return recording.series(f"input/{run}/noise_" if run else "input/noise_")


def check_chained(recording: Recording, key: str, found: Tensor) -> Iterator[Row]:
    """An image that was cut off to 8 bits on its way."""
    off = difference(found, recording.tensors[f"output/{key}"])
    yield recording.output(key, found, CHAINED, by="all scales")
    yield recording.row(f"output/{key} by all scales, share off", float((off > FORWARD).double().mean()), CHAINED_SHARE)


@torch.no_grad()
def check_pyramid(recording: Recording, case: Case) -> Iterator[Row]:
    """Every way to use it."""
    config = config_of(case)
    pyramid, real = filled(Pyramid(config).eval(), recording), real_of(recording, case)
    for scale in range(config.scales):
        yield from check_widths(recording, case, f"Gs.{scale}", scale)
        pyramid.level(scale).real.copy_(resample_by(real, config.shrinking(scale)))
        yield recording.output(f"reals_{scale}", pyramid.level(scale).real, FORWARD)
    for run, start, factors in (
        ("random", 0, (1.0, 1.0)),
        ("start_scale", case.gen_start_scale, (1.0, 1.0)),
        ("arbitrary", 0, (case.scale_v, case.scale_h)),
    ):
        yield from check_run(recording, pyramid, run, start, factors)
    yield from check_enlarged(recording, case, pyramid)
    # The authors blend with the image as it was before it became the finest scale, which cuts it off to 8 bits.
    pyramid.real.copy_(real)
    yield from check_injection(recording, case, pyramid)
    yield from check_frames(recording, case)


def check_run(
    recording: Recording, pyramid: Pyramid, run: str, start: int, factors: tuple[float, float]
) -> Iterator[Row]:
    """A sample: every scale above the recorded image of the one below, and all in a row."""
    config, maps = pyramid.config, noises(recording, run)
    wanted = [tuple(round(side * f) for side, f in zip(size, factors, strict=True)) for size in config.sizes]
    yield recording.agrees(f"size of {run}", wanted, [tuple(each.shape[2:]) for each in maps])
    images = pyramid(maps, torch.tensor([float(start)]), torch.zeros(1))
    for scale, (noise, image) in enumerate(zip(maps, images, strict=True)):
        yield from check_chained(recording, f"{run}/scale_{scale}", image)
        if scale == 0:
            yield recording.output(f"{run}/scale_0", image, FORWARD)
            continue
        size = noise.shape[-2], noise.shape[-1]
        below = pyramid.below(recording.tensors[f"output/{run}/scale_{scale - 1}"], size, 1 / config.factor)
        if f"output/{run}/prev_{scale}" in recording.tensors:
            yield recording.output(f"{run}/prev_{scale}", below, FORWARD)
        z = torch.zeros_like(below) if scale < start else pyramid.bordered(noise)
        yield recording.output(f"{run}/scale_{scale}", pyramid.level(scale)(z, below), FORWARD)


def check_injection(recording: Recording, case: Case, pyramid: Pyramid) -> Iterator[Row]:
    """An image that enters half-way, its mask, and the blend with the training image."""
    config, start, tensors = pyramid.config, case.inject_scale, recording.tensors
    given = image_of(tensors["input/inject/ref_u8"])
    yield recording.agrees("ref_H, ref_W", (case.ref_H, case.ref_W), tuple(given.shape[2:]))
    reference = resample_to(given, (config.height, config.width))
    yield recording.output("inject/ref_resized", reference, FORWARD)
    injection, maps = Injection(pyramid), noises(recording, "inject")
    yield recording.agrees("inject_scale", start, config.scales - len(maps))
    entering = injection.at_scale(reference, start)
    yield recording.output("inject/in_s", entering, FORWARD)
    for scale, noise in enumerate(maps, start):
        if scale == start:
            below = padded(entering, config.border)
        else:
            image = tensors[f"output/inject/scale_{scale - 1}"]
            below = pyramid.below(image, config.size_at(scale), 1 / config.factor)
        if f"output/inject/prev_{scale}" in tensors:
            yield recording.output(f"inject/prev_{scale}", below, FORWARD)
        made = pyramid.level(scale)(pyramid.bordered(noise), below)
        yield recording.output(f"inject/scale_{scale}", made, FORWARD)
    unused = [torch.zeros(1, *pyramid.config.noise_shape(scale)) for scale in range(1, start)]
    made = injection(reference, torch.tensor([float(start)]), *unused, *maps)
    yield from check_chained(recording, f"inject/scale_{config.finest}", made)
    marked = tensors["input/inject/mask_u8"][..., 0].numpy() > 0
    for official, ours in (("harmonization", "harmonize"), ("editing", "edit")):
        mask = torch.from_numpy(soften_mask(np.asarray(marked), SOFTENING[ours], BLUR))[None, None]
        yield recording.output(f"inject/mask_dilated_{official}", mask, FORWARD)
        finest = tensors[f"output/inject/scale_{config.finest}"]
        yield recording.output(f"inject/composed_{official}", Blending(pyramid)(finest, mask), FORWARD)


def check_enlarged(recording: Recording, case: Case, pyramid: Pyramid) -> Iterator[Row]:
    """Super-resolution: every pass, and what is cut from the last."""
    config, maps = pyramid.config, noises(recording, "sr")
    finest, step = pyramid.level(config.finest), config.pass_factor
    if case.computed.sr is not None:
        yield recording.agrees("computed.sr.iter_num", case.computed.sr.iter_num, config.passes)
        yield recording.row("config/computed.sr.in_scale", abs(case.computed.sr.in_scale - step), RAW)
    yield recording.agrees("sr_factor", [tuple(each.shape[2:]) for each in maps], list(config.enlarged_sizes))
    image = pyramid.real
    for number, noise in enumerate(maps):
        below = padded(resample_by(image, step), config.border)
        if f"output/sr/prev_{number}" in recording.tensors:
            yield recording.output(f"sr/prev_{number}", below, FORWARD)
        yield recording.output(f"sr/scale_{number}", finest(pyramid.bordered(noise), below), FORWARD)
        image = recording.tensors[f"output/sr/scale_{number}"]
    yield from check_chained(recording, "sr/final", SuperResolution(pyramid)(*maps))


def check_frames(recording: Recording, case: Case) -> Iterator[Row]:
    """An animation, whose walk the runtime takes: as c * stored + m, map by map in the recorded order of draws."""
    config = config_of(case, "animation")
    pyramid, maps = filled(Pyramid(config).eval(), recording), noises(recording, "gif")
    alpha, beta, frames = case.gif_alpha, case.gif_beta, case.gif_frames
    start = torch.tensor([float(case.gif_start_scale)])
    drawn = [maps[scale * (frames + 1) : (scale + 1) * (frames + 1)] for scale in range(config.scales)]
    anchors, walks = [1.0, 1 - FIRST_STEP], [[torch.zeros_like(d[0]), FIRST_STEP * d[0]] for d in drawn]
    for frame in range(frames):
        step = beta * (anchors[-1] - anchors[-2])
        anchors.append(alpha + (1 - alpha) * (anchors[-1] + step))
        for walk, fresh in zip(walks, drawn, strict=True):
            moved = beta * (walk[-1] - walk[-2]) + (1 - beta) * fresh[frame + 1]
            walk.append((1 - alpha) * (walk[-1] + moved))
        image = pyramid([walk[-1] for walk in walks], start, torch.tensor([anchors[-1]]))[-1]
        yield from check_chained(recording, f"gif/frame_{frame}", image)


# --- One epoch of one scale -------------------------------------------------------------------------------------------


class RecordedDraws(SinGANTrainer):
    """The trainer with the recorded random numbers in the place of its own."""

    recording: Recording
    trained: int
    drawn: int = 1  # the map with number 0 was drawn for its shape alone
    shares: int = 0

    def noise(self, scale: int, count: int) -> Tensor:
        maps = noises(self.recording, "")
        if count == 1:
            self.drawn += 1
            return maps[self.drawn - 1]
        # For every critic step the maps of all scales below: those of one scale together.
        return torch.cat([maps[self.drawn + number * self.trained + scale] for number in range(count)])

    def share(self) -> Tensor:
        self.shares += 1
        return self.recording.tensors[f"input/gp_alpha_{self.shares - 1}"].reshape(())


def build_trainer(recording: Recording, case: Case, critic_steps: int) -> RecordedDraws:
    """The recorded networks and options, the scale begun."""
    options = training.Options(
        critic_steps=critic_steps,
        generator_steps=case.Gsteps,
        max_size=case.max_size,
        steps_per_scale=case.niter,
        full_rate_share=1,
        learning_rate=case.lr_g,
        betas=(case.beta1, 0.999),
        reconstruction_weight=case.alpha,
        penalty_weight=case.lambda_grad,
        noise_amplitude=case.noise_amp,
    )
    trainer = RecordedDraws(SinGAN(config_of(case)), options)
    trainer.recording, trainer.trained = recording, case.train_scale
    filled(trainer.pyramid, recording)
    image, scale = image_of(recording.tensors["input/image_u8"]), case.train_scale
    if scale > 0:
        trainer.begin(0, {"image": image})
        filled(trainer.pyramid, recording)
    trainer.begin(scale, {"image": image})
    trainer.pyramid.level(scale).load_state_dict(our_state(recording, "netG"), strict=False)
    trainer.critic(scale).load_state_dict(our_state(recording, "netD"))
    return trainer


def check_step(recording: Recording, case: Case) -> Iterator[Row]:
    """What the scale starts from, and one step of the real engine."""
    scale = case.train_scale
    for network in ("netG", "netD"):
        yield from check_widths(recording, case, network, scale)
    yield recording.agrees("lr_g, lr_d", case.lr_g, case.lr_d)
    yield recording.agrees("Dsteps", case.Dsteps, len(recording.series("input/gp_alpha_")))
    trainer = build_trainer(recording, case, case.Dsteps)
    level = trainer.pyramid.level(scale)
    yield recording.output("real", level.real, FORWARD)
    yield recording.output("noise_amp", level.amplitude, RELATIVE)
    yield recording.output("z_prev", trainer.memory.below(scale), FORWARD)
    yield from check_made(recording, case)
    batch = {"image": image_of(recording.tensors["input/image_u8"])}
    prefixes = {"netG": f"levels.{scale}.", "netD": f"{scale}."}
    step = RecordedStep(
        recording,
        {"netG": PYRAMID, "netD": "critics"},
        lambda official, key: our_key(official, key, prefixes[official]),
        case.lr_g,
        STEP,
        updates={"netD": case.Dsteps, "netG": case.Gsteps},
        unlearned=frozenset({"netD/tail.bias"}),
    )
    found = step.run(trainer, batch, start=Cursor(stage=scale, step=1, phase=0))
    named = partial(losses, generator="generator_1", critic_steps=case.Dsteps, penalty_weight=case.lambda_grad)
    yield from step.check(trainer, found, named(found.losses, reconstruction_weight=case.alpha))
    if "output/z_opt" in recording.tensors:
        stored = trainer.pyramid.noise if scale == 0 else torch.zeros_like(recording.tensors["output/z_opt"])
        yield recording.output("z_opt", stored, EXACT)


def check_made(recording: Recording, case: Case) -> Iterator[Row]:
    """The images that the critic's steps see, and what they were made above."""
    for number in range(case.Dsteps):
        trainer = build_trainer(recording, case, critic_steps=number + 1)
        with torch.no_grad():
            made = trainer.make(case.train_scale, Step(1, {}, None))
        yield recording.output(f"D{number}_fake_image", made.fakes[-1], FORWARD)
        yield recording.output(f"D{number}_prev", made.below, FORWARD)
