"""The training of InGAN (paper, sections 3 and 4; constants of the authors' code)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.optim import Adam

from i2i_plugin_ingan.config import TRAININGS, Config, Options
from i2i_plugin_ingan.data import CropsLayout, crop_size, learned_size, smallest_image, whole_multiples
from i2i_plugin_ingan.model import InGAN
from i2i_plugin_ingan.networks.critic import SMALLEST_TRAINED, MultiScaleCritic, net_count, scale_weights
from i2i_plugin_ingan.networks.geometry import homography_grid, resize_grid
from i2i_registry import Losses, Phase, Stage, Step, Tensors, Trainer, TrainingError
from i2i_runtime import Record, Shifts
from i2i_toolkit import SingleImageLayout, l1, least_squares

DITHER = 1 / 255
"""Largest noise that is added to what the networks see, in units of [-1, 1]: half an 8-bit level."""

PREVIEW_SCALES = {"wide": (1.0, 1.5), "tall": (1.5, 1.0), "small": (0.7, 0.7)}
"""Column of the sample grid -> scale (vertical, horizontal)."""


class Retargeted(NamedTuple):
    """The crop at another size and shape."""

    fake: Tensor
    """[1, 3, y, x]"""
    back: Tensor
    """[1, h, w, 2], the sampling grid of the way back"""


class InGANTrainer(Trainer[InGAN, Options]):
    """Two stages of one training: first there and back, then the way back also by itself (paper, section 4).

    A step takes a crop, retargets it to a random size, and back. The generator learns that the result convinces the
    critic and that the way back returns the crop; the critic learns to tell crops from results.
    """

    Options = Options
    Layout = SingleImageLayout
    shrunk: ClassVar = {
        "steps": 4,
        "decay_from": 2,
        "inverse_from": 0,
        "full_range_at": 2,
        "balanced_at": 4,
        "largest_shift": 0.1,
        "critic_channels": 4,
        "crop_px": 24,
        "max_size": 32,
    }
    """four steps, all but the first with the way back alone, on small crops, and a narrow critic"""
    presets: ClassVar[Mapping[str, Record]] = TRAININGS

    def __init__(self, model: InGAN, options: Options) -> None:
        super().__init__(model, options)
        self.generator = model.generator
        self.config = model.config
        self.crop = crop_size(self.config, options)
        _check(self.config, self.crop)
        self.critic = MultiScaleCritic(
            options.critic_channels, net_count(*self.crop, options.critic_step), options.critic_step
        )

    @property
    def layout(self) -> CropsLayout:
        """Crops of the one image."""
        config = self.config
        learned = learned_size(config, self.options)
        return CropsLayout((config.height, config.width), learned, config=config, options=self.options, crop=self.crop)

    def stages(self) -> Sequence[Stage[Retargeted]]:
        """Up to `inverse_from` without the extra way back, then with it; the optimizers are the same."""
        generator, critic = self.options.make_adam(self.generator), self.options.make_adam(self.critic)
        first = min(self.options.iteration_of(self.options.inverse_from) + 1, self.options.steps)
        parts = (("growing", 0, first), ("inverse", first, self.options.steps - first))
        return [
            Stage(
                name=name,
                steps=steps,
                batch_size=1,
                phases=self._phases(name, start, generator, critic),
                shared=self.retarget,
                # The critic looks at the result when the generator has learned from it (order of the authors' code).
                keep_shared=Retargeted,
            )
            for name, start, steps in parts
            if steps
        ]

    def _phases(self, stage: str, start: int, for_generator: Adam, for_critic: Adam) -> tuple[Phase[Retargeted], ...]:
        """Return the phases of a stage whose first step is iteration `start`."""
        rate = partial(self._rate, start)
        generator = Phase(
            name="generator",
            optimizer=for_generator,
            losses=partial(self.generator_losses, start),
            learning_rate=rate,
        )
        inverse = replace(generator, name="inverse", losses=self.inverse_losses)
        critic = Phase(
            name="critic",
            optimizer=for_critic,
            losses=partial(self.critic_losses, start),
            learning_rate=rate,
        )
        return (generator, inverse, critic) if stage == "inverse" else (generator, critic)

    def retarget(self, step: Step[None]) -> Retargeted:
        """Return the crop at the wanted size and shape, and the grid of the way back: used by all phases."""
        image, (height, width) = step.batch["image"], step.batch["size"][0].tolist()
        shifts, source = Shifts(*step.batch["shifts"][0].tolist()), (image.shape[2], image.shape[3])
        there = homography_grid(source, (height, width), shifts).to(image.device)
        back = homography_grid((height, width), source, shifts.reversed()).to(image.device)
        return Retargeted(self.generator(self.dithered(image), there), back)

    def generator_losses(self, start: int, step: Step[Retargeted]) -> Losses:
        """Return what the critic says of the result, and how far the way back ends from the crop."""
        fake = step.shared.fake
        judged = self.critic(fake, self.scale_weights(start, step))
        returned = self.generator(fake, step.shared.back)
        return {
            "adversarial": least_squares(judged, 1.0),
            "reconstruction": self.options.reconstruction_weight * l1(returned, step.batch["image"]),
        }

    def inverse_losses(self, step: Step[Retargeted]) -> Losses:
        """Return the way back alone, by the generator as it has just become."""
        returned = self.generator(step.shared.fake.detach(), step.shared.back)
        return {"reconstruction": self.options.inverse_weight * l1(returned, step.batch["image"])}

    def critic_losses(self, start: int, step: Step[Retargeted]) -> Losses:
        """Judge the crop as real and the result as not; both are weighed by the scales of the result."""
        weights = self.scale_weights(start, step)
        real = self.critic(self.dithered(step.batch["image"]), weights)
        fake = self.critic(self.dithered(step.shared.fake.detach()), weights)
        return {"real": 0.5 * least_squares(real, 1.0), "fake": 0.5 * least_squares(fake, 0.0)}

    def scale_weights(self, start: int, step: Step[Retargeted]) -> tuple[float, ...]:
        """How much each scale of the critic counts: by the result's size, for results and crops alike."""
        height, width = step.shared.fake.shape[2:]
        iteration = start + step.number - 1
        balanced_at = max(self.options.iteration_of(self.options.balanced_at), 1)
        return scale_weights(height, width, iteration, balanced_at, self.options.critic_step)

    def preview(self, batch: Tensors) -> Tensors:
        """Return the image, retargeted to some sizes, and the way back from the first of them."""
        image = batch["image"]
        own = (image.shape[2], image.shape[3])
        columns = {"image": image}
        for title, scales in PREVIEW_SCALES.items():
            wanted = [
                max(int(side * scale), self.config.smallest_side) for side, scale in zip(own, scales, strict=True)
            ]
            size = whole_multiples((wanted[0], wanted[1]), self.config.multiple)
            columns[title] = self.generator(image, resize_grid(own, size).to(image.device))
        wide = columns["wide"]
        back = resize_grid((wide.shape[2], wide.shape[3]), own).to(image.device)
        return {**columns, "wide and back": self.generator(wide, back)}

    @classmethod
    def config_for(cls, config: Record, options: Options, root: Path) -> Record:
        """Height and width of the image, as it is trained on. Raises LayoutError for one that is too small."""
        return learned_size(Config.model_validate(config), options).complete(config, root)

    def dithered(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """With noise below an 8-bit level, so that a critic cannot tell an image by its levels."""
        return image + (2 * self.uniform(image) - 1) * DITHER

    def uniform(self, like: Tensor) -> Tensor:
        """Random numbers from 0 to 1, of the shape of `like`."""
        return torch.rand_like(like)

    def _rate(self, start: int, number: int) -> float:
        return self.options.learning_rate_factor(start + number - 1)


def _check(config: Config, crop: tuple[int, int]) -> None:
    if min(crop) <= SMALLEST_TRAINED:
        raise TrainingError(
            found=f"crops of {crop[0]}x{crop[1]} pixels (height x width)",
            expected=f"more than {SMALLEST_TRAINED} a side, so that the critic has a scale to judge at",
            fix=f"an image of at least {smallest_image(config)} pixels a side, and a larger crop_px",
        )
