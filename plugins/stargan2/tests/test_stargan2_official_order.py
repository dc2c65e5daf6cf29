"""The yardstick: one training step of StarGAN v2 in the order of the authors' release, eagerly.

Every phase makes its own styles and translations from the picture on, gradients flow wherever they can, the second
translation of a pair has a graph that nobody uses, and convolutions stand beside the change of size, not in it. What
it computes is what `StarGAN2Trainer` computes, which the test at the end demands; a benchmark may load this file for
`OfficialOrder` and `plain_convolutions`.
"""

from __future__ import annotations

import copy
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import cast

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Adam

from i2i_plugin_stargan2 import layers
from i2i_plugin_stargan2.config import Config
from i2i_plugin_stargan2.model import StarGAN2
from i2i_plugin_stargan2.trainer import Options, StarGAN2Trainer
from i2i_registry.trainer import Trainer
from i2i_runtime.operations import Record
from i2i_toolkit.devices import open_accelerator
from i2i_toolkit.engine import Engine

Terms = dict[str, Tensor]


@contextmanager
def plain_convolutions() -> Generator[None]:
    """Within the block all networks change the size before or behind a convolution, as in the release."""
    held = layers.halved_conv, layers.doubled_conv
    layers.halved_conv = lambda x, conv: F.avg_pool2d(conv(x), 2)
    layers.doubled_conv = lambda x, conv: conv(F.interpolate(x, scale_factor=2, mode="nearest"))
    try:
        yield
    finally:
        layers.halved_conv, layers.doubled_conv = held


class OfficialOrder:
    """The networks of a trainer (without masks), stepped in the release's order with an optimizer for each."""

    def __init__(self, trainer: StarGAN2Trainer) -> None:
        model, self.options = trainer.stargan, trainer.options
        self.generator, self.mapping, self.encoder = model.generator, model.mapping, model.style_encoder
        self.discriminator = trainer.discriminator
        self.diversity_weight = trainer.diversity_weight
        self.networks: Mapping[str, nn.Module] = trainer.networks
        self.averages = {name: copy.deepcopy(self.networks[name]) for name in trainer.averages}
        rate, options = self.options.learning_rate, self.options
        rates = dict.fromkeys(self.networks, rate) | {"mapping": options.mapping_learning_rate}
        self.optimizers = {
            name: Adam(net.parameters(), rates[name], options.betas, weight_decay=options.weight_decay)
            for name, net in self.networks.items()
        }

    def step(self, batch: Mapping[str, Tensor], z: Tensor, other_z: Tensor) -> dict[str, float]:
        """One iteration: four updates and the averages. Returns the terms, "<phase>/<term>"."""
        target = batch["reference_domain"]
        references = batch["reference"], batch["other_reference"]
        found: dict[str, float] = {}

        def learn(phase: str, names: Sequence[str], terms: Terms) -> None:
            for optimizer in self.optimizers.values():
                optimizer.zero_grad()
            torch.stack([*terms.values()]).sum().backward()
            for name in names:
                self.optimizers[name].step()
            found.update({f"{phase}/{name}": float(term.detach()) for name, term in terms.items()})

        with torch.no_grad():
            fake = self.generator(batch["image"], self.mapping(z, target))
        learn("discriminator_latent", ["discriminator"], self._judging(batch, fake))
        with torch.no_grad():
            fake = self.generator(batch["image"], self.encoder(references[0], target))
        learn("discriminator_reference", ["discriminator"], self._judging(batch, fake))
        styles = [self.mapping(latent, target) for latent in (z, other_z)]
        learn("generator_latent", ["generator", "mapping", "style_encoder"], self._making(batch, *styles))
        styles = [self.encoder(reference, target) for reference in references]
        learn("generator_reference", ["generator"], self._making(batch, *styles))
        self._average()
        return found

    def _judging(self, batch: Mapping[str, Tensor], fake: Tensor) -> Terms:
        real = batch["image"].detach().requires_grad_()
        logits = self.discriminator(real, batch["domain"])
        (gradient,) = torch.autograd.grad(logits.sum(), real, create_graph=True)
        return {
            "real": bce(logits, 1.0),
            "fake": bce(self.discriminator(fake, batch["reference_domain"]), 0.0),
            "r1": self.options.r1_weight * 0.5 * gradient.square().flatten(1).sum(1).mean(),
        }

    def _making(self, batch: Mapping[str, Tensor], style: Tensor, other_style: Tensor) -> Terms:
        image, target = batch["image"], batch["reference_domain"]
        fake = self.generator(image, style)
        judged = self.discriminator(fake, target)
        found_style = self.encoder(fake, target)
        other = self.generator(image, other_style).detach()
        back = self.generator(fake, self.encoder(image, batch["domain"]))
        return {
            "adversarial": bce(judged, 1.0),
            "style": self.options.style_weight * (found_style - style).abs().mean(),
            "diversity": -self.diversity_weight * (fake - other).abs().mean(),
            "cycle": self.options.cycle_weight * (back - image).abs().mean(),
        }

    @torch.no_grad()
    def _average(self) -> None:
        for name, average in self.averages.items():
            for mean, parameter in zip(average.parameters(), self.networks[name].parameters(), strict=True):
                mean.copy_(torch.lerp(parameter, mean, self.options.ema_decay))


def bce(logits: Tensor, target: float) -> Tensor:
    """Binary cross-entropy of logits."""
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, target))


class TwoLatents(StarGAN2Trainer):
    """The trainer with given latents: the first, and the second."""

    given: tuple[Tensor, Tensor]
    drawn: int = 0

    def latents(self, count: int, like: Tensor) -> Tensor:
        self.drawn += 1
        return self.given[(self.drawn - 1) % 2][:count].to(like.device)


class Batch:
    """One batch, as the engine's source of samples."""

    def __init__(self, batch: Mapping[str, Tensor]) -> None:
        self.batch = batch

    def draw(self, position: int) -> Mapping[str, Tensor]:
        return {name: values[position] for name, values in self.batch.items()}

    def preview(self, count: int) -> Mapping[str, Tensor]:
        return {name: values[:count] for name, values in self.batch.items()}

    def describe(self) -> Mapping[str, int]:
        return {"all": len(self.batch["image"])}


def make_batch(config: Config, count: int) -> dict[str, Tensor]:
    """Random pictures of random domains."""
    side, names = config.image_size, ("image", "reference", "other_reference")
    batch = {name: torch.rand(count, 3, side, side) * 2 - 1 for name in names}
    return (
        batch
        | {name: torch.arange(count) % len(config.domains) for name in ("domain",)}
        | {"reference_domain": (torch.arange(count) + 1) % len(config.domains)}
    )


def test_one_step_gives_what_the_releases_order_gives() -> None:
    torch.manual_seed(0)
    config = Config(
        image_size=32, channel_base=256, max_channels=16, latent_length=4, style_length=6, mapping_channels=8
    )
    ours = TwoLatents(StarGAN2(config), Options(batch_size=3))
    # In twice the precision, where no step by the sign of a gradient turns round.
    for network in ours.networks.values():
        network.double()
    batch = {n: t.double() if t.is_floating_point() else t for n, t in make_batch(config, 3).items()}
    ours.given = (torch.randn(3, 4).double(), torch.randn(3, 4).double())
    theirs = OfficialOrder(copy.deepcopy(ours))
    with plain_convolutions():
        expected = theirs.step(batch, *ours.given)
    engine = Engine(cast("Trainer[Record]", ours), Batch(batch), accelerator=open_accelerator("cpu"))
    report = next(report for report in engine.phases() if report.step_complete)
    assert {name: report.values[name] for name in expected} == pytest.approx(expected, rel=1e-5)
    for name, network in theirs.networks.items():
        for key, tensor in network.state_dict().items():
            torch.testing.assert_close(ours.networks[name].state_dict()[key], tensor, rtol=0, atol=2e-6)
    for name, average in theirs.averages.items():
        for key, tensor in average.state_dict().items():
            torch.testing.assert_close(engine.averages.tensors[name][key], tensor, rtol=0, atol=2e-9)
