"""InGAN in plain eager torch, stepped in the order of the authors' release: an iteration after the ten thousandth.

Written from facts about what assafshocher/InGAN computes (module names, shapes, order of operations) alone: its licence
is not an open one. Spectral norm by torch's hooks; every feature map goes through grid_sample; the nearest-neighbour
enlargement stands before a convolution, not in it; gradients of the generator's step reach the critic, which throws
them away. Without shifts, as by default.
"""

from __future__ import annotations

import math
from itertools import count, pairwise
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import spectral_norm

from . import Inference, OfficialLoop, Paper, Size, Training, copy_weights, images

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from i2i_plugin_ingan.config import Config
    from i2i_registry.interfaces.model import Model
    from i2i_registry.interfaces.official import NameTable
    from i2i_registry.interfaces.trainer import AnyTrainer, Losses, Step
    from i2i_runtime.records import Record

IMAGE = {"full": 256, "small": 48}
"""side; crops are one multiple of 8 smaller"""
CROP = {"full": 248, "small": 40}
RETARGETED = {"full": (256, 384), "small": (48, 64)}
"""height and width of what is made of the whole image"""
WANTED = {"full": (248, 248), "small": (48, 40)}
"""height and width of what is made of a crop"""
CHANNELS = {"full": 64, "small": 8}
"""of both networks"""
DOWNSCALES = 3
BLOCKS = {"full": 6, "small": 2}
SMALLEST, SMALLEST_WEIGHED, STEP = 16, 13, 1.4
BALANCED_AT = 25_000
FIRST = 10_001
"""iteration"""
RECONSTRUCTION, INVERSE = 0.1, 1.0
DITHER = 1 / 255
RATE, BETAS = 5e-5, (0.5, 0.999)


# --- Networks ---------------------------------------------------------------------------------------------------------


def convolution(c_in: int, c_out: int, kernel: int, stride: int = 1, *, norm: bool = True) -> nn.Module:
    """Of the first weights."""
    conv = nn.Conv2d(c_in, c_out, kernel, stride)
    nn.init.xavier_normal_(conv.weight, gain=0.01)
    nn.init.zeros_(cast("Tensor", conv.bias))
    return spectral_norm(conv) if norm else conv


def layer(c_in: int, c_out: int, kernel: int) -> list[nn.Module]:
    """Convolution, norm, activation."""
    return [convolution(c_in, c_out, kernel), nn.BatchNorm2d(c_out), nn.LeakyReLU(0.2, inplace=True)]


def padded_layer(c_in: int, c_out: int, kernel: int) -> list[nn.Module]:
    """Return the same size."""
    return [nn.ReflectionPad2d(kernel // 2), *layer(c_in, c_out, kernel)]


class Bottleneck(nn.Module):
    """Residual block."""

    def __init__(self, width: int) -> None:
        super().__init__()
        narrow = width // 4
        last = [convolution(narrow, width, 1), nn.BatchNorm2d(width)]
        self.conv_block = nn.Sequential(*layer(width, narrow, 1), *padded_layer(narrow, narrow, 3), *last)

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum of both ways."""
        return x + self.conv_block(x)


class Generator(nn.Module):
    """The generator."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        widths = [CHANNELS[size] * 2**level for level in range(DOWNSCALES + 1)]
        levels = [*pairwise(widths)]
        self.entry_block = nn.Sequential(*padded_layer(3, widths[0], 7))
        self.downscale_block = nn.ModuleDict(
            {f"conv_{level}": nn.Sequential(*padded_layer(c, k, 3)) for level, (c, k) in enumerate(levels)}
        )
        self.bottleneck_block = nn.Sequential(*(Bottleneck(widths[-1]) for _ in range(BLOCKS[size])))
        self.upscale_block = nn.ModuleDict(
            {f"conv_{level}": nn.Sequential(*padded_layer(k, c, 3)) for level, (c, k) in enumerate(levels)}
        )
        last = convolution(widths[0], 3, 7, norm=False)
        self.final_block = nn.Sequential(nn.ReflectionPad2d(3), last, nn.Tanh())

    def forward(self, x: Tensor, height: int, width: int, *, ends_included: bool = True) -> Tensor:
        """Return the image at another size; in training the end points stay where they are."""
        entered = self.entry_block(x)
        if ends_included:
            x = warped(entered, height, width)
        else:
            x = F.interpolate(entered, (height, width), mode="bilinear", align_corners=False)
        kept: list[Tensor] = []
        for down in self.downscale_block.values():
            kept.append(x)
            x = F.max_pool2d(down(x), 2)
        x = self.bottleneck_block(x)
        for level in reversed(range(DOWNSCALES)):
            x = self.upscale_block[f"conv_{level}"](F.interpolate(x, scale_factor=2, mode="nearest")) + kept.pop()
        return self.final_block(x)


def warped(x: Tensor, height: int, width: int) -> Tensor:
    """By the homography of no shifts."""
    rows, columns = torch.linspace(-1, 1, height), torch.linspace(-1, 1, width)
    y, x_ = torch.meshgrid(rows, columns, indexing="ij")
    points = torch.stack([x_, y, torch.ones_like(y)], dim=-1) @ torch.eye(3).T
    grid = points[..., :2] / points[..., 2:]
    return F.grid_sample(x, grid[None], mode="bilinear", padding_mode="border", align_corners=True)


class Critic(nn.Module):
    """Nets for several scales."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        base = CHANNELS[size]
        number = math.ceil(math.log(CROP[size] / SMALLEST) / math.log(STEP))
        self.nets = nn.ModuleList(patch_critic(base) for _ in range(number))

    def forward(self, x: Tensor, weights: Sequence[float]) -> Tensor:
        """Return the weighted sum of their maps."""
        maps: list[Tensor] = []
        for scale, (net, weight) in enumerate(zip(self.nets, weights, strict=False)):
            small = x
            if scale:
                small = F.interpolate(
                    x, scale_factor=STEP**-scale, mode="bilinear", align_corners=False, recompute_scale_factor=True
                )
            said = net(small)
            if scale:
                said = F.interpolate(said, maps[0].shape[2:], mode="bilinear", align_corners=False)
            maps.append(weight * said)
        return torch.stack(maps).sum(dim=0)


def patch_critic(base: int) -> nn.Sequential:
    """One net."""
    first, middle = layer(3, base, 3), layer(base, 2 * base, 3)
    middle[0] = convolution(base, 2 * base, 3, 2)
    return nn.Sequential(*first, *middle, *layer(2 * base, 2 * base, 3), convolution(2 * base, 1, 1), nn.Sigmoid())


class Retargeter(nn.Module):
    """A generator as the release uses it: at half-pixel centres, and in training mode, which moves vectors of norms.

    Each call starts with those that it was given, as the first one after loading does.
    """

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.wanted, self.G = RETARGETED[size], Generator(size)

    def train(self, mode: bool = True) -> Retargeter:  # noqa: ARG002, FBT001, FBT002 - of the base's signature
        """In training mode for ever."""
        return super().train(mode=True)

    def forward(self, x: Tensor) -> Tensor:
        """Return the image at another size."""
        vectors = {name: value.clone() for name, value in self.named_buffers() if name.endswith(("_u", "_v"))}
        made = self.G(x, *self.wanted, ends_included=False)
        for name, value in vectors.items():
            self.get_buffer(name).copy_(value)
        return made


# --- A step -----------------------------------------------------------------------------------------------------------


def batch(size: Size) -> dict[str, Tensor]:
    """Return a crop, and the size that it is to be brought to."""
    shifts = torch.zeros(1, 2, dtype=torch.float64)
    return {**images(["image"], 1, CROP[size]), "size": torch.tensor([WANTED[size]]), "shifts": shifts}


def scale_weights(height: int, width: int, iteration: int) -> list[float]:
    """Return what each scale counts."""
    number = math.ceil(math.log(min(height, width) / SMALLEST_WEIGHED) / math.log(STEP))
    raw = [STEP ** ((BALANCED_AT - iteration) / BALANCED_AT * scale) for scale in range(number)]
    return [weight / sum(raw) for weight in raw]


def dithered(x: Tensor) -> Tensor:
    """With noise below an 8-bit level."""
    return x + (torch.rand_like(x) - 0.5) * 2 * DITHER


class Loop:
    """The generator there and back, then back alone; then the critic."""

    def __init__(self, size: Size) -> None:
        torch.manual_seed(0)
        self.generator, self.critic = Generator(size), Critic(size)
        networks: list[nn.Module] = [self.generator, self.critic]
        self.optimizers = {net: torch.optim.Adam(net.parameters(), lr=RATE, betas=BETAS) for net in networks}
        self.iterations, self.seeds = count(FIRST), count()

    def step(self, batch: Mapping[str, Tensor]) -> dict[str, float]:
        """One iteration."""
        image, (height, width) = batch["image"], batch["size"][0].tolist()
        weights = scale_weights(height, width, next(self.iterations))
        torch.manual_seed(next(self.seeds))
        fake = self.generator(dithered(image), height, width)
        found = {f"generator/{name}": term for name, term in self.generator_step(fake, image, weights).items()}
        found["inverse/reconstruction"] = self.inverse_step(fake.detach(), image)
        found |= {f"critic/{name}": term for name, term in self.critic_step(fake.detach(), image, weights).items()}
        return {name: term.item() for name, term in found.items()}

    def generator_step(self, fake: Tensor, image: Tensor, weights: Sequence[float]) -> dict[str, Tensor]:
        """There and back."""
        said = self.critic(fake, weights)
        back = self.generator(fake, *image.shape[2:])
        terms = {
            "adversarial": F.mse_loss(said, torch.ones_like(said)),
            "reconstruction": RECONSTRUCTION * F.l1_loss(back, image),
        }
        self.learn(self.generator, torch.stack([*terms.values()]).sum())
        return terms

    def inverse_step(self, fake: Tensor, image: Tensor) -> Tensor:
        """Back alone."""
        loss = INVERSE * F.l1_loss(self.generator(fake, *image.shape[2:]), image)
        self.learn(self.generator, loss)
        return loss

    def critic_step(self, fake: Tensor, image: Tensor, weights: Sequence[float]) -> dict[str, Tensor]:
        """Real and fake."""
        torch.manual_seed(next(self.seeds))
        real, fake = dithered(image), dithered(fake)
        of_real, of_fake = self.critic(real, weights), self.critic(fake, weights)
        terms = {
            "real": 0.5 * F.mse_loss(of_real, torch.ones_like(of_real)),
            "fake": 0.5 * F.mse_loss(of_fake, torch.zeros_like(of_fake)),
        }
        self.learn(self.critic, torch.stack([*terms.values()]).sum())
        return terms

    def learn(self, network: nn.Module, loss: Tensor) -> None:
        """One update."""
        self.optimizers[network].zero_grad()
        loss.backward()
        self.optimizers[network].step()

    def state(self) -> dict[str, Tensor]:
        """As the release's file holds it."""
        networks = {"G": self.generator, "D": self.critic}
        return {f"{name}.{key}": each for name, net in networks.items() for key, each in net.state_dict().items()}


# --- Ours -------------------------------------------------------------------------------------------------------------


def table(config: Config) -> NameTable:
    """Return the plugin's table of names, and what it leaves out: the critic."""
    from i2i_plugin_ingan.official import INGAN_FORMAT, critic_table

    return {**critic_table(9), **INGAN_FORMAT.table(config)}


def our_config(size: Size) -> Config:
    """Return the release's network, or a small one."""
    from i2i_plugin_ingan.config import Config

    side = IMAGE[size]
    return Config(height=side, width=side, channels=CHANNELS[size], downscales=DOWNSCALES, blocks=BLOCKS[size])


def our_trainer(size: Size, loop: OfficialLoop) -> AnyTrainer:
    """With the weights of the loop, and random numbers from the same seeds."""
    from i2i_plugin_ingan.config import Options
    from i2i_plugin_ingan.model import InGAN
    from i2i_plugin_ingan.trainer import InGANTrainer, Retargeted

    class SameDraws(InGANTrainer):
        """Seeds as the loop does, at the same places."""

        seeds = count()

        def retarget(self, step: Step[None]) -> Retargeted:
            """Return the retargeted image."""
            torch.manual_seed(next(self.seeds))
            return super().retarget(step)

        def critic_losses(self, start: int, step: Step[Retargeted]) -> Losses:
            """Return the critic's losses."""
            torch.manual_seed(next(self.seeds))
            return super().critic_losses(start, step)

    model = InGAN(our_config(size))
    trainer = SameDraws(model, Options(critic_channels=CHANNELS[size]))
    copy_weights(cast("Loop", loop).state(), table(trainer.model.config), trainer.all_networks)
    return trainer


def our_model(size: Size, eager: nn.Module) -> Model[Record]:
    """With the same weights."""
    from i2i_plugin_ingan.model import InGAN

    model = InGAN(our_config(size))
    copy_weights(eager.state_dict(), table(model.config), model.networks)
    return model


def whole_grid(size: Size) -> dict[str, Tensor]:
    """Where a plain retarget looks, and that the image covers all of it."""
    from i2i_plugin_ingan.networks.geometry import resize_grid

    grid = resize_grid((IMAGE[size], IMAGE[size]), RETARGETED[size])
    return {"grid": grid, "coverage": torch.ones(1, 1, *RETARGETED[size])}


PAPER = Paper(
    title="InGAN 248x248",
    inference=Inference(
        target=None,
        inputs=lambda size: images(["image"], 1, IMAGE[size]),
        eager=Retargeter,
        ours=our_model,
        also=whole_grid,
        operation="retarget",
    ),
    training=Training(
        target=2.0,
        fastest=True,
        stage=lambda _size: 1,
        batch=batch,
        official=Loop,
        ours=our_trainer,
    ),
)
