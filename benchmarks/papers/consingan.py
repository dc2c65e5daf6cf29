"""ConSinGAN in plain eager torch, written and stepped in the order of the authors' release: one of the last stage.

Written from the facts of tohinz/ConSinGAN (module names, shapes, order of operations). The image is made anew for
each of the critic's three steps, with the same noise and the same generator; real and fake pass the critic one by one;
gradients of the generator's step reach the critic, which throws them away, and flow through the frozen stages to the
head, which learns no more.

At first the critic hardly tells real from fake, so that the gradients of its biases are what rounding leaves of a
difference of two equal numbers, and Adam makes whole steps of them. They move all scores alike: the penalty and the
reconstruction, which have no part in that, are compared closely in all phases, scores in the first one.
"""

from __future__ import annotations

import math
from itertools import count
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from . import Inference, OfficialLoop, Paper, Size, Training, copy_weights, images
from ._cubic import resize

if TYPE_CHECKING:
    from collections.abc import Mapping

    from i2i_plugin_consingan.config import Config
    from i2i_registry.interfaces.data import Tensors
    from i2i_registry.interfaces.model import Model
    from i2i_registry.interfaces.official import NameTable
    from i2i_registry.interfaces.trainer import AnyTrainer, Losses, Step
    from i2i_runtime.records import Record

IMAGE = {"full": (186, 250), "small": (34, 40)}
STAGES = {"full": 6, "small": 5}
COARSEST = {"full": 25, "small": 16}
CHANNELS = {"full": 64, "small": 8}
LAYERS = 3
SLOPE = 0.05
CONCURRENT, OLDER = 3, 0.1
"""stages that learn, and factor on the learning rate from one to the one before"""
CRITIC_STEPS = GENERATOR_REPEATS = 3
RECONSTRUCTION, PENALTY, AMPLITUDE = 10.0, 0.1, 0.1
RATE, BETAS = 5e-4, (0.5, 0.999)


def factors(size: Size) -> list[float]:
    """Side of each stage but the last over that of the image."""
    stop = STAGES[size] - 1
    step = (COARSEST[size] / min(IMAGE[size])) ** (1 / stop)
    return [step ** ((stop - 1) / math.log(stop) * math.log(stop - stage) + 1) for stage in range(stop)]


def sizes(size: Size) -> list[tuple[int, int]]:
    """Height and width of every stage."""
    height, width = IMAGE[size]
    return [*((math.ceil(height * by), math.ceil(width * by)) for by in factors(size)), (height, width)]


def pyramid(image: Tensor, size: Size) -> list[Tensor]:
    """Return the image at every stage."""
    return [*(resize(image, by) for by in factors(size)), image]


# --- Networks ---------------------------------------------------------------------------------------------------------


def block(c_in: int, c_out: int) -> nn.Sequential:
    """Return a layer."""
    layers = nn.Sequential()
    layers.add_module("conv", nn.Conv2d(c_in, c_out, 3))
    layers.add_module("lrelu", nn.LeakyReLU(SLOPE, inplace=True))
    return layers


def body(channels: int) -> nn.Sequential:
    """Return a stage of the generator, or the middle of the critic."""
    layers = nn.Sequential()
    for number in range(LAYERS):
        layers.add_module(f"block{number}", block(channels, channels))
    return layers


def initialise(module: nn.Module) -> None:
    """Draw the weights."""
    if isinstance(module, nn.Conv2d):
        nn.init.normal_(module.weight, 0.0, 0.02)


def enlarged(x: Tensor, height: int, width: int) -> Tensor:
    """Bicubic, corner to corner."""
    return F.interpolate(x, (height, width), mode="bicubic", align_corners=True)


class Generator(nn.Module):
    """Grown to all of its stages; beside it what the release keeps in lists."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        channels, self.sizes = CHANNELS[size], sizes(size)
        self.reals = pyramid(batch(size)["image"], size)
        self._pad = nn.ZeroPad2d(1)
        self._pad_block = nn.ZeroPad2d(LAYERS - 1)
        self.head = block(3, channels)
        self.body = nn.ModuleList(body(channels) for _ in self.sizes)
        self.tail = nn.Sequential(nn.Conv2d(channels, 3, 3), nn.Tanh())
        self.apply(initialise)
        self.fixed_noise = [self.reals[0], *noise_maps(size)[1:]]
        self.amplitudes = nn.ParameterList(torch.tensor(AMPLITUDE) for _ in self.sizes[1:])
        """of all stages but the first, which needs none"""
        self.amplitudes.requires_grad_(requires_grad=False)

    def forward(self, *maps: Tensor) -> Tensor:
        """Return an image of the last stage from a noise map for every stage."""
        first, *later = maps
        x = self.head(self._pad(first))
        x = self.body[0](self._pad_block(enlarged(x, x.shape[2] + 2, x.shape[3] + 2)))
        for stage, noise in enumerate(later, start=1):
            height, width = self.sizes[stage]
            kept = enlarged(x, height, width)
            around = enlarged(x, height + 2 * LAYERS, width + 2 * LAYERS)
            x = self.body[stage](around + noise * self.amplitudes[stage - 1]) + kept
        return self.tail(self._pad(x))

    def state(self) -> dict[str, Tensor]:
        """As the release's files hold it."""
        lists = {"fixed_noise": self.fixed_noise, "reals": self.reals}
        named = {f"{name}.{stage}": each for name, maps in lists.items() for stage, each in enumerate(maps)}
        amplitudes = {f"noise_amp.{stage}": each for stage, each in enumerate(self.amplitudes, 1)}
        network = {f"G.{key}": each for key, each in self.state_dict().items() if not key.startswith("amplitudes")}
        return {**named, **amplitudes, **network}


class Critic(nn.Module):
    """One for all stages."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.head, self.body, self.tail = block(3, channels), body(channels), nn.Conv2d(channels, 1, 3)
        self.apply(initialise)

    def forward(self, x: Tensor) -> Tensor:
        """Return a score for every patch."""
        return self.tail(self.body(self.head(x)))


# --- A step -----------------------------------------------------------------------------------------------------------


def batch(size: Size) -> dict[str, Tensor]:
    """Return the image."""
    return images(["image"], 1, *IMAGE[size])


def noise_maps(size: Size) -> list[Tensor]:
    """Drawn for every stage; of the first a map like an image."""
    (height, width), *later = sizes(size)
    shapes = [(CHANNELS[size], height + 2 * LAYERS, width + 2 * LAYERS) for height, width in later]
    return [torch.randn(1, *shape) for shape in [(3, height, width), *shapes]]


class Loop:
    """Three steps of the critic, one gradient of the generator, along which it steps three times."""

    def __init__(self, size: Size) -> None:
        torch.manual_seed(0)
        self.size: Size = size
        self.seeds, self.begun = count(), False
        self.generator, self.critic = Generator(size), Critic(CHANNELS[size])
        head, tail, body = self.generator.head, self.generator.tail, self.generator.body
        body[-1].load_state_dict(body[-2].state_dict())
        self.generator.amplitudes[-1].zero_()
        body[:-CONCURRENT].requires_grad_(requires_grad=False)
        older = range(CONCURRENT - 1, -1, -1)
        groups = [
            {"params": [*stage.parameters()], "lr": RATE * OLDER**age}
            for stage, age in zip(body[-CONCURRENT:], older, strict=True)
        ]
        if STAGES[size] <= CONCURRENT:
            groups.append({"params": [*head.parameters()], "lr": RATE * OLDER ** last(size)})
        groups.append({"params": [*tail.parameters()], "lr": RATE})
        self.of_generator = torch.optim.Adam(groups, lr=RATE, betas=BETAS)
        # The constant that the critic adds to every score cancels: what rounding makes of its gradient moves it.
        learned = [weight for weight in self.critic.parameters() if weight is not self.critic.tail.bias]
        self.of_critic = torch.optim.Adam(learned, lr=RATE, betas=BETAS)

    @property
    def real(self) -> Tensor:
        """The training image."""
        return self.generator.reals[-1]

    def step(self, batch: Mapping[str, Tensor]) -> dict[str, float]:  # noqa: ARG002 - the image is in the pyramid
        """One iteration."""
        if not self.begun:
            self.begin()
        torch.manual_seed(next(self.seeds))
        maps, fake, found = noise_maps(self.size), self.real, dict[str, Tensor]()
        for number in range(1, CRITIC_STEPS + 1):
            with torch.set_grad_enabled(number == CRITIC_STEPS):  # the generator learns from the last one
                fake = self.generator(*maps)
            found |= {f"critic_{number}/{name}": term for name, term in self.critic_step(fake.detach()).items()}
        found |= {f"generator/{name}": term for name, term in self.generator_step(fake).items()}
        return {name: term.item() for name, term in found.items()}

    def begin(self) -> None:
        """Noise for the new stage, and how strong it is to be."""
        torch.manual_seed(next(self.seeds))
        self.generator.fixed_noise[-1] = torch.randn_like(self.generator.fixed_noise[-1])
        with torch.no_grad():
            made = self.generator(*self.generator.fixed_noise)
            self.generator.amplitudes[-1].copy_(AMPLITUDE * F.mse_loss(self.real, made).sqrt())
        self.begun = True

    def critic_step(self, fake: Tensor) -> dict[str, Tensor]:
        """Return the losses of the critic."""
        torch.manual_seed(next(self.seeds))
        self.critic.zero_grad()
        terms = {"real": -self.critic(self.real).mean(), "fake": self.critic(fake).mean()}
        terms["penalty"] = PENALTY * self.penalty(fake)
        torch.stack([*terms.values()]).sum().backward()
        self.of_critic.step()
        return terms

    def penalty(self, fake: Tensor) -> Tensor:
        """How far from 1 the gradient is between the real image and a fake."""
        share = torch.rand(1, 1, 1, 1)
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
        again = self.generator(*self.generator.fixed_noise)
        reconstruction = RECONSTRUCTION * F.mse_loss(again, self.real)
        (adversarial + reconstruction).backward()
        for _ in range(GENERATOR_REPEATS):
            self.of_generator.step()
        return {"adversarial": adversarial, "reconstruction": reconstruction}

    def state(self) -> dict[str, Tensor]:
        """As the release's files hold it, and the critic."""
        critic = {f"critic.{key}": tensor for key, tensor in self.critic.state_dict().items()}
        return {**self.generator.state(), **critic}


def last(size: Size) -> int:
    """Return the number of the stage that is trained."""
    return STAGES[size] - 1


# --- Ours -------------------------------------------------------------------------------------------------------------


def table(config: Config) -> NameTable:
    """Return the plugin's table of names, and what it leaves out: the critic."""
    from i2i_plugin_consingan.official import CONSINGAN_FORMAT

    layers = {"head": 0, **{f"body.block{number}": number + 1 for number in range(LAYERS)}}
    critic = {f"critic.{place}.conv": f"critic.layers.{number}.conv" for place, number in layers.items()}
    return {**critic, "critic.tail": "critic.tail", **CONSINGAN_FORMAT.table(config)}


def our_config(size: Size) -> Config:
    """Return that of an image of this size."""
    from i2i_plugin_consingan.config import Config

    height, width = IMAGE[size]
    return Config(height=height, width=width, stages=STAGES[size], coarsest=COARSEST[size], channels=CHANNELS[size])


def our_trainer(size: Size, loop: OfficialLoop) -> AnyTrainer:
    """With the weights of the loop, and random numbers from the same seeds."""
    from i2i_plugin_consingan.model import ConSinGAN
    from i2i_plugin_consingan.trainer import ConSinGANTrainer, Options, StageTraining

    class SameDraws(StageTraining):
        """Seeds as the loop does, at the same places."""

        seeds = count()

        def begin(self, batch: Tensors) -> None:
            """Train the stage."""
            torch.manual_seed(next(self.seeds))
            super().begin(batch)

        def share(self, step: Step[None]) -> Tensor:
            """Return the generated image."""
            torch.manual_seed(next(self.seeds))
            return super().share(step)

        def critic_losses(self, step: Step[Tensor]) -> Losses:
            """Return the critic's losses."""
            torch.manual_seed(next(self.seeds))
            return super().critic_losses(step)

    class SameTrainer(ConSinGANTrainer):
        """With stages that seed like this."""

        def stage_training(self, number: int) -> StageTraining:
            """Of one stage."""
            return SameDraws(self.model.generator, self.critic, self.options, number)

    trainer = SameTrainer(ConSinGAN(our_config(size)), Options())
    copy_weights(cast("Loop", loop).state(), table(trainer.model.config), trainer.all_networks)
    return trainer


def sample_maps(size: Size) -> dict[str, Tensor]:
    """Return a noise map for every stage."""
    torch.manual_seed(3)
    return {f"noise_{stage}": noise for stage, noise in enumerate(noise_maps(size))}


def our_model(size: Size, eager: nn.Module) -> Model[Record]:
    """With the same weights."""
    from i2i_plugin_consingan.model import ConSinGAN

    model = ConSinGAN(our_config(size))
    copy_weights(cast("Generator", eager).state(), table(model.config), model.networks)
    return model


PAPER = Paper(
    title="ConSinGAN 186x250, last of 6 stages",
    inference=Inference(target=None, inputs=sample_maps, eager=Generator, ours=our_model, operation="sample"),
    training=Training(
        target=2.0,
        fastest=True,
        stage=last,
        batch=batch,
        official=Loop,
        ours=our_trainer,
        judged=lambda loss: loss.startswith("critic_1/") or loss.endswith(("/penalty", "/reconstruction")),
        later=2e-3,
    ),
)
