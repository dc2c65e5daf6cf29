"""Networks of U-GAT-IT (Kim et al., ICLR 2020, arXiv:1907.10830).

Written from the paper and checked against tensors recorded from the authors' PyTorch release. The numbers are the
release's; some operations are regrouped (closed-form normalisation, attention folded into its convolution, spectral
norm applied to the result), each where the comment says so.

Shapes: b batch, c channels, h and w height and width at this depth; d = 4 * base channels, in the generator's middle.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from i2i_plugin_ugatit.config import Config
from i2i_toolkit import InstanceNorm, map_mean, map_sum, widened

# The release's constants.
EPSILON = 1e-5  # added to every variance
ADAPTIVE_RHO = 0.9  # start of rho in AdaLIN: mostly instance statistics
LAYER_RHO = 0.0  # start of rho in ILN: layer statistics only
LEAK = 0.2  # negative slope in the discriminators


def reflecting_conv(channels_in: int, channels_out: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    """Return a convolution without bias that mirrors the image at its borders."""
    padding = (kernel - 1) // 2
    return nn.Conv2d(channels_in, channels_out, kernel, stride, padding, bias=False, padding_mode="reflect")


# --- Normalisation ----------------------------------------------------------------------------------------------------


class Statistics(NamedTuple):
    """What layer-instance normalisation needs to know of a feature map."""

    centred: Float[Tensor, "b c h w"]
    """the map without its channels' means"""
    offset: Float[Tensor, "b c 1 1"]
    """each channel's mean, seen from the layer's"""
    instance_scale: Float[Tensor, "b c 1 1"]
    """1 / standard deviation of each channel"""
    layer_scale: Float[Tensor, "b 1 1 1"]
    """1 / standard deviation of the layer"""


def layer_and_instance_statistics(x: Float[Tensor, "b c h w"]) -> Statistics:
    """Means and scales over (h, w) and over (c, h, w) from one set of sums per channel.

    The layer's variance is that inside the channels plus that between their means; both are unbiased (release).
    """
    channels, pixels = x.shape[1], x.shape[2] * x.shape[3]
    mean = map_mean(x)
    centred = x - mean
    squares = map_sum(centred.square())
    offset = mean - mean.mean(1, keepdim=True)
    layer_squares = squares.sum(1, keepdim=True) + pixels * offset.square().sum(1, keepdim=True)
    instance_variance = squares / (pixels - 1)
    layer_variance = layer_squares / (channels * pixels - 1)
    return Statistics(centred, offset, torch.rsqrt(instance_variance + EPSILON), torch.rsqrt(layer_variance + EPSILON))


def layer_instance_norm(
    x: Float[Tensor, "b c h w"],
    rho: Float[Tensor, "1 c 1 1"],
    gamma: Float[Tensor, "#b c 1 1"],
    beta: Float[Tensor, "#b c 1 1"],
) -> Float[Tensor, "b c h w"]:
    """gamma * (rho * instance norm + (1 - rho) * layer norm) + beta (paper, eq. 1) as one multiply-add per value.

    Both norms are linear in the centred map: instance norm = centred * s, layer norm = (centred + offset) * t.
    """
    centred, offset, instance_scale, layer_scale = layer_and_instance_statistics(widened(x))
    layer_share = (1 - rho) * layer_scale
    scale = gamma * (rho * instance_scale + layer_share)
    shift = beta + gamma * layer_share * offset
    return torch.addcmul(shift, centred, scale).to(x.dtype)


class AdaLIN(nn.Module):
    """Adaptive layer-instance normalisation: gamma and beta come from the image, rho in [0, 1] is learned."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.rho = nn.Parameter(torch.full((1, channels, 1, 1), ADAPTIVE_RHO))

    def forward(
        self, x: Float[Tensor, "b c h w"], gamma: Float[Tensor, "b c"], beta: Float[Tensor, "b c"]
    ) -> Float[Tensor, "b c h w"]:
        """Normalise, then scale and shift by what the image asks for."""
        return layer_instance_norm(x, self.rho, gamma[:, :, None, None], beta[:, :, None, None])


class ILN(nn.Module):
    """Layer-instance normalisation with learned gamma, beta, and rho in [0, 1]."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.rho = nn.Parameter(torch.full((1, channels, 1, 1), LAYER_RHO))
        self.gamma = nn.Parameter(torch.ones(1, channels, 1, 1))
        self.beta = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Normalise, scale and shift."""
        return layer_instance_norm(x, self.rho, self.gamma, self.beta)


class SpectralNorm(nn.Module):
    """Estimates the largest singular value of a weight by power iteration (Miyato et al. 2018).

    One iteration per forward pass in training, none in evaluation; v before u, which early estimates depend on.
    """

    u: Tensor
    v: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        rows, columns = weight.flatten(1).shape
        self.register_buffer("u", F.normalize(torch.randn(rows), dim=0, eps=1e-12))
        self.register_buffer("v", F.normalize(torch.randn(columns), dim=0, eps=1e-12))

    def forward(self, weight: Float[Tensor, "rows ..."]) -> Float[Tensor, ""]:
        """sigma = u.(W v). The gradient reaches the weight, not u and v."""
        matrix = weight.flatten(1)
        if not self.training:
            return torch.dot(self.u, matrix @ self.v)
        # New tensors, not the buffers: several passes may wait for one backward, each with its own u and v.
        v = F.normalize(matrix.detach().T @ self.u, dim=0, eps=1e-12)
        projected = matrix @ v
        u = F.normalize(projected.detach(), dim=0, eps=1e-12)
        self.u.copy_(u)
        self.v.copy_(v)
        return torch.dot(u, projected)


class SpectralConv(nn.Conv2d):
    """A 4x4 convolution with mirrored borders, divided by the largest singular value of its `weight`.

    The result is divided, not the weight: the same number, without a second copy of a large weight per pass.
    """

    def __init__(self, channels_in: int, channels_out: int, *, stride: int, bias: bool) -> None:
        super().__init__(channels_in, channels_out, 4, stride, bias=bias)
        self.spectral = SpectralNorm(self.weight)

    def forward(self, input: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k y x"]:  # noqa: A002 - nn.Conv2d's name
        """Convolve; half the size at stride 2, one pixel less at stride 1."""
        padded = F.pad(input, (1, 1, 1, 1), mode="reflect")
        scaled = F.conv2d(padded, self.weight, stride=self.stride) / self.spectral(self.weight)
        return scaled if self.bias is None else scaled + self.bias[:, None, None].to(scaled.dtype)


class SpectralLinear(nn.Linear):
    """A linear map without bias, divided by the largest singular value of its `weight`."""

    def __init__(self, features_in: int, features_out: int) -> None:
        super().__init__(features_in, features_out, bias=False)
        self.spectral = SpectralNorm(self.weight)

    def forward(self, input: Float[Tensor, "b features"]) -> Float[Tensor, "b out"]:  # noqa: A002 - nn.Linear's name
        """Map with the normalised weight."""
        return F.linear(input, self.weight) / self.spectral(self.weight)


# --- Attention --------------------------------------------------------------------------------------------------------


def attention_weight(head: nn.Linear) -> Float[Tensor, "1 c"]:
    """How much a head makes of each channel.

    In the discriminators this is the raw parameter, although the logit uses the one divided by its spectral norm: the
    release takes the first entry of the layer's parameter list, and its results were reached that way.
    """
    return head.weight


class Attention(nn.Module):
    """Class activation maps (paper, section 2.1.1): what tells the domains apart says where to look.

    One head sees the average of each channel, the other its maximum.
    """

    def __init__(self, average_head: nn.Linear, maximum_head: nn.Linear, activation: nn.Module) -> None:
        super().__init__()
        channels = average_head.in_features
        self.average_head = average_head
        self.maximum_head = maximum_head
        self.merge = nn.Conv2d(2 * channels, channels, 1)
        self.activation = activation

    def forward(self, x: Float[Tensor, "b c h w"]) -> tuple[Float[Tensor, "b c h w"], Float[Tensor, "b 2"]]:
        """Return the weighted features, and the domain logits of the average and of the maximum head."""
        logits = torch.cat([self.average_head(map_mean(x)[:, :, 0, 0]), self.maximum_head(x.amax((2, 3)))], dim=1)
        # merge(cat(x * average, x * maximum)) with the two factors moved into the kernel, which is linear in x
        from_average, from_maximum = self.merge.weight.chunk(2, dim=1)
        average, maximum = (attention_weight(head)[:, :, None, None] for head in (self.average_head, self.maximum_head))
        kernel = from_average * average + from_maximum * maximum
        return self.activation(F.conv2d(x, kernel, self.merge.bias)), logits


# --- Generator --------------------------------------------------------------------------------------------------------


class ConvBlock(nn.Module):
    """Convolution, instance norm, ReLU."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.conv = reflecting_conv(channels_in, channels_out, kernel, stride)
        self.norm = InstanceNorm()

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k y x"]:
        """Encode; half the size at stride 2."""
        return F.relu(self.norm(self.conv(x)))


class ResidualBlock(nn.Module):
    """x + norm(conv(relu(norm(conv(x))))) with instance norm."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = reflecting_conv(channels, channels, 3)
        self.conv2 = reflecting_conv(channels, channels, 3)
        self.norm = InstanceNorm()

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c h w"]:
        """Refine at the same size."""
        return x + self.norm(self.conv2(F.relu(self.norm(self.conv1(x)))))


class StyledBlock(nn.Module):
    """The residual block with AdaLIN: both norms take the same gamma and beta, each mixes with its own rho."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = reflecting_conv(channels, channels, 3)
        self.norm1 = AdaLIN(channels)
        self.conv2 = reflecting_conv(channels, channels, 3)
        self.norm2 = AdaLIN(channels)

    def forward(
        self, x: Float[Tensor, "b c h w"], gamma: Float[Tensor, "b c"], beta: Float[Tensor, "b c"]
    ) -> Float[Tensor, "b c h w"]:
        """Refine at the same size, in the style of gamma and beta."""
        inner = F.relu(self.norm1(self.conv1(x), gamma, beta))
        return x + self.norm2(self.conv2(inner), gamma, beta)


def split_taps(kernel: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Three taps on an upsampled map as taps on the map itself: two at odd places, and two others at even ones."""
    first, middle, last = kernel.split(1, dim)
    return torch.cat([first + middle, last], dim), torch.cat([first, middle + last], dim)


def conv_after_upsampling(x: Float[Tensor, "b c h w"], kernel: Float[Tensor, "k c 3 3"]) -> Float[Tensor, "b k y x"]:
    """Return a 3x3 convolution, mirrored at the borders, of `x` enlarged to twice its size by nearest neighbour.

    Four neighbours of the enlarged map show at most 2x2 different values of `x`, so each of the four output phases is a
    2x2 convolution of `x`: 4/9 of the multiplications, and no enlarged input in memory. Mirroring the enlarged map
    repeats the border of `x`.
    """
    phases = [phase for row in split_taps(kernel, 2) for phase in split_taps(row, 3)]
    padded = F.pad(x, (1, 1, 1, 1), mode="replicate")
    together = F.conv2d(padded, torch.stack(phases, dim=1).flatten(0, 1))  # [b, 4k, h+1, w+1]
    # Phases start with the odd one, so the shuffled map begins one place early and ends one late.
    return F.pixel_shuffle(together, 2)[:, :, 1:-1, 1:-1]


class UpBlock(nn.Module):
    """Twice the size (nearest neighbour), convolution, ILN, ReLU."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.conv = reflecting_conv(channels_in, channels_out, 3)  # its weight is used, by `conv_after_upsampling`
        self.norm = ILN(channels_out)

    def forward(self, x: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k 2*h 2*w"]:
        """Decode to twice the size."""
        return F.relu(self.norm(conv_after_upsampling(x, self.conv.weight)))


class Style(nn.Module):
    """gamma and beta for every AdaLIN, from the attended feature map: all of it, or each channel's average (light)."""

    def __init__(self, channels: int, map_size: int, *, pooled: bool) -> None:
        super().__init__()
        self.pooled = pooled
        features = channels if pooled else channels * map_size * map_size
        self.hidden1 = nn.Linear(features, channels, bias=False)
        self.hidden2 = nn.Linear(channels, channels, bias=False)
        self.gamma = nn.Linear(channels, channels, bias=False)
        self.beta = nn.Linear(channels, channels, bias=False)

    def forward(self, x: Float[Tensor, "b d h w"]) -> tuple[Float[Tensor, "b d"], Float[Tensor, "b d"]]:
        """gamma and beta, one value of each per image and channel."""
        features = map_mean(x)[:, :, 0, 0] if self.pooled else x.flatten(1)  # [b, d] or [b, d*h*w]
        hidden = F.relu(self.hidden2(F.relu(self.hidden1(features))))
        return self.gamma(hidden), self.beta(hidden)


class Translation(NamedTuple):
    """What a generator says of an image."""

    image: Float[Tensor, "b 3 h w"]
    """in (-1, 1)"""
    cam_logits: Float[Tensor, "b 2"]
    """is it of the source domain? from the average and from the maximum head"""
    attention: Float[Tensor, "b 1 h/4 w/4"]
    """where it looks, >= 0"""


class Generator(nn.Module):
    """Translates images of one domain into the other (paper, section 2.1.1 and appendix, table of the generator)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        c, d = config.channels, config.style_channels
        self.encoder = nn.Sequential(
            ConvBlock(3, c, kernel=7, stride=1),
            ConvBlock(c, 2 * c, kernel=3, stride=2),
            ConvBlock(2 * c, d, kernel=3, stride=2),
            *(ResidualBlock(d) for _ in range(config.res_blocks)),
        )
        self.attention = Attention(nn.Linear(d, 1, bias=False), nn.Linear(d, 1, bias=False), nn.ReLU())
        self.style = Style(d, config.inner_size, pooled=config.pooled_style)
        self.styled_blocks = nn.ModuleList(StyledBlock(d) for _ in range(config.res_blocks))
        self.decoder = nn.Sequential(UpBlock(d, 2 * c), UpBlock(2 * c, c))
        self.to_image = reflecting_conv(c, 3, 7)

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Translation:
        """Translate images in [-1, 1] whose sides are multiples of 4; the full model takes its own size only."""
        x, cam_logits = self.attention(self.encoder(image))  # [b, d, h/4, w/4], [b, 2]
        attention = x.sum(1, keepdim=True)
        gamma, beta = self.style(x)  # [b, d] each
        for block in self.styled_blocks:
            x = block(x, gamma, beta)
        return Translation(torch.tanh(self.to_image(self.decoder(x))), cam_logits, attention)


# --- Discriminators ---------------------------------------------------------------------------------------------------


class Judgement(NamedTuple):
    """What a discriminator says of an image: is it real?"""

    logits: Float[Tensor, "b 1 y x"]
    """one answer per patch"""
    cam_logits: Float[Tensor, "b 2"]
    """from the average and from the maximum head"""
    attention: Float[Tensor, "b 1 y+1 x+1"]
    """where it looks"""


def smallest_side(layers: int) -> int:
    """Smallest image (pixels) that a discriminator of so many layers takes.

    All but two layers downsample; of what is left, the last two convolutions need 3 pixels to end with one logit.
    """
    return 3 * 2 ** (layers - 2)


class Discriminator(nn.Module):
    """Real or generated, patch by patch. The paper has a global one (7 layers) and a local one (5) for each domain."""

    def __init__(self, channels: int, layers: int) -> None:
        super().__init__()
        widths = [3, *(channels * 2**i for i in range(layers - 1))]
        strides = [2] * (layers - 2) + [1]
        self.layers = nn.ModuleList(
            SpectralConv(width, wider, stride=stride, bias=True)
            for width, wider, stride in zip(widths[:-1], widths[1:], strides, strict=True)
        )
        last = widths[-1]
        self.attention = Attention(SpectralLinear(last, 1), SpectralLinear(last, 1), nn.LeakyReLU(LEAK))
        self.to_logits = SpectralConv(last, 1, stride=1, bias=False)

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> Judgement:
        """Judge images in [-1, 1] that are at least `smallest_side(layers)` high and wide."""
        x = image
        for layer in self.layers:
            x = F.leaky_relu(layer(x), LEAK)
        x, cam_logits = self.attention(x)
        return Judgement(self.to_logits(x), cam_logits, x.sum(1, keepdim=True))


class ImageAndAttention(nn.Module):
    """A generator without the logits that only its training needs."""

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, image: Float[Tensor, "b 3 h w"]) -> tuple[Float[Tensor, "b 3 h w"], Float[Tensor, "b 1 y x"]]:
        """Return the translated image in (-1, 1), and where the generator looked (>= 0, a quarter of the side)."""
        translation = self.generator(image)
        return translation.image, translation.attention
