"""The training of ConSinGAN: one stage after the other, the newest ones together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

import torch
from torch import Tensor, nn

from i2i_plugin_consingan.config import Config
from i2i_plugin_consingan.data import ImageAtScaleLayout, size_at
from i2i_plugin_consingan.model import GENERATOR, ConSinGAN
from i2i_plugin_consingan.networks import Critic
from i2i_plugin_consingan.networks.upsampling import enlarged
from i2i_plugin_consingan.options import Options
from i2i_plugin_consingan.presets import OPTIONS
from i2i_plugin_consingan.stage_training import StageTraining
from i2i_registry import LayoutError, Phase, Stage, Tensors, Trainer
from i2i_runtime import Record
from i2i_toolkit import SingleImageLayout, find_image

CRITIC = "critic"


class ConSinGANTrainer(Trainer[ConSinGAN, Options]):
    """A stage of training for each of the generator; a step is some critic updates, then the generator's."""

    Options = Options
    Layout = SingleImageLayout
    shrunk: ClassVar = {"stage_steps": 5, "concurrent_stages": 2, "max_size": 40}
    """five steps a stage, the last of them at the lower rate; two stages learn together"""
    presets: ClassVar[Mapping[str, Record]] = MappingProxyType(dict(OPTIONS))

    def __init__(self, model: ConSinGAN, options: Options) -> None:
        super().__init__(model, options)
        self.critic = Critic(self.model.config)

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        """The critic."""
        return {CRITIC: self.critic}

    @property
    def layout(self) -> ImageAtScaleLayout:
        """The one image, at the size of the last stage."""
        config = self.model.config
        return ImageAtScaleLayout((config.height, config.width), config, self.options)

    def stages(self) -> Sequence[Stage[Tensor]]:
        """All of them; in fine-tuning the last one."""
        numbers = range(self.model.config.stages)
        return [self._stage(self.stage_training(number)) for number in numbers[-1 if self.options.fine_tune else 0 :]]

    def stage_training(self, number: int) -> StageTraining:
        """Return what one stage computes."""
        return StageTraining(self.model.generator, self.critic, self.options, number)

    def _stage(self, training: StageTraining) -> Stage[Tensor]:
        options = self.options
        critic = options.make_adam(self.critic)
        updates = [
            Phase(
                name=f"critic_{number}",
                optimizer=critic,
                losses=training.critic_losses,
                learning_rate=training.rate_factor,
            )
            for number in range(1, options.critic_steps + 1)
        ]
        generator = Phase(
            name=GENERATOR,
            optimizer=options.make_adam_of(training.generator_groups()),
            losses=training.generator_losses,
            learning_rate=training.rate_factor,
            repeat=options.generator_repeats,
        )
        return Stage(
            name=f"stage_{training.number}",
            steps=options.stage_steps,
            batch_size=1,
            phases=(*updates, generator),
            shared=training.share,
            begin=training.begin_fine_tuning if options.fine_tune else training.begin,
        )

    def preview(self, batch: Tensors) -> Tensors:
        """Return the image, what the stored noise makes of it, and two results; all at the image's size."""
        generator, config = self.model.generator, self.model.config
        stored = generator.stored(config.stages)
        columns = {"image": batch["image"], "reconstruction": generator.finished(stored)}
        if config.injects:
            fed = enlarged(batch["coarse"], config.height, config.width)
            return {**columns, "fed to stage 0": fed, "result": generator.finished([batch["coarse"], *stored[1:]])}
        samples = {
            f"sample {number}": generator.finished([torch.randn_like(noise) for noise in stored]) for number in (1, 2)
        }
        return columns | samples

    @classmethod
    def config_for(cls, config: Record, options: Record, root: Path) -> Record:
        """Return the image's size, scaled down to `max_size`. Raises LayoutError for an image smaller than stage 0."""
        if not isinstance(config, Config) or not isinstance(options, Options):
            raise TypeError(f"ConSinGAN has no {type(config).__name__} with {type(options).__name__}")
        try:
            find_image(root)
        except LayoutError:
            return config  # `dataset` tells what is wrong with the folder
        height, width = size_at(root, options.max_size, config.coarsest)
        return Config.model_validate({**config.model_dump(), "height": height, "width": width})
