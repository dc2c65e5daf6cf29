"""Networks of ConSinGAN (Hinz et al., WACV 2021, arXiv:2003.11512).

Written from the paper and checked against tensors recorded from the authors' release.

Shapes: b batch, c channels, h and w height and width of a stage, y and x of what it is fed.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from i2i_plugin_consingan.config import IMAGE_CHANNELS, Config
from i2i_plugin_consingan.config import Activation as Kind
from i2i_plugin_consingan.networks.upsampling import enlarged
from i2i_toolkit import initialise_normal, instance_norm, widened

KERNEL = 3

PRELU_SLOPE = 0.25
"""Slope below zero that "prelu" begins with."""

# Constants of the self-normalising unit (Klambauer et al. 2017).
SELU_SCALE = 1.0507009873554805
SELU_ALPHA = 1.6732632423543772


# --- One layer --------------------------------------------------------------------------------------------------------


class Activation(nn.Module):
    """The nonlinearity that the Config asks for, and its derivative."""

    def __init__(self, kind: Kind, slope: float) -> None:
        super().__init__()
        self.kind = kind
        self.slope = slope
        self.weight = nn.Parameter(torch.full((1,), PRELU_SLOPE)) if kind == "prelu" else None

    @property
    def is_piecewise_linear(self) -> bool:
        """Whether the derivative is a constant on either side of zero."""
        return self.kind in {"lrelu", "prelu"}

    def forward(self, z: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Activate."""
        if self.weight is not None:
            return F.prelu(z, self.weight)
        if self.kind == "lrelu":
            return F.leaky_relu(z, self.slope)
        return F.elu(z) if self.kind == "elu" else F.selu(z)

    def derivative(self, z: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Of the activation, at `z`."""
        if self.kind == "elu":
            return z.clamp(max=0).exp()
        above = z.new_ones(())
        if self.kind == "selu":
            return SELU_SCALE * torch.where(z > 0, above, SELU_ALPHA * z.clamp(max=0).exp())
        below = z.new_full((), self.slope) if self.weight is None else self.weight.to(z.dtype)
        return torch.where(z > 0, above, below)


class Norm(nn.BatchNorm2d):
    """Normalises each image by its own statistics: batch norm as the release has it, which is never in eval mode.

    The running statistics are kept where it learns, for comparison with the release; nothing uses them.
    """

    def forward(self, input: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:  # noqa: A002 - nn.BatchNorm2d's name
        """Zero mean and unit (biased) variance per image and channel, then scale and offset; in float32 at least."""
        if self.training and torch.is_grad_enabled() and len(input) == 1:
            return super().forward(widened(input)).to(input.dtype)
        return instance_norm(input, self.weight, self.bias, self.eps)


class Layer(nn.Module):
    """Convolution without padding, norm, activation: two pixels less a side."""

    def __init__(self, channels_in: int, config: Config, *, norm: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, config.channels, KERNEL)
        self.norm = Norm(config.channels) if norm else None
        self.act = Activation(config.activation, config.slope)

    def forward(self, x: Float[Tensor, "b i y x"]) -> Float[Tensor, "b c y-2 x-2"]:
        """One layer."""
        z = self.conv(x)
        return self.act(z if self.norm is None else self.norm(z))


def zero_padded(x: Float[Tensor, "b c h w"], px: int) -> Float[Tensor, "b c y x"]:
    """Zeros on all four sides."""
    return F.pad(x, (px, px, px, px))


# --- Generator --------------------------------------------------------------------------------------------------------


class GrowingStage(nn.Module):
    """One stage of the generator, and what it was trained with: its size of the image, its noise, its amplitude.

    `image` and `noise` are parameters that nothing trains, and no buffers: they are large, and what owns buffers
    copies them often. `noise` is what makes the training image again; that of stage 0 has the form of an image.
    """

    noise: nn.Parameter
    image: nn.Parameter
    amplitude: Tensor

    def __init__(self, config: Config, number: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            Layer(config.channels, config, norm=config.batch_norm) for _ in range(config.layers)
        )
        self.image = nn.Parameter(torch.zeros(1, IMAGE_CHANNELS, *config.sizes[number]), requires_grad=False)
        self.noise = nn.Parameter(torch.zeros(1, *config.noise_shape(number)), requires_grad=False)
        if number > 0:
            self.register_buffer("amplitude", torch.ones(()))

    def forward(self, x: Float[Tensor, "b c y x"]) -> Float[Tensor, "b c h w"]:
        """All layers."""
        for layer in self.layers:
            x = layer(x)
        return x


class Generator(nn.Module):
    """Grows from stage to stage, in feature space (paper, section 3); only the tail makes an image.

    Stages whose training has not begun have an amplitude of 0, and do nothing but enlarge.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.head = Layer(IMAGE_CHANNELS, config, norm=config.batch_norm)
        self.body = nn.ModuleList(GrowingStage(config, number) for number in range(config.stages))
        self.tail = nn.Conv2d(config.channels, IMAGE_CHANNELS, KERNEL)
        initialise_normal(self, biases=False)

    @property
    def stages(self) -> list[GrowingStage]:
        """The stages, coarse to fine."""
        return [stage for stage in self.body if isinstance(stage, GrowingStage)]

    def forward(self, maps: Sequence[Tensor], learning_from: int = 0) -> Float[Tensor, "b 3 h w"]:
        """Return an image from the noise of as many stages as are to be run.

        Gradients reach the stages from `learning_from` on; with 0 the head too.
        """
        features = None
        if learning_from > 0:
            with torch.no_grad():
                features = self.grow(None, maps[:learning_from])
        return self.image(self.grow(features, maps, first=learning_from))

    def grow(self, features: Tensor | None, maps: Sequence[Tensor], first: int = 0) -> Float[Tensor, "b c h w"]:
        """Return the features of the last of `maps`, going on from `features` of the stage before `first`."""
        for number in range(first, len(maps)):
            features = self._next(features, maps[number], number)
        if features is None:
            raise ValueError("no stage to run")
        return features

    def finished(self, maps: Sequence[Tensor]) -> Float[Tensor, "b 3 h w"]:
        """Return an image of the last size, whatever has been trained: stages that have not begun only enlarge."""
        return self.finish(maps, self.begun_count)

    def finish(self, maps: Sequence[Tensor], begun: int) -> Float[Tensor, "b 3 h w"]:
        """`finished` with `begun` known, as a trace needs it. Of maps behind that only the size matters."""
        features = self.grow(None, maps[:begun])
        for noise in maps[begun:]:
            features = self._enlarged_for(noise, features)
        return self.image(features)

    @property
    def begun_count(self) -> int:
        """Stages whose training has begun; all of them where the tensors have no memory."""
        begun = (stage.amplitude.is_meta or bool(stage.amplitude) for stage in self.stages[1:])
        return 1 + sum(takewhile(bool, begun))

    def image(self, features: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 3 h w"]:
        """Return what the features of any stage show, in (-1, 1)."""
        return torch.tanh(self.tail(zero_padded(features, KERNEL // 2)))

    def stored(self, stages: int) -> list[Tensor]:
        """Return the noise that makes the training image, of the first `stages`."""
        return [stage.noise for stage in self.stages[:stages]]

    def _next(self, features: Tensor | None, noise: Tensor, number: int) -> Float[Tensor, "b c h w"]:
        stage, layers = self.stages[number], self.config.layers
        if features is None:
            x = self.head(zero_padded(noise, KERNEL // 2))
            if self.config.border == 0:
                return stage(zero_padded(x, layers))
            height, width = x.shape[-2:]
            return stage(zero_padded(enlarged(x, height + 2, width + 2), layers - 1))
        larger = self._enlarged_for(noise, features)
        if self.config.border == 0:
            return stage(zero_padded(larger + noise * stage.amplitude, layers)) + larger
        surrounded = enlarged(features, noise.shape[-2], noise.shape[-1])
        return stage(surrounded + noise * stage.amplitude) + larger

    def _enlarged_for(self, noise: Tensor, features: Tensor) -> Float[Tensor, "b c h w"]:
        """Return the features at the size of a stage, from 1 on, that has this noise."""
        return enlarged(features, noise.shape[-2] - self.config.border, noise.shape[-1] - self.config.border)


# --- Critic -----------------------------------------------------------------------------------------------------------


class Critic(nn.Module):
    """Judges every patch of an image; one critic is carried from stage to stage. It has no norm in any preset."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        widths = [IMAGE_CHANNELS, *[config.channels] * config.layers]
        self.layers = nn.ModuleList(Layer(width, config, norm=False) for width in widths)
        self.tail = nn.Conv2d(config.channels, 1, KERNEL)
        # Losses compare scores with each other: what is added to all of them changes nothing.
        self._offset.requires_grad = False
        initialise_normal(self, biases=False)

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, " b"]:
        """Return the mean score of all patches.

        The last convolution is only ever averaged, and is never computed: its mean is a weighted sum of what it is fed.
        """
        x = image
        for layer in self.layers:
            x = layer(x)
        weights, count = self._patches_of_tail(x)
        at_least_single = torch.promote_types(x.dtype, torch.float32)
        return (weights * x).sum((1, 2, 3), dtype=at_least_single) / count + self._offset

    @property
    def _offset(self) -> nn.Parameter:
        return cast("nn.Parameter", self.tail.bias)

    def _patches_of_tail(self, x: Float[Tensor, "b c h w"]) -> tuple[Float[Tensor, "1 c h w"], int]:
        """Return the gradient of the summed scores with respect to the tail's input, and how many scores there are."""
        height, width = x.shape[-2:]
        count = (height - KERNEL + 1) * (width - KERNEL + 1)
        return summed_patches(self.tail.weight[0], height, width)[None], count

    def slopes(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """Return the gradient of the summed scores with respect to the image, written as the network that it is.

        Autograd would get it by differentiating `forward`, and its own gradient by differentiating that again: with an
        activation of two straight halves, a whole backward pass through zeros. As transposed convolutions between the
        activations' derivatives it is an ordinary network, and learning from it costs one ordinary backward pass.
        """
        layers = [layer for layer in self.layers if isinstance(layer, Layer)]
        inner: list[Tensor] = []
        x = image
        smooth = not layers[0].act.is_piecewise_linear
        with torch.set_grad_enabled(smooth and torch.is_grad_enabled()):
            for layer in layers:
                z = layer.conv(x)
                inner.append(z)
                x = layer.act(z)
        slopes, _ = self._patches_of_tail(x)
        for layer, z in zip(reversed(layers), reversed(inner), strict=True):
            slopes = F.conv_transpose2d(slopes * layer.act.derivative(z), layer.conv.weight)
        return slopes


def summed_patches(kernel: Float[Tensor, "c 3 3"], height: int, width: int) -> Float[Tensor, "c h w"]:
    """Return the gradient of the sum of what a kernel makes of maps of this size.

    How often each of its entries meets a pixel.

    Every entry meets all pixels, but for a pixel or two at the borders.
    """

    def met(length: int) -> Float[Tensor, "n 3"]:
        offset = torch.arange(length, device=kernel.device)[:, None] - torch.arange(KERNEL, device=kernel.device)
        return ((offset >= 0) & (offset <= length - KERNEL)).to(kernel.dtype)

    return met(height) @ kernel @ met(width).mT
