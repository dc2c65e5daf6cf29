"""BicycleGAN in plain eager torch, written and stepped in the order of the authors' release.

Written from the facts of junyanz/BicycleGAN (module names, shapes, order of operations). Every style is translated in
a pass of its own; there are two backward passes for the generator, the second with the encoder frozen; four optimizers
step one after the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss, mse_loss

from . import Inference, OfficialLoop, Paper, Size, Training, copy_weights, images

if TYPE_CHECKING:
    from i2i_plugin_bicyclegan.config import Config
    from i2i_registry.interfaces.model import Model
    from i2i_registry.interfaces.official import NameTable
    from i2i_registry.interfaces.trainer import AnyTrainer
    from i2i_runtime.records import Record

SIDE = {"full": 256, "small": 64}
LEVELS = {"full": 8, "small": 6}
CHANNELS = {"full": 64, "small": 16}
"""of the generator, the encoder and the discriminators"""
LATENT = 8
BATCH = 2
L1, LATENT_L1, KL = 10.0, 0.5, 0.01
"""weights of the losses; those of the adversarial ones are 1"""


class Level(nn.Module):
    """One level of the U-Net that takes the latent at every level, with all that lies inside."""

    def __init__(self, width_in: int, width: int, width_out: int, inside: Level | None, *, outermost: bool) -> None:
        super().__init__()
        conv = nn.Conv2d(width_in + LATENT, width, 4, 2, 1)
        down: list[nn.Module] = [conv] if outermost else [nn.LeakyReLU(0.2, inplace=True), conv]
        if inside and not outermost:
            down.append(nn.InstanceNorm2d(width))
        self.down = nn.Sequential(*down)
        self.submodule = inside
        last = nn.Tanh() if outermost else nn.InstanceNorm2d(width_out)
        wide = 2 * width if inside else width
        self.up = nn.Sequential(nn.ReLU(inplace=True), nn.ConvTranspose2d(wide, width_out, 4, 2, 1), last)
        self.outermost = outermost

    def forward(self, x: Tensor, latent: Tensor) -> Tensor:
        """Return the image at the outermost level; elsewhere this level's result beside what came in."""
        maps = latent[:, :, None, None].expand(-1, -1, x.shape[2], x.shape[3])
        inner = self.down(torch.cat([x, maps], 1))
        if self.submodule is not None:
            inner = self.submodule(inner, latent)
        return self.up(inner) if self.outermost else torch.cat([self.up(inner), x], 1)


class Generator(nn.Module):
    """unet_256 (or as many levels as asked for)."""

    def __init__(self, channels: int, levels: int) -> None:
        super().__init__()
        widths = [3, *(channels * min(2**level, 8) for level in range(levels))]
        inside: Level | None = None
        for number in reversed(range(1, levels)):
            inside = Level(widths[number], widths[number + 1], widths[number], inside, outermost=False)
        self.model = Level(3, channels, 3, inside, outermost=True)

    def forward(self, x: Tensor, latent: Tensor) -> Tensor:
        """Return the translated image."""
        return self.model(x, latent)


class EncoderBlock(nn.Module):
    """Residual block; both ways end at half the side."""

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.InstanceNorm2d(c_in),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(c_in, c_in, 3, 1, 1),
            nn.InstanceNorm2d(c_in),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Sequential(nn.Conv2d(c_in, c_out, 3, 1, 1), nn.AvgPool2d(2)),
        )
        self.shortcut = nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(c_in, c_out, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum of both ways."""
        return self.conv(x) + self.shortcut(x)


class Encoding(NamedTuple):
    """A normal distribution over latents."""

    mean: Tensor
    log_variance: Tensor


class Encoder(nn.Module):
    """E_ResNet."""

    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        widths = [channels * min(number, 4) for number in range(1, (side // 8).bit_length())]
        blocks = [EncoderBlock(c_in, c_out) for c_in, c_out in pairwise(widths)]
        stem = nn.Conv2d(3, channels, 4, 2, 1)
        self.conv = nn.Sequential(stem, *blocks, nn.LeakyReLU(0.2, inplace=True), nn.AvgPool2d(8))
        self.fc, self.fcVar = (nn.Sequential(nn.Linear(widths[-1], LATENT)) for _ in range(2))

    def forward(self, x: Tensor) -> Encoding:
        """Mean and log variance."""
        features = self.conv(x).flatten(1)
        return Encoding(self.fc(features), self.fcVar(features))


class Discriminator(nn.Module):
    """Patch discriminators at two scales, least squares."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.model_0, self.model_1 = patch_discriminator(channels), patch_discriminator(channels // 2)
        self.downsample = nn.AvgPool2d(3, 2, 1, count_include_pad=False)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Scores of both scales."""
        return [self.model_0(x), self.model_1(self.downsample(x))]


def patch_discriminator(channels: int) -> nn.Sequential:
    """Three convolutions that downsample and two more."""
    layers: list[nn.Module] = [nn.Conv2d(3, channels, 4, 2, 1), nn.LeakyReLU(0.2, inplace=True)]
    for factor, stride in ((1, 2), (2, 2), (4, 1)):
        c_in, c_out = factor * channels, 2 * factor * channels
        layers += [nn.Conv2d(c_in, c_out, 4, stride, 1), nn.InstanceNorm2d(c_out), nn.LeakyReLU(0.2, inplace=True)]
    return nn.Sequential(*layers, nn.Conv2d(8 * channels, 1, 4, 1, 1))


def against(scales: Sequence[Tensor], value: float) -> Tensor:
    """Least-squares loss, summed over the scales."""
    return torch.stack([mse_loss(scores, torch.full_like(scores, value)) for scores in scales]).sum()


def latents() -> Iterator[Tensor]:
    """Yield what is drawn: in each step first the encoder's noise, then the random style, [batch / 2, z] each."""
    generator = torch.Generator().manual_seed(11)
    while True:
        yield torch.randn(BATCH // 2, LATENT, generator=generator)


class Loop:
    """Encoder and generator, then the discriminators D (of encoded styles) and D2 (of random ones)."""

    def __init__(self, size: Size) -> None:
        torch.manual_seed(0)
        self.generator = Generator(CHANNELS[size], LEVELS[size])
        self.encoder = Encoder(CHANNELS[size], SIDE[size])
        self.judges = {name: Discriminator(CHANNELS[size]) for name in ("D", "D2")}
        self.networks = nn.ModuleDict({"G": self.generator, "E": self.encoder, **self.judges})
        self.optimizers = {
            name: torch.optim.Adam(network.parameters(), lr=2e-4, betas=(0.5, 0.999))
            for name, network in self.networks.items()
        }
        self.latents = latents()

    def step(self, batch: Mapping[str, Tensor]) -> dict[str, float]:
        """One update of everything."""
        source, (target, other_target) = batch["input"].chunk(2)[0], batch["target"].chunk(2)
        encoding = self.encoder(target)
        encoded = encoding.mean + next(self.latents) * torch.exp(0.5 * encoding.log_variance)
        random = next(self.latents)
        made = {"D": self.generator(source, encoded), "D2": self.generator(source, random)}
        seen = self.encoder(made["D2"]).mean
        losses = self.generator_losses(made, target, encoding)
        losses["latent"] = self.generator_step(losses, l1_loss(seen, random))
        for name, real in (("D", target), ("D2", other_target)):
            losses |= self.judge_step(name, made[name].detach(), real)
        return {f"bicycle/{name}": loss.item() for name, loss in losses.items()}

    def generator_losses(self, made: Mapping[str, Tensor], target: Tensor, encoding: Encoding) -> dict[str, Tensor]:
        """Without the latent's, with the discriminators frozen."""
        for judge in self.judges.values():
            judge.requires_grad_(requires_grad=False)
        mean, log_variance = encoding
        return {
            "encoded_gan": against(self.judges["D"](made["D"]), 1.0),
            "random_gan": against(self.judges["D2"](made["D2"]), 1.0),
            "l1": L1 * l1_loss(made["D"], target),
            "kl": KL * -0.5 * (1 + log_variance - mean.pow(2) - log_variance.exp()).sum(),
        }

    def generator_step(self, losses: Mapping[str, Tensor], distance: Tensor) -> Tensor:
        """Teach encoder and generator, from the latent's distance the generator alone; return the latent's loss."""
        for name in "EG":
            self.optimizers[name].zero_grad()
        torch.stack([*losses.values()]).sum().backward(retain_graph=True)
        self.encoder.requires_grad_(requires_grad=False)
        loss = LATENT_L1 * distance
        loss.backward()
        self.encoder.requires_grad_(requires_grad=True)
        for name in "EG":
            self.optimizers[name].step()
        return loss

    def judge_step(self, name: str, fake: Tensor, real: Tensor) -> dict[str, Tensor]:
        """One discriminator learns, by itself."""
        judge = self.judges[name]
        judge.requires_grad_(requires_grad=True)
        self.optimizers[name].zero_grad()
        of_fake, of_real = against(judge(fake), 0.0), against(judge(real), 1.0)
        (of_fake + of_real).backward()
        self.optimizers[name].step()
        ours = f"discriminator_{STYLES[name]}"
        return {f"{ours}_fake": of_fake, f"{ours}_real": of_real}


STYLES = {"D": "encoded", "D2": "random"}
"""what a discriminator judges"""


# --- Ours -------------------------------------------------------------------------------------------------------------


def table(config: Config) -> NameTable:
    """Return the plugin's table of names, and what it leaves out: the discriminators."""
    from i2i_plugin_bicyclegan.official import RELEASE_FORMAT

    places = {0: "layers.0.conv", 2: "layers.1.conv", 5: "layers.2.conv", 8: "layers.3.conv", 11: "to_logits"}
    judges = {
        f"{name}.model_{scale}.{number}": f"discriminator_{style}.scales.{scale}.{place}"
        for name, style in STYLES.items()
        for scale in range(2)
        for number, place in places.items()
    }
    return {**judges, **RELEASE_FORMAT.table(config)}


def our_config(size: Size) -> Config:
    """Return the preset of the release's networks, or a small one."""
    from i2i_plugin_bicyclegan.config import Config

    return Config(
        image_size=SIDE[size],
        levels=LEVELS[size],
        channels=CHANNELS[size],
        encoder_channels=CHANNELS[size],
        latent_dim=LATENT,
    )


def our_trainer(size: Size, loop: OfficialLoop) -> AnyTrainer:
    """With the weights of the loop, and latents that are drawn as there."""
    from i2i_plugin_bicyclegan.model import BicycleGAN
    from i2i_plugin_bicyclegan.trainer import BicycleGANTrainer, Options

    class SameLatents(BicycleGANTrainer):
        """Takes its latents from where the loop takes them."""

        drawn = latents()

        def noise(self, count: int, like: Tensor) -> Tensor:  # noqa: ARG002 - of the base's signature
            """Return the next ones."""
            return next(self.drawn)

    trainer = SameLatents(BicycleGAN(our_config(size)), Options(discriminator_channels=CHANNELS[size]))
    copy_weights(cast("Loop", loop).networks.state_dict(), table(trainer.model.config), trainer.all_networks)
    return trainer


def our_model(size: Size, eager: nn.Module) -> Model[Record]:
    """Return the generator alone."""
    from i2i_plugin_bicyclegan.model import BicycleGAN

    model = BicycleGAN(our_config(size).model_copy(update={"encoder": None}))
    state = {f"G.{key}": value for key, value in eager.state_dict().items()}
    copy_weights(state, table(model.config), model.networks)
    return model


PAPER = Paper(
    title="BicycleGAN 256",
    inference=Inference(
        target=1.8,
        inputs=lambda size: {**images(["image"], 1, SIDE[size]), "latent": next(latents())},
        eager=lambda size: Generator(CHANNELS[size], LEVELS[size]),
        ours=our_model,
    ),
    training=Training(
        target=1.3,
        batch=lambda size: images(["input", "target"], BATCH, SIDE[size]),
        official=Loop,
        ours=our_trainer,
    ),
)
