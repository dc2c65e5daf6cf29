"""SinGAN in plain eager torch, written and stepped in the order of the authors' release: an epoch of the finest scale.

Written from the facts of tamarott/SinGAN (module names, shapes, order of operations). Every image has a graph, also
in the critic's steps, where nobody uses it; gradients of the generator's steps reach the critic, which throws them
away; a backward call for each term; images pass from scale to scale through numpy, in float64, one by one. The
release makes the generator's image once for its three steps, which torch refuses since 1.5: here the second and the
third make it again from the same noise, as ours do.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from . import Inference, OfficialLoop, Paper, Size, Training, copy_weights, images
from ._cubic import resize

if TYPE_CHECKING:
    from i2i_plugin_singan.config import Config
    from i2i_registry.interfaces.model import Model
    from i2i_registry.interfaces.official import NameTable
    from i2i_registry.interfaces.trainer import AnyTrainer
    from i2i_runtime.records import Record

IMAGE = {"full": (186, 248), "small": (30, 38)}
SCALES = {"full": 9, "small": 3}
COARSEST = {"full": 25, "small": 16}
CHANNELS = {"full": 32, "small": 8}
"""of the first four scales"""
WIDEST, WIDER_EVERY = 128, 4
BORDER = 5
CRITIC_STEPS = GENERATOR_STEPS = 3
RECONSTRUCTION, PENALTY, AMPLITUDE = 10.0, 0.1, 0.1
RATE, BETAS = 5e-4, (0.5, 0.999)


# --- Sizes ------------------------------------------------------------------------------------------------------------


def factor(size: Size) -> float:
    """Side of a scale over that of the next finer one."""
    return (COARSEST[size] / min(IMAGE[size])) ** (1 / (SCALES[size] - 1))


def pyramid(image: Tensor, size: Size) -> list[Tensor]:
    """Return the image at every scale."""
    return [resize(image, factor(size) ** (SCALES[size] - 1 - scale)) for scale in range(SCALES[size])]


def framed(x: Tensor) -> Tensor:
    """In a border of zeros."""
    return F.pad(x, (BORDER, BORDER, BORDER, BORDER))


# --- Networks ---------------------------------------------------------------------------------------------------------


def block(c_in: int, c_out: int) -> nn.Module:
    """Return a layer."""
    layers = nn.Sequential()
    layers.add_module("conv", nn.Conv2d(c_in, c_out, 3))
    layers.add_module("norm", nn.BatchNorm2d(c_out))
    layers.add_module("LeakyRelu", nn.LeakyReLU(0.2, inplace=True))
    return layers


def body(channels: int) -> nn.Sequential:
    """Return the three layers in the middle."""
    layers = nn.Sequential()
    for number in range(1, 4):
        layers.add_module(f"block{number}", block(channels, channels))
    return layers


class Generator(nn.Module):
    """Of one scale."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.head, self.body = block(3, channels), body(channels)
        self.tail = nn.Sequential(nn.Conv2d(channels, 3, 3), nn.Tanh())
        self.apply(initialise)

    def forward(self, x: Tensor, below: Tensor) -> Tensor:
        """Details, on the image from below."""
        details = self.tail(self.body(self.head(x)))
        cut = (below.shape[2] - details.shape[2]) // 2
        return details + below[:, :, cut : below.shape[2] - cut, cut : below.shape[3] - cut]


class Critic(nn.Module):
    """Of one scale."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.head, self.body, self.tail = block(3, channels), body(channels), nn.Conv2d(channels, 1, 3)
        self.apply(initialise)

    def forward(self, x: Tensor) -> Tensor:
        """Return a score for every patch."""
        return self.tail(self.body(self.head(x)))


def initialise(module: nn.Module) -> None:
    """Draw the weights."""
    if isinstance(module, nn.Conv2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)


class Generators(nn.Module):
    """Those of all scales, and what is known of the image: what the release keeps in lists."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.factor, count = factor(size), SCALES[size]
        self.reals = pyramid(batch(size)["image"], size)
        self.Gs = nn.ModuleList(Generator(width(size, scale)) for scale in range(count))
        self.amplitudes = nn.ParameterList(torch.tensor(AMPLITUDE) for _ in range(1, count))
        """of all scales but the coarsest, where it is 1"""
        self.amplitudes.requires_grad_(requires_grad=False)
        noise = framed(torch.randn_like(self.reals[0][:, :1])).expand(-1, 3, -1, -1).clone()
        self.stored = nn.Parameter(noise, requires_grad=False)

    def forward(self, *maps: Tensor) -> Tensor:
        """Return an image as large as there are maps for, one after the other, the coarsest of one channel."""
        return self.grown([framed(each).expand(-1, 3, -1, -1) for each in maps])

    def grown(self, maps: list[Tensor]) -> Tensor:
        """Return the same, with maps in their borders."""
        image = torch.zeros_like(self.reals[0])
        for scale, noise in enumerate(maps):
            below = framed(image if scale == 0 else self.enlarged(image, scale))
            image = self.on(scale, noise, below)
        return image

    def on(self, scale: int, noise: Tensor, below: Tensor) -> Tensor:
        """Return the image of one scale."""
        amplitude = self.amplitudes[scale - 1] if scale else 1.0
        return self.Gs[scale](amplitude * noise + below, below)

    def enlarged(self, image: Tensor, scale: int) -> Tensor:
        """Return the image of the scale below, as large as this one."""
        height, width = self.reals[scale].shape[2:]
        return resize(image, 1 / self.factor)[:, :, :height, :width]

    def state(self) -> dict[str, Tensor]:
        """As the release's files hold it."""
        reals = {f"reals.{scale}": real for scale, real in enumerate(self.reals)}
        amplitudes = {f"NoiseAmp.{scale}": each for scale, each in enumerate(self.amplitudes, 1)}
        generators = {f"Gs.{key}": tensor for key, tensor in self.Gs.state_dict().items()}
        return {**reals, **amplitudes, **generators, "Zs.0": self.stored}


def width(size: Size, scale: int) -> int:
    """Channels."""
    return min(CHANNELS[size] * 2 ** (scale // WIDER_EVERY), WIDEST)


# --- A step -----------------------------------------------------------------------------------------------------------


def batch(size: Size) -> dict[str, Tensor]:
    """Return the image."""
    return images(["image"], 1, *IMAGE[size])


def noises(size: Size) -> list[Iterator[Tensor]]:
    """Return what is drawn at each scale, without borders; the same ones for both sides."""
    return [drawn(size, scale) for scale in range(SCALES[size])]


def drawn(size: Size, scale: int) -> Iterator[Tensor]:
    """Noise maps of one scale."""
    generator, by = torch.Generator().manual_seed(scale), factor(size) ** (SCALES[size] - 1 - scale)
    shape = [math.ceil(side * by) for side in IMAGE[size]]
    while True:
        yield torch.randn(1, 3 if scale else 1, *shape, generator=generator)


def shares() -> Iterator[Tensor]:
    """Of the real image in the one that the penalty looks at; the same ones for both sides."""
    generator = torch.Generator().manual_seed(5)
    while True:
        yield torch.rand((), generator=generator)


class Loop:
    """Three steps of the finest scale's critic, three of its generator."""

    def __init__(self, size: Size) -> None:
        torch.manual_seed(0)
        self.scale = finest(size)
        self.generators = Generators(size)
        self.generators.Gs.requires_grad_(requires_grad=False).eval()
        self.generator = self.generators.Gs[self.scale].requires_grad_().train()
        self.critics = nn.ModuleList(Critic(width(size, scale)) for scale in range(SCALES[size]))
        self.critic = self.critics[self.scale]
        if width(size, self.scale) == width(size, self.scale - 1):
            self.generator.load_state_dict(self.generators.Gs[self.scale - 1].state_dict())
            self.critic.load_state_dict(self.critics[self.scale - 1].state_dict())
        self.optimizers = {
            network: torch.optim.Adam(network.parameters(), lr=RATE, betas=BETAS)
            for network in (self.generator, self.critic)
        }
        self.noises, self.shares = noises(size), shares()
        self.reconstructed: Tensor | None = None
        """what the scales below make of the stored noise"""

    @property
    def real(self) -> Tensor:
        """The training image."""
        return self.generators.reals[self.scale]

    def step(self, batch: Mapping[str, Tensor]) -> dict[str, float]:  # noqa: ARG002 - the image is in the pyramid
        """Return an epoch."""
        found: dict[str, Tensor] = {}
        noise = framed(next(self.noises[self.scale]))
        below, fake = noise, noise
        for number in range(1, CRITIC_STEPS + 1):
            below = framed(self.generators.enlarged(self.sample(), self.scale))
            if self.reconstructed is None:
                self.reconstructed = self.reconstruct()
            fake = self.made(noise, below)
            found |= {f"critic_{number}/{name}": term for name, term in self.critic_step(fake).items()}
        for number in range(1, GENERATOR_STEPS + 1):
            if number > 1:
                fake = self.made(noise, below)
            found |= {f"generator_{number}/{name}": term for name, term in self.generator_step(fake).items()}
        return {name: term.item() for name, term in found.items()}

    def sample(self) -> Tensor:
        """Return an image of the scale below."""
        return self.generators(*(next(self.noises[scale]) for scale in range(self.scale)))

    def reconstruct(self) -> Tensor:
        """Return what the scales below make of the stored noise, enlarged.

        How strong the noise is to be follows from it.
        """
        maps = [torch.zeros_like(framed(real)) for real in self.generators.reals[: self.scale]]
        image = self.generators.enlarged(self.generators.grown([self.generators.stored, *maps[1:]]), self.scale)
        self.generators.amplitudes[self.scale - 1].copy_(AMPLITUDE * F.mse_loss(self.real, image).sqrt())
        return framed(image)

    def made(self, noise: Tensor, below: Tensor) -> Tensor:
        """Return an image of this scale."""
        return self.generators.on(self.scale, noise, below)

    def critic_step(self, fake: Tensor) -> dict[str, Tensor]:
        """Return the losses of the critic."""
        self.critic.zero_grad()
        of_real = -self.critic(self.real).mean()
        of_real.backward(retain_graph=True)
        of_fake = self.critic(fake.detach()).mean()
        of_fake.backward(retain_graph=True)
        penalty = PENALTY * self.penalty(fake.detach())
        penalty.backward()
        self.optimizers[self.critic].step()
        return {"real": of_real, "fake": of_fake, "penalty": penalty}

    def penalty(self, fake: Tensor) -> Tensor:
        """How far from 1 the gradient is between the real image and a fake."""
        share = next(self.shares)
        between = (share * self.real + (1 - share) * fake).requires_grad_()
        scores = self.critic(between)
        (slope,) = torch.autograd.grad(
            scores, between, torch.ones_like(scores), create_graph=True, retain_graph=True, only_inputs=True
        )
        return ((slope.norm(2, dim=1) - 1) ** 2).mean()

    def generator_step(self, fake: Tensor) -> dict[str, Tensor]:
        """Return the losses of the generator."""
        self.generator.zero_grad()
        adversarial = -self.critic(fake).mean()
        adversarial.backward(retain_graph=True)
        below = cast("Tensor", self.reconstructed)
        again = self.made(torch.zeros_like(below), below)
        reconstruction = RECONSTRUCTION * F.mse_loss(again, self.real)
        reconstruction.backward(retain_graph=True)
        self.optimizers[self.generator].step()
        return {"adversarial": adversarial, "reconstruction": reconstruction}

    def state(self) -> dict[str, Tensor]:
        """As the release's files hold it, and the critics."""
        critics = {f"critics.{key}": tensor for key, tensor in self.critics.state_dict().items()}
        return {**self.generators.state(), **critics}


def finest(size: Size) -> int:
    """Return the number of the scale that is trained."""
    return SCALES[size] - 1


# --- Ours -------------------------------------------------------------------------------------------------------------


def table(config: Config) -> NameTable:
    """Return the plugin's table of names, and what it leaves out: the critics."""
    from i2i_plugin_singan.official import OFFICIAL_FORMAT

    critics: dict[str, str] = {}
    for scale in range(config.scales):
        theirs, ours = f"critics.{scale}", f"critics.{scale}"
        critics |= {f"{theirs}.head": f"{ours}.blocks.0", f"{theirs}.tail": f"{ours}.to_score"}
        critics |= {f"{theirs}.body.block{number}": f"{ours}.blocks.{number}" for number in range(1, config.layers - 1)}
    # Whole generators, as in the release's Gs.pth, which its table has as files of their own.
    own = {re.sub(r"^(\d+)\.netG", r"Gs.\1", theirs): ours for theirs, ours in OFFICIAL_FORMAT.table(config).items()}
    return {**critics, **own}


def our_config(size: Size) -> Config:
    """Return that of an image of this size."""
    from i2i_plugin_singan.config import Config

    height, width = IMAGE[size]
    return Config(height=height, width=width, scales=SCALES[size], coarsest=COARSEST[size], channels=CHANNELS[size])


def our_trainer(size: Size, loop: OfficialLoop) -> AnyTrainer:
    """With the weights of the loop, and noise that is drawn as there."""
    from i2i_plugin_singan.model import SinGAN
    from i2i_plugin_singan.trainer import Options, SinGANTrainer

    class SameDraws(SinGANTrainer):
        """Takes its random numbers from where the loop takes them."""

        maps, shares = noises(size), shares()

        def noise(self, scale: int, count: int) -> Tensor:
            """Return the next ones."""
            return torch.cat([next(self.maps[scale]) for _ in range(count)])

        def share(self) -> Tensor:
            """Return the next one."""
            return next(self.shares)

    trainer = SameDraws(SinGAN(our_config(size)), Options())
    copy_weights(cast("Loop", loop).state(), table(trainer.model.config), trainer.all_networks)
    return trainer


def sample_maps(size: Size) -> dict[str, Tensor]:
    """Return a noise map for every scale."""
    return {f"noise_{scale}": next(maps) for scale, maps in enumerate(noises(size))}


def our_model(size: Size, eager: nn.Module) -> Model[Record]:
    """With the same weights."""
    from i2i_plugin_singan.model import SinGAN

    model = SinGAN(our_config(size))
    copy_weights(cast("Generators", eager).state(), table(model.config), model.networks)
    return model


PAPER = Paper(
    title="SinGAN 186x248, finest of 9 scales",
    inference=Inference(
        target=None,
        inputs=sample_maps,
        eager=Generators,
        ours=our_model,
        also=lambda _size: {"start_scale": torch.zeros(1)},
        operation="sample",
    ),
    training=Training(
        target=2.0,
        fastest=True,
        stage=finest,
        batch=batch,
        official=Loop,
        ours=our_trainer,
        # The other phases follow updates by Adam, whose first ones step by little more than the sign of a gradient.
        judged=lambda loss: loss.startswith("critic_1/"),
    ),
)
