"""The training of New Paper (Zhu et al., arXiv:1703.10593, sections 3 and 4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor, nn

from i2i_registry import Losses, Phase, Stage, Step, Tensors, Trainer
from i2i_runtime import BICUBIC
from i2i_toolkit import (
    A_TO_B,
    B_TO_A,
    DOMAINS,
    AdamOptions,
    Betas,
    ImagePool,
    LinearDecay,
    PatchDiscriminator,
    Preparation,
    UnpairedLayout,
    l1,
    least_squares,
    two_way_preview,
)

from .model import NewPaper


class Options(LinearDecay, AdamOptions):
    """How it is trained."""

    steps: PositiveInt = 266_800
    learning_rate: PositiveFloat = 2e-4
    betas: Betas = (0.5, 0.999)
    cycle_weight: NonNegativeFloat = 10.0
    identity_weight: NonNegativeFloat = 5.0
    """of images that are in the target domain already"""
    pool_size: NonNegativeInt = 50
    """generated images of each domain from which the discriminators also see older ones"""
    discriminator_channels: PositiveInt = 64
    """after the first convolution"""


class NewPaperTrainer(Trainer[NewPaper, Options]):
    """Two phases a step: both generators learn, then both discriminators, from images made before that."""

    Options = Options
    Layout = UnpairedLayout
    shrunk: ClassVar = {"steps": 4, "epoch_steps": 1, "pool_size": 2, "discriminator_channels": 4}

    def __init__(self, model: NewPaper, options: Options) -> None:
        super().__init__(model, options)
        side, width = model.config.image_size, options.discriminator_channels
        self.generators = {"B": model.generators[A_TO_B], "A": model.generators[B_TO_A]}
        self.discriminators = {domain: PatchDiscriminator(3, width, layers=3, norm="instance") for domain in DOMAINS}
        self.pools = {domain: ImagePool(options.pool_size, options.batch_size, (3, side, side)) for domain in DOMAINS}

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        """Both discriminators, and the pools of generated images, which a checkpoint has to hold."""
        discriminators = {f"discriminator_{domain.lower()}": network for domain, network in self.discriminators.items()}
        return discriminators | {f"pool_{domain.lower()}": pool for domain, pool in self.pools.items()}

    @property
    def layout(self) -> UnpairedLayout:
        """Images of trainA/ and trainB/, enlarged a little, cropped and mirrored at random."""
        side = self.model.config.image_size
        return UnpairedLayout(Preparation("resize_and_crop", side + 30, side, BICUBIC))

    def stages(self) -> Sequence[Stage[None]]:
        """One stage; the generators learn first."""
        options, rate = self.options, self.options.learning_rate_factor
        generators = Phase(
            name="generators",
            optimizer=options.make_adam(*self.generators.values()),
            losses=self.generator_losses,
            learning_rate=rate,
        )
        discriminators = Phase(
            name="discriminators",
            optimizer=options.make_adam(*self.discriminators.values()),
            losses=self.discriminator_losses,
            learning_rate=rate,
        )
        phases = (generators, discriminators)
        return [Stage(name="translation", steps=options.steps, batch_size=options.batch_size, phases=phases)]

    def generator_losses(self, step: Step[None]) -> Losses:
        """Adversarial, cycle and identity losses of both directions (eq. 1 to 3)."""
        losses: dict[str, Tensor] = {}
        for source, target in (("A", "B"), ("B", "A")):
            image = step.batch[source]
            fake = self.generators[target](image)
            self.pools[target].put(fake)
            losses |= {
                f"adversarial_{target}": least_squares(self.discriminators[target](fake), 1.0),
                f"cycle_{source}": self.options.cycle_weight * l1(self.generators[source](fake), image),
                f"identity_{source}": self.options.identity_weight * l1(self.generators[source](image), image),
            }
        return losses

    def discriminator_losses(self, step: Step[None]) -> Losses:
        """Squares on real images and on the pools'; half of them, so that the discriminators learn slowly."""
        losses: dict[str, Tensor] = {}
        for domain, discriminator in self.discriminators.items():
            real = step.batch[domain]
            fake = self.pools[domain].take(len(real))
            losses[domain] = 0.5 * (least_squares(discriminator(real), 1.0) + least_squares(discriminator(fake), 0.0))
        return losses

    def preview(self, batch: Tensors) -> Tensors:
        """Show each domain, what it becomes, and the way back."""
        return two_way_preview(batch, self.model.config.domains, self.generators["B"], self.generators["A"])
