"""Options that several papers share, as records that a trainer's Options are composed of.

class Options(LinearDecay, AdamOptions, CropOptions): names the fields with the paper's values and adds its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt, model_validator
from torch import Tensor, nn
from torch.optim import Adam
from torch.optim.optimizer import ParamsT

from i2i_registry.errors import TrainingError
from i2i_runtime.schema.operations import Record, Resize
from i2i_toolkit.data.preparation import Preparation
from i2i_toolkit.networks.architecture import Norm
from i2i_toolkit.networks.discriminators import (
    OBJECTIVES,
    DiscriminatorKind,
    Objective,
    PatchDiscriminator,
    PixelDiscriminator,
    make_discriminator,
    smallest_side,
)

Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]
"""A share of something, never all of it."""
Betas = tuple[Fraction, Fraction]
"""How fast Adam's two moments forget."""


class StepOptions(Record):
    """Options of a training whose length is a number of steps; its Options give `steps` the paper's number."""

    steps: PositiveInt
    batch_size: PositiveInt = 1


class LinearDecay(StepOptions):
    """Options of a rate that stays, and in the last steps falls along a line: "linear" of pix2pix and its successors.

    What is left open follows from `steps`, so that a training of any length has a schedule of the paper's shape.
    """

    epochs: ClassVar[int] = 200
    """how many epochs the paper's training has; pix2pix and CycleGAN: 100 at one rate, 100 with a falling one"""

    decay_steps: NonNegativeInt | None = None
    """how many of the last steps have a learning rate that falls along a line; None: half of all"""
    epoch_steps: PositiveInt | None = None
    """the learning rate is lowered once in so many steps; None: an epoch of the paper's, as a share of `steps`"""

    @model_validator(mode="after")
    def _decay_is_part_of_the_training(self) -> Self:
        if self.decay_steps is not None and self.decay_steps > self.steps:
            raise ValueError(f"decay_steps={self.decay_steps} is more than all steps={self.steps}")
        return self

    def learning_rate_factor(self, step: int) -> float:
        """Factor in (0, 1] on the learning rate of `step`, which counts from 1; 0 after the last one.

        1 - max(0, e + 1 - constant epochs) / (decay epochs + 1), where e counts epochs from 0: the line would reach 0
        one epoch after the last, and the rate is constant inside an epoch. The last epoch may be cut short.
        """
        decay_steps = self.steps // 2 if self.decay_steps is None else self.decay_steps
        epoch_steps = self.epoch_steps or max(self.steps // self.epochs, 1)
        epochs = -(-self.steps // epoch_steps)
        decay_epochs = decay_steps // epoch_steps
        epoch = (step - 1) // epoch_steps
        return max(0.0, 1.0 - max(0, epoch + 1 - (epochs - decay_epochs)) / (decay_epochs + 1))


class AdamOptions(Record):
    """Options of Adam."""

    learning_rate: PositiveFloat
    """of all networks that no other option names"""
    betas: Betas

    def make_adam(self, *networks: nn.Module) -> Adam:
        """Build Adam for every parameter of the networks that wants a gradient."""
        return self.make_adam_of([parameter for network in networks for parameter in learned(network)])

    def make_adam_of(self, parameters: ParamsT) -> Adam:
        """Build Adam for parameters, or for groups of them with rates of their own.

        Fused: the same arithmetic in one pass over the parameters instead of a dozen.
        """
        return Adam(parameters, lr=self.learning_rate, betas=self.betas, fused=True)


class WeightDecayOptions(AdamOptions):
    """Options of Adam with weight decay as in Adam's paper: a part of the gradient, before the moments."""

    weight_decay: NonNegativeFloat
    """added to the gradient of every parameter, as a share of it (L2)"""

    def make_adam_of(self, parameters: ParamsT) -> Adam:
        """Build Adam for parameters, or for groups of them with rates of their own."""
        decay = self.weight_decay
        return Adam(parameters, lr=self.learning_rate, betas=self.betas, weight_decay=decay, fused=True)


class PatchDiscriminatorOptions(Record):
    """Options of the discriminators of pix2pix, which CycleGAN and others took over."""

    objective: Objective
    discriminator: DiscriminatorKind = "patch"
    discriminator_layers: Annotated[int, Field(ge=1, le=6)] = 3
    """of a patch discriminator; 3 sees 70x70 pixels, 1 sees 16x16, 5 sees 286x286"""
    discriminator_channels: PositiveInt = 64
    """after the first convolution"""

    @property
    def adversarial(self) -> Callable[[Tensor, float], Tensor]:
        """The loss of logits against 1 (real) or 0 (generated)."""
        return OBJECTIVES[self.objective]

    def make_discriminator(self, channels_in: int, norm: Norm) -> PatchDiscriminator | PixelDiscriminator:
        """Build a discriminator of images with so many channels."""
        channels, layers = self.discriminator_channels, self.discriminator_layers
        return make_discriminator(self.discriminator, channels_in, channels, layers, norm)

    def check_image_size(self, image_size: int, multiple: int) -> None:
        """Refuse images that leave the last norm nothing to compare.

        Args:
            image_size: pixels a side.
            multiple: what the model's sides are multiples of.

        Raises TrainingError with a size that is large enough.
        """
        smallest = smallest_side(self.discriminator_layers)
        if self.discriminator == "patch" and image_size < smallest:
            raise TrainingError(
                found=f"patch discriminators of {self.discriminator_layers} layers and {image_size} pixels",
                expected=f"at least {smallest} pixels, so that their last norm has values to compare",
                fix=f"--set image_size={-(-smallest // multiple) * multiple}, fewer discriminator_layers, or "
                "--set discriminator=pixel",
            )


class CropOptions(Record):
    """Options of how an image comes to the model's size: scaled to a little more, cropped and mirrored at random."""

    preprocess: Literal["resize_and_crop", "crop", "scale_width_and_crop"] = "resize_and_crop"
    enlarge_px: NonNegativeInt = 30
    """images are resized to this much more than the model's size, then cropped at random"""
    flip: bool = True
    """mirror every other sample; switch it off where left and right mean something"""

    def preparation(self, image_size: int, resize: Resize) -> Preparation:
        """Say how images come to `image_size` pixels a side."""
        return Preparation(self.preprocess, image_size + self.enlarge_px, image_size, resize, self.flip)


class EMAOptions(Record):
    """Options of an exponential moving average of networks."""

    ema_decay: Fraction = 0.0
    """of the exponential moving average of the networks, which is then what is saved; 0: none"""

    def decays(self, networks: Iterable[str]) -> dict[str, float]:
        """Map the names of networks to their decay, as `Trainer.ema` does; nothing without an average."""
        return dict.fromkeys(networks, self.ema_decay) if self.ema_decay else {}


def learned(network: nn.Module) -> list[nn.Parameter]:
    """The parameters of a network that want a gradient."""
    return [parameter for parameter in network.parameters() if parameter.requires_grad]
