"""The training of U-GAT-IT (paper, section 2.2; constants of the authors' PyTorch release)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, ClassVar, NamedTuple

import torch
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor, nn
from torch.nn import functional as F

from i2i_plugin_ugatit.config import DOWNSAMPLING
from i2i_plugin_ugatit.model import UGATIT
from i2i_plugin_ugatit.networks import ILN, AdaLIN, Discriminator, Generator, smallest_side
from i2i_registry import Losses, Phase, Stage, Step, Tensors, Trainer, TrainingError
from i2i_runtime import BILINEAR
from i2i_toolkit import (
    A_TO_B,
    B_TO_A,
    DOMAINS,
    Betas,
    EMAOptions,
    Preparation,
    StepOptions,
    UnpairedLayout,
    WeightDecayOptions,
    l1,
    least_squares,
    logistic,
    two_way_preview,
)

Layers = Annotated[int, Field(ge=3, le=10)]

SCALES = ("global", "local")


class Options(StepOptions, WeightDecayOptions, EMAOptions):
    """How it is trained. The defaults are the paper's."""

    steps: PositiveInt = 1_000_000
    batch_size: PositiveInt = 1
    learning_rate: PositiveFloat = 1e-4
    """of both optimizers; from the middle of the training on it falls to 0 along a line"""
    betas: Betas = (0.5, 0.999)
    weight_decay: NonNegativeFloat = 1e-4
    adversarial_weight: NonNegativeFloat = 1.0
    cycle_weight: NonNegativeFloat = 10.0
    identity_weight: NonNegativeFloat = 10.0
    cam_weight: NonNegativeFloat = 1000.0
    global_layers: Layers = 7
    local_layers: Layers = 5
    discriminator_channels: PositiveInt | None = None
    """after the first convolution; None: as many as the generators have"""
    enlarge_px: NonNegativeInt = 30
    """images are resized to this much more than the model's size, then cropped at random"""
    flip: bool = True
    """mirror every other image; switch it off where left and right mean something"""


def learning_rate_factor(step: int, steps: int) -> float:
    """1 in the first half, then a line that reaches 0 at the last step; steps count from 1.

    With an odd number of steps the release overshoots to slightly below 0; this stops at 0.
    """
    half = steps // 2
    if step <= half or half == 0:
        return 1.0
    return max(0.0, 1.0 - (step - half) / half)


def preparation(image_size: int, options: Options) -> Preparation:
    """Return the release's transforms.

    Mirrored, resized to a larger square (bilinear), cropped to image_size pixels.
    """
    return Preparation(
        mode="resize_and_crop",
        load_px=image_size + options.enlarge_px,
        crop_px=image_size,
        flip=options.flip,
        resize=BILINEAR,
        flip_first=True,
    )


@torch.no_grad()
def clamp_rho(generator: nn.Module) -> None:
    """Keep every rho a ratio, in [0, 1] (paper, eq. 2)."""
    for module in generator.modules():
        if isinstance(module, AdaLIN | ILN):
            module.rho.clamp_(0.0, 1.0)


class IntoDomain(NamedTuple):
    """What the generator into a domain makes of a batch."""

    fake: Tensor
    """[b, 3, h, w], images of the other domain, translated"""
    same: Tensor
    """[b, 3, h, w], images of this domain, which should come out as they went in"""
    fake_cam: Tensor
    """[b, 2], logits of the attention heads for the translated images"""
    same_cam: Tensor
    """[b, 2], the same for those of this domain"""


Translations = Mapping[str, IntoDomain]
"""Domain -> what the generator into it makes of a batch."""


class UGATITTrainer(Trainer[UGATIT, Options]):
    """Two phases a step: the four discriminators learn, then the two generators.

    The translations are computed once and serve both phases (the generators do not change in between), and each
    generator translates the other domain and repeats its own in one pass. The release computes the translations twice
    and sends the discriminators' gradients through the generators for nothing; the numbers are the same.
    """

    Options = Options
    Layout = UnpairedLayout
    shrunk: ClassVar = {
        "steps": 4,
        "global_layers": 5,
        "local_layers": 4,
        "discriminator_channels": 4,
        "enlarge_px": 2,
    }
    """fewer layers (so that 24 pixels are enough), few channels, four steps"""

    def __init__(self, model: UGATIT, options: Options) -> None:
        super().__init__(model, options)
        config = model.config
        _check_size(config.image_size, options)
        self.a_to_b, self.b_to_a = model.generators[A_TO_B], model.generators[B_TO_A]
        channels = options.discriminator_channels or config.channels
        layers = {"global": options.global_layers, "local": options.local_layers}
        self.discriminators = {
            f"{scale}_discriminator_{domain.lower()}": Discriminator(channels, layers[scale])
            for domain in DOMAINS
            for scale in SCALES
        }

    @property
    def layout(self) -> UnpairedLayout:
        """Images of trainA/ and trainB/: mirrored, enlarged, cropped."""
        return UnpairedLayout(preparation(self.model.config.image_size, self.options))

    def stages(self) -> Sequence[Stage[Translations]]:
        """One stage; discriminators first, as in the release."""
        discriminators = Phase(
            name="discriminators",
            optimizer=self.options.make_adam(*self.discriminators.values()),
            losses=self.discriminator_losses,
            learning_rate=self._learning_rate,
        )
        generators = Phase(
            name="generators",
            optimizer=self.options.make_adam(self.a_to_b, self.b_to_a),
            losses=self.generator_losses,
            learning_rate=self._learning_rate,
            after=self._clamp_rho,
        )
        return [
            Stage(
                name="translation",
                steps=self.options.steps,
                batch_size=self.options.batch_size,
                phases=(discriminators, generators),
                shared=self.translations,
            )
        ]

    def translations(self, step: Step[None]) -> Translations:
        """Both domains through both generators."""
        a, b = step.batch["A"], step.batch["B"]
        return {"B": into_domain(self.a_to_b, a, b), "A": into_domain(self.b_to_a, b, a)}

    def discriminator_losses(self, step: Step[Translations]) -> Losses:
        """Least-squares losses (paper, eq. 3) of every discriminator, on patches and on its attention heads."""
        losses: dict[str, Tensor] = {}
        # Real before generated in every discriminator: each pass moves the estimate of its spectral norms.
        for name, domain, discriminator in self._judges():
            real = discriminator(step.batch[domain])
            fake = discriminator(step.shared[domain].fake.detach())
            losses[name] = least_squares(real.logits, 1.0) + least_squares(fake.logits, 0.0)
            losses[f"{name}_cam"] = least_squares(real.cam_logits, 1.0) + least_squares(fake.cam_logits, 0.0)
        return {name: self.options.adversarial_weight * loss for name, loss in losses.items()}

    def generator_losses(self, step: Step[Translations]) -> Losses:
        """Adversarial, cycle, identity and attention losses (paper, eq. 3 to 6) of both directions."""
        made = step.shared
        back = {"A": self.b_to_a(made["B"].fake).image, "B": self.a_to_b(made["A"].fake).image}
        losses: dict[str, Tensor] = {}
        for name, domain, discriminator in self._judges():
            fake = discriminator(made[domain].fake)
            losses[name] = self.options.adversarial_weight * least_squares(fake.logits, 1.0)
            losses[f"{name}_cam"] = self.options.adversarial_weight * least_squares(fake.cam_logits, 1.0)
        for domain in DOMAINS:
            real = step.batch[domain]
            losses[f"cycle_{domain}"] = self.options.cycle_weight * l1(back[domain], real)
            losses[f"identity_{domain}"] = self.options.identity_weight * l1(made[domain].same, real)
            # The heads of the generator into this domain tell whether an image still has to be translated.
            cam = logistic(made[domain].fake_cam, 1.0) + logistic(made[domain].same_cam, 0.0)
            losses[f"cam_{domain}"] = self.options.cam_weight * cam
        return losses

    def preview(self, batch: Tensors) -> Tensors:
        """Both directions: the image, what the generator makes of it, and the way back; then where they look."""
        a, b = self.model.config.domains
        columns = two_way_preview(
            batch, (a, b), lambda image: self.a_to_b(image).image, lambda image: self.b_to_a(image).image
        )
        for name, image, generator in ((a, batch["A"], self.a_to_b), (b, batch["B"], self.b_to_a)):
            columns[f"{name}: attention"] = as_image(generator(image).attention, image)
        return columns

    def _judges(self) -> Iterator[tuple[str, str, Discriminator]]:
        """Name of the loss, domain, and discriminator."""
        for domain in DOMAINS:
            for scale in SCALES:
                yield f"{scale}_{domain}", domain, self.discriminators[f"{scale}_discriminator_{domain.lower()}"]

    def _learning_rate(self, step: int) -> float:
        return learning_rate_factor(step, self.options.steps)

    def _clamp_rho(self) -> None:
        clamp_rho(self.a_to_b)
        clamp_rho(self.b_to_a)


def into_domain(generator: Generator, others: Tensor, own: Tensor) -> IntoDomain:
    """Images of the other domain and of its own through a generator, in one pass: it keeps the images apart."""
    made = generator(torch.cat([others, own]))
    return IntoDomain(*made.image.split(len(others)), *made.cam_logits.split(len(others)))


def as_image(attention: Tensor, like: Tensor) -> Tensor:
    """Attention [b, 1, y, x] as grey images [b, 3, h, w] in [-1, 1], each from its own darkest to its brightest."""
    larger = F.interpolate(attention, size=like.shape[2:], mode="bilinear", align_corners=False)
    low, high = larger.amin((1, 2, 3), keepdim=True), larger.amax((1, 2, 3), keepdim=True)
    grey = (larger - low) / (high - low).clamp_min(torch.finfo(larger.dtype).tiny)
    return (2 * grey - 1).expand_as(like)


def _check_size(image_size: int, options: Options) -> None:
    enough = math.ceil(smallest_side(max(options.global_layers, options.local_layers)) / DOWNSAMPLING) * DOWNSAMPLING
    for scale, layers in (("global", options.global_layers), ("local", options.local_layers)):
        if image_size < smallest_side(layers):
            raise TrainingError(
                found=f"the {scale} discriminators have {layers} layers and the images {image_size} pixels",
                expected=f"at least {smallest_side(layers)} pixels for {layers} layers",
                fix=f"--set image_size={enough}, or fewer {scale}_layers",
            )
