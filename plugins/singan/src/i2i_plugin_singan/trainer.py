"""The training of SinGAN (paper, section 2.3; constants and order of the authors' scripts): scale by scale.

A step is one of the authors' epochs: the critic learns a few times, each time from another image, then the generator
does. Where their code goes on with an image that the generator as it is now would not make any more, which torch
refuses since 1.5, the image is made again from the same noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, ClassVar, NamedTuple

import torch
from jaxtyping import Float
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn

from i2i_plugin_singan.config import Config, Size, enlarging_scales_for, scales_for
from i2i_plugin_singan.model import SinGAN
from i2i_plugin_singan.networks import UNTRAINED, Critic, Generator
from i2i_plugin_singan.networks.palette import PALETTE_SIZE, palette_of, quantised
from i2i_plugin_singan.networks.sampling import padded
from i2i_registry import Losses, Phase, Stage, Step, Tensors, Trainer, TrainingError
from i2i_runtime import Record
from i2i_toolkit import (
    AdamOptions,
    Betas,
    LearnedSize,
    SingleImageLayout,
    SingleImageOptions,
    gradient_penalty,
    image_size,
    resample_by,
    resample_within,
    wasserstein,
)

RECONSTRUCTION_WEIGHT = 10.0
ENLARGING_RECONSTRUCTION_WEIGHT = 100.0
"""of a training for super-resolution"""


class Options(AdamOptions, SingleImageOptions):
    """How it is trained. The defaults are the authors'."""

    steps_per_scale: PositiveInt = 2000
    learning_rate: PositiveFloat = 5e-4
    """of both optimizers"""
    betas: Betas = (0.5, 0.999)
    full_rate_share: Annotated[float, Field(ge=0.0, le=1.0)] = 0.8
    """of the steps of a scale; in the rest the learning rate is lower"""
    late_rate: Annotated[float, Field(gt=0.0, le=1.0)] = 0.1
    """that rate, as a share of the first"""
    critic_steps: PositiveInt = 3
    """updates of the critic in one step"""
    generator_steps: PositiveInt = 3
    """updates of the generator in one step"""
    reconstruction_weight: NonNegativeFloat | None = None
    """None: 10, and 100 for super-resolution"""
    penalty_weight: NonNegativeFloat = 0.1
    noise_amplitude: PositiveFloat = 0.1
    """strength of a scale's noise, as a share of how far the reconstruction below is from the image"""
    scale_factor: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.75
    """side of a scale over that of the next finer one, roughly: it is adjusted so that the scales come out even; for
    super-resolution the enlargement decides"""

    def scales_for(self, image: Size, config: Config) -> int:
        """How many scales the authors' scripts give an image of this size."""
        count, scale_factor = scales_for, self.scale_factor
        if config.mode == "super_resolution":
            count, scale_factor = enlarging_scales_for, config.enlargement ** (-1 / config.passes)
        scales = count(image, coarsest=config.coarsest, scale_factor=scale_factor, max_size=self.max_size)
        return max(scales, 2)


QUICK = Options(steps_per_scale=400, critic_steps=1, generator_steps=1, max_size=128, scale_factor=0.65)
"""For a first look: a fifteenth of the updates, fewer scales, a small image."""


class Memory(nn.Module):
    """What a training keeps for itself: for every scale the enlarged reconstruction of those below, in its border."""

    palette: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        for scale, (height, width) in enumerate(config.sizes):
            empty = torch.zeros(1, 3, height + 2 * config.border, width + 2 * config.border)
            self.register_buffer(f"below_{scale}", empty)
        self.register_buffer("palette", torch.zeros(PALETTE_SIZE, 3))

    def below(self, scale: int) -> Tensor:
        """Return the buffer of one scale."""
        return self.get_buffer(f"below_{scale}")


class Made(NamedTuple):
    """What a step works on."""

    noise: Tensor
    """[1, c, h, w], of this scale, in its border"""
    below: Tensor
    """[1, 3, h, w], what the scales below made for the last of `fakes`, in its border"""
    fakes: tuple[Tensor, ...]
    """[1, 3, h, w] each, one for every update of the critic; only the last has a graph"""


class SinGANTrainer(Trainer[SinGAN, Options]):
    """A stage for every scale, in which the scales below stay as they are."""

    Options = Options
    presets = MappingProxyType({"quick": QUICK})
    Layout = SingleImageLayout
    shrunk: ClassVar = {
        "steps_per_scale": 1,
        "full_rate_share": 0.5,
        "critic_steps": 2,
        "generator_steps": 2,
        "max_size": 40,
    }
    """one step a scale, of two updates of each network; the largest image is that of the shrunk Config"""

    def __init__(self, model: SinGAN, options: Options) -> None:
        super().__init__(model, options)
        self.config = self.model.config
        self.pyramid = self.model.pyramid
        widths = [self.config.width_at(scale) for scale in range(self.config.scales)]
        self._critics = [Critic(width, self.config.layers) for width in widths]
        self.critics = nn.ModuleList(self._critics)
        self.memory = Memory(self.config)

    def critic(self, scale: int) -> Critic:
        """Return the critic of one scale."""
        return self._critics[scale]

    # --- The image --------------------------------------------------------------------------------------------------

    @property
    def layout(self) -> SingleImageLayout:
        """The one image, as it is."""
        return SingleImageLayout((self.config.height, self.config.width), _learned_size(self.config, self.options))

    @classmethod
    def config_for(cls, config: Record, options: Options, root: Path) -> Record:
        """Height and width of the image, and as many scales as the authors' scripts would give it."""
        config = Config.model_validate(config)
        size = _learned_size(config, options).of(root)
        if size is None:
            return config
        scales = options.scales_for(image_size(root), config)
        return config.model_copy(update={"height": size[0], "width": size[1], "scales": scales})

    def prepared(self, image: Float[Tensor, "1 3 h w"]) -> Float[Tensor, "1 3 y x"]:
        """Return the image at the size of the finest scale."""
        height, width = image.shape[-2:]
        reduction = self.options.reduction((height, width))
        return resample_within(image, reduction, (self.config.height, self.config.width))

    # --- Stages -------------------------------------------------------------------------------------------------------

    def stages(self) -> Sequence[Stage[Made]]:
        """One for every scale, from coarse to fine; the one that paint asks for, if it does."""
        if self.config.paint_scale is not None:
            return [self._stage(self.config.paint_scale)]
        return [self._stage(scale) for scale in range(self.config.scales)]

    def _stage(self, scale: int) -> Stage[Made]:
        learning = (
            ("critic", self.options.critic_steps, self.critic(scale), self.critic_losses),
            ("generator", self.options.generator_steps, self.pyramid.level(scale), self.generator_losses),
        )
        phases: list[Phase[Made]] = []
        for name, count, network, losses in learning:
            optimizer = self.options.make_adam(network)
            phases += [
                Phase(
                    name=f"{name}_{number}",
                    optimizer=optimizer,
                    losses=partial(losses, scale, number),
                    learning_rate=self.learning_rate_factor,
                )
                for number in range(1, count + 1)
            ]
        return Stage(
            name=f"scale_{scale}",
            steps=self.options.steps_per_scale,
            batch_size=1,
            phases=tuple(phases),
            shared=partial(self.make, scale),
            begin=partial(self.begin, scale),
        )

    def learning_rate_factor(self, step: int) -> float:
        """Of a step of a scale, which counts from 1."""
        full = step <= self.options.full_rate_share * self.options.steps_per_scale
        return 1.0 if full else self.options.late_rate

    @torch.no_grad()
    def begin(self, scale: int, batch: Tensors) -> None:
        """Take over the weights of the scale below; see how far off its reconstruction is, and set the noise by it."""
        if self.config.paint_scale is not None:
            self._begin_painting(scale)
        elif scale == 0:
            self._begin_pyramid(batch["image"])
        level = self.pyramid.level(scale)
        if scale == 0:
            return
        if self.config.width_at(scale) == self.config.width_at(scale - 1):
            _hand_over(self.pyramid.level(scale - 1), level)
            self.critic(scale).load_state_dict(self.critic(scale - 1).state_dict())
        self._freeze_below(scale)
        noises = [self.pyramid.noise.new_zeros(1, *self.config.noise_shape(lower)) for lower in range(scale)]
        below = self._below(scale, noises, anchor=1.0)
        self.memory.below(scale).copy_(below)
        border = self.config.border
        error = (level.real - below[..., border:-border, border:-border]).square().mean().sqrt()
        level.amplitude.copy_(self.options.noise_amplitude * error)

    def _begin_pyramid(self, image: Float[Tensor, "1 3 h w"]) -> None:
        image = self.prepared(image)
        for scale in range(self.config.scales):
            level = self.pyramid.level(scale)
            level.real.copy_(resample_by(image, self.config.shrinking(scale)))
            if scale > 0:
                level.amplitude.fill_(UNTRAINED)

    def _begin_painting(self, scale: int) -> None:
        real = self.pyramid.level(scale).real
        if not real.any() or self.pyramid.level(self.config.finest).amplitude < 0:
            raise TrainingError(
                found=f"paint_scale={scale}, and a pyramid that is not trained",
                expected="a whole pyramid, of which one scale is trained again",
                fix="train without paint_scale first, then: train singan --init NAME --set paint_scale=N",
            )
        self.memory.palette.copy_(palette_of(real))

    # --- One step -----------------------------------------------------------------------------------------------------

    def noise(self, scale: int, count: int) -> Float[Tensor, "n c h w"]:
        """Fresh noise maps of a scale, without border."""
        return torch.randn(count, *self.config.noise_shape(scale), device=self.pyramid.noise.device)

    def share(self) -> Float[Tensor, ""]:
        """Of the real image in the one that the penalty looks at."""
        return torch.rand((), device=self.pyramid.noise.device)

    def make(self, scale: int, _step: Step[None]) -> Made:
        """Return the noise of the step, and what the generator makes of it, above a new image for every critic step.

        Only the last keeps its graph: the generator learns from that one.
        """
        pyramid, level, count = self.pyramid, self.pyramid.level(scale), self.options.critic_steps
        self._freeze_below(scale)
        with torch.no_grad():
            if scale == 0:
                # The paper fixes this noise; the authors' scripts draw it anew in each epoch, and keep the last.
                pyramid.noise.copy_(pyramid.bordered(self.noise(0, 1)))
            noise = pyramid.bordered(self.noise(scale, 1))
            if scale == 0:
                below = torch.zeros_like(noise).expand(count, -1, -1, -1)
            else:
                below = self._below(scale, [self.noise(lower, count) for lower in range(scale)])
            fakes = [level(noise, below[number, None]) for number in range(count - 1)]
        last = below[-1:]
        return Made(noise, last, (*fakes, level(noise, last)))

    def critic_losses(self, scale: int, number: int, step: Step[Made]) -> Losses:
        """Scores of the real image, to be raised, and of a made one, to be lowered (WGAN-GP)."""
        critic, real = self.critic(scale), self.pyramid.level(scale).real
        fake = step.shared.fakes[number - 1].detach()
        # In this order: every pass moves the running statistics of the norms.
        return {
            "real": wasserstein(critic(real), 1.0),
            "fake": wasserstein(critic(fake), 0.0),
            "penalty": self.options.penalty_weight * gradient_penalty(critic, real, fake, self.share(), per_pixel=True),
        }

    def generator_losses(self, scale: int, number: int, step: Step[Made]) -> Losses:
        """Return what the critic says of the image, and how far the reconstruction is from the real one (eq. 6)."""
        level, shared = self.pyramid.level(scale), step.shared
        fake = shared.fakes[-1] if number == 1 else level(shared.noise, shared.below)
        adversarial = wasserstein(self.critic(scale)(fake), 1.0)
        stored = self.pyramid.noise if scale == 0 else torch.zeros_like(shared.noise)
        reconstruction = level(stored, self.memory.below(scale))
        error = (reconstruction.float() - level.real).square().mean()
        return {"adversarial": adversarial, "reconstruction": self.reconstruction_weight * error}

    @property
    def reconstruction_weight(self) -> float:
        """Given, or that of the mode."""
        given = self.options.reconstruction_weight
        usual = ENLARGING_RECONSTRUCTION_WEIGHT if self.config.mode == "super_resolution" else RECONSTRUCTION_WEIGHT
        return usual if given is None else given

    def _freeze_below(self, scale: int) -> None:
        """Set the scale itself to training mode, those below to evaluation mode."""
        for lower in range(self.config.scales):
            self.pyramid.level(lower).train(mode=lower == scale)

    def _below(
        self, scale: int, noises: Sequence[Float[Tensor, "b _ _ _"]], *, anchor: float = 0.0
    ) -> Float[Tensor, "b 3 h w"]:
        """Return what the scales below make of their noise (and of the stored noise), as `scale` takes it."""
        image = self.pyramid.made(noises, anchor)
        below = self.pyramid.below(image, self.config.size_at(scale), 1 / self.config.factor)
        if self.config.paint_scale is None:
            return below
        border = self.config.border
        return padded(quantised(below[..., border:-border, border:-border], self.memory.palette), border)

    def preview(self, batch: Tensors) -> Tensors:
        """Return the image, its reconstruction, and two samples; scales that are not trained yet only enlarge."""
        image, count = self.prepared(batch["image"]), 2
        device = image.device
        maps = [self.config.noise_shape(scale) for scale in range(self.config.scales)]
        still = [torch.zeros(1, *shape, device=device) for shape in maps]
        drawn = [torch.randn(count, *shape, device=device) for shape in maps]
        samples = self.pyramid(drawn)[-1]
        return {
            "image": image,
            "reconstruction": self.pyramid.made(still, 1.0),
            **{f"sample {number}": samples[number - 1, None] for number in range(1, count + 1)},
        }


def _learned_size(config: Config, options: Options) -> LearnedSize:
    return LearnedSize(options.reduced, config.coarsest, "coarsest")


def _hand_over(lower: Generator, level: Generator) -> None:
    """Copy the weights and running statistics of the scale below."""
    level.blocks.load_state_dict(lower.blocks.state_dict())
    level.to_image.load_state_dict(lower.to_image.state_dict())
