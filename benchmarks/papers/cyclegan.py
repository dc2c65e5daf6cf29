"""CycleGAN in plain eager torch, written and stepped in the order of the authors' release.

Written from the facts of junyanz/pytorch-CycleGAN-and-pix2pix (module names, shapes, order of operations). Every
image goes through a generator in a pass of its own, real and generated ones through the discriminators too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss, mse_loss

from . import Inference, OfficialLoop, Paper, Size, Training, copy_weights, images

if TYPE_CHECKING:
    from i2i_plugin_cyclegan.config import Config
    from i2i_registry.interfaces.model import Model
    from i2i_registry.interfaces.official import NameTable
    from i2i_registry.interfaces.trainer import AnyTrainer
    from i2i_runtime.records import Record

SIDE = {"full": 256, "small": 32}
CHANNELS = {"full": 64, "small": 16}
BLOCKS = {"full": 9, "small": 1}
DISCRIMINATOR_CHANNELS = {"full": 64, "small": 4}
"""channels of the discriminators"""
CYCLE, IDENTITY = 10.0, 0.5
"""weights of both domains' cycle losses, and of the identity losses as a share of them"""


def norm_relu(channels: int) -> list[nn.Module]:
    """Return what follows all of a generator's convolutions but some."""
    return [nn.InstanceNorm2d(channels), nn.ReLU(inplace=True)]


class ResidualBlock(nn.Module):
    """Two mirrored convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        padded = [nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3)]
        again = [nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3)]
        self.conv_block = nn.Sequential(*padded, *norm_relu(channels), *again, nn.InstanceNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        """x plus the block."""
        return x + self.conv_block(x)


class ResnetGenerator(nn.Module):
    """resnet_9blocks with instance norm and without dropout."""

    def __init__(self, channels: int, blocks: int) -> None:
        super().__init__()
        wide, widest = 2 * channels, 4 * channels
        layers: list[nn.Module] = [nn.ReflectionPad2d(3), nn.Conv2d(3, channels, 7), *norm_relu(channels)]
        for c_in, c_out in ((channels, wide), (wide, widest)):
            layers += [nn.Conv2d(c_in, c_out, 3, 2, 1), *norm_relu(c_out)]
        layers += [ResidualBlock(widest) for _ in range(blocks)]
        for c_in, c_out in ((widest, wide), (wide, channels)):
            layers += [nn.ConvTranspose2d(c_in, c_out, 3, 2, 1, output_padding=1), *norm_relu(c_out)]
        layers += [nn.ReflectionPad2d(3), nn.Conv2d(channels, 3, 7), nn.Tanh()]
        self.model = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Return the translated image."""
        return self.model(x)


class PatchDiscriminator(nn.Module):
    """Three convolutions that downsample and two more."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, channels, 4, 2, 1), nn.LeakyReLU(0.2, inplace=True)]
        for factor, stride in ((1, 2), (2, 2), (4, 1)):
            c_in, c_out = factor * channels, 2 * factor * channels
            layers += [nn.Conv2d(c_in, c_out, 4, stride, 1), nn.InstanceNorm2d(c_out), nn.LeakyReLU(0.2, inplace=True)]
        self.model = nn.Sequential(*layers, nn.Conv2d(8 * channels, 1, 4, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Scores of patches."""
        return self.model(x)


def against(scores: Tensor, value: float) -> Tensor:
    """Least-squares loss."""
    return mse_loss(scores, torch.full_like(scores, value))


def adam(networks: Iterable[nn.Module]) -> torch.optim.Adam:
    """Return the release's optimizer, for two networks."""
    return torch.optim.Adam(chain(*(net.parameters() for net in networks)), lr=2e-4, betas=(0.5, 0.999))


class Loop:
    """Both generators, then both discriminators; D_A judges images of B, as in the release.

    The pools are left out: for their first fifty steps they give back what they are given.
    """

    def __init__(self, size: Size) -> None:
        torch.manual_seed(0)
        self.networks = nn.ModuleDict(
            {
                **{name: ResnetGenerator(CHANNELS[size], BLOCKS[size]) for name in ("G_A", "G_B")},
                **{name: PatchDiscriminator(DISCRIMINATOR_CHANNELS[size]) for name in ("D_A", "D_B")},
            }
        )
        self.generators, self.judges = ([self.networks[f"{kind}_{d}"] for d in "AB"] for kind in "GD")
        self.generator_optimizer, self.judge_optimizer = adam(self.generators), adam(self.judges)

    def step(self, batch: Mapping[str, Tensor]) -> dict[str, float]:
        """One update of the generators, then one of the discriminators."""
        g_a, g_b = self.generators
        fake_b = g_a(batch["A"])
        back_a = g_b(fake_b)
        fake_a = g_b(batch["B"])
        back_b = g_a(fake_a)
        made = {"fake_A": fake_a, "fake_B": fake_b, "back_A": back_a, "back_B": back_b}
        losses = self.generator_step(batch, made)
        losses |= self.judge_step(batch, made)
        return {name: loss.item() for name, loss in losses.items()}

    def generator_step(self, batch: Mapping[str, Tensor], made: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Adversarial, cycle and identity losses, with the discriminators frozen."""
        (g_a, g_b), (d_a, d_b) = self.generators, self.judges
        for judge in self.judges:
            judge.requires_grad_(requires_grad=False)
        self.generator_optimizer.zero_grad()
        losses = {
            "generators/identity_B": IDENTITY * CYCLE * l1_loss(g_a(batch["B"]), batch["B"]),
            "generators/identity_A": IDENTITY * CYCLE * l1_loss(g_b(batch["A"]), batch["A"]),
            "generators/adversarial_B": against(d_a(made["fake_B"]), 1.0),
            "generators/adversarial_A": against(d_b(made["fake_A"]), 1.0),
            "generators/cycle_A": CYCLE * l1_loss(made["back_A"], batch["A"]),
            "generators/cycle_B": CYCLE * l1_loss(made["back_B"], batch["B"]),
        }
        torch.stack([*losses.values()]).sum().backward()
        self.generator_optimizer.step()
        return losses

    def judge_step(self, batch: Mapping[str, Tensor], made: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return a backward pass for each discriminator, and one step of both."""
        for judge in self.judges:
            judge.requires_grad_(requires_grad=True)
        self.judge_optimizer.zero_grad()
        losses: dict[str, Tensor] = {}
        for judge, domain in zip(self.judges, "BA", strict=True):
            of_real = against(judge(batch[domain]), 1.0)
            loss = 0.5 * (of_real + against(judge(made[f"fake_{domain}"].detach()), 0.0))
            loss.backward()
            losses[f"discriminators/{domain}"] = loss
        self.judge_optimizer.step()
        return losses


# --- Ours -------------------------------------------------------------------------------------------------------------


def table(config: Config) -> NameTable:
    """Return the plugin's table of names, and what it leaves out: the discriminators."""
    from i2i_plugin_cyclegan.official import JUNYANZ_FORMAT

    places = {0: "first", 2: "convs.0", 5: "convs.1", 8: "convs.2", 11: "to_logits"}
    judges = {
        f"D_{theirs}.model.{number}": f"discriminator_{ours}.{place}"
        for theirs, ours in (("A", "b"), ("B", "a"))
        for number, place in places.items()
    }
    return {**judges, **JUNYANZ_FORMAT.table(config)}


def our_trainer(size: Size, loop: OfficialLoop) -> AnyTrainer:
    """With the weights of the loop."""
    from i2i_plugin_cyclegan.config import Config
    from i2i_plugin_cyclegan.model import CycleGAN
    from i2i_plugin_cyclegan.trainer import CycleGANTrainer, Options

    model = CycleGAN(Config(image_size=SIDE[size], channels=CHANNELS[size], res_blocks=BLOCKS[size]))
    trainer = CycleGANTrainer(model, Options(discriminator_channels=DISCRIMINATOR_CHANNELS[size]))
    copy_weights(cast("Loop", loop).networks.state_dict(), table(trainer.model.config), trainer.all_networks)
    return trainer


def use_plain_convolutions(trainer: AnyTrainer) -> None:
    """torch's own convolutions in place of the toolkit's, with the same weights."""
    from i2i_toolkit.layers.winograd import Conv3x3

    for network in trainer.all_networks.values():
        for parent in list(network.modules()):
            for name, child in list(parent.named_children()):
                if isinstance(child, Conv3x3):
                    plain = nn.Conv2d(child.in_channels, child.out_channels, 3, bias=child.bias is not None)
                    plain.load_state_dict(child.state_dict())
                    parent.register_module(name, plain)


def our_model(size: Size, eager: nn.Module) -> Model[Record]:
    """One direction, as the release publishes its weights."""
    from i2i_plugin_cyclegan.config import Config
    from i2i_plugin_cyclegan.model import CycleGAN

    sizes = {"image_size": SIDE[size], "channels": CHANNELS[size], "res_blocks": BLOCKS[size]}
    model = CycleGAN(Config.model_validate({"directions": "a_to_b", **sizes}))
    state = {f"G.{key}": value for key, value in eager.state_dict().items()}
    copy_weights(state, table(model.config), model.networks)
    return model


PAPER = Paper(
    title="CycleGAN resnet_9blocks",
    inference=Inference(
        target=1.8,
        inputs=lambda size: images(["image"], 1, SIDE[size]),
        eager=lambda size: ResnetGenerator(CHANNELS[size], BLOCKS[size]),
        ours=our_model,
    ),
    training=Training(
        target=1.3,
        batch=lambda size: images("AB", 1, SIDE[size]),
        official=Loop,
        ours=our_trainer,
        alternatives={"plain convolutions": use_plain_convolutions},
    ),
)
