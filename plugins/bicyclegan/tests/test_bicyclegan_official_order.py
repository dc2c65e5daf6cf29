"""The yardstick: one training step of BicycleGAN in the order of the authors' release, eagerly.

Every style is translated in a pass of its own; there are two backward passes, the second through the generator's
translations once more and with the encoder frozen; four optimizers step one after the other. What it computes is what
`BicycleGANTrainer` computes, which the test at the end demands; a benchmark may load this file for `OfficialOrder`.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Adam

from i2i_plugin_bicyclegan.config import Config
from i2i_plugin_bicyclegan.model import BicycleGAN
from i2i_plugin_bicyclegan.networks import Encoding
from i2i_plugin_bicyclegan.trainer import BicycleGANTrainer, Options
from i2i_registry.trainer import Step


class OfficialOrder:
    """The networks of a trainer (two discriminators, unconditional), stepped in the release's order."""

    def __init__(self, trainer: BicycleGANTrainer) -> None:
        self.generator, self.encoder = trainer.generator, trainer.encoder
        self.judges = trainer.judges()
        self.options: Options = trainer.options
        rate, betas = trainer.options.learning_rate, trainer.options.betas
        learning: Mapping[str, nn.Module] = {"encoder": self.encoder, "generator": self.generator, **self.judges}
        self.optimizers = {name: Adam(net.parameters(), lr=rate, betas=betas) for name, net in learning.items()}

    def step(self, source: Tensor, target: Tensor, noise: Tensor, random: Tensor) -> dict[str, float]:
        """One update of all networks; `noise` is the encoder's draw, `random` the other latent, [batch / 2, z] each."""
        half = len(source) // 2
        first, first_target, second_target = source[:half], target[:half], target[half:]
        encoding = self.encoder(first_target)
        encoded = encoding.mean + noise * torch.exp(0.5 * encoding.log_variance)
        made = {"encoded": self.generator(first, encoded), "random": self.generator(first, random)}
        seen = self.encoder(made["random"]).mean
        terms = self._generator_losses(made, first_target, encoding)
        self._learn(["encoder", "generator"], terms, (seen - random).abs().mean())
        terms["latent"] = self.options.latent_weight * (seen - random).abs().mean()
        for style, real in (("encoded", first_target), ("random", second_target)):
            terms |= self._discriminator_step(style, made[style].detach(), real)
        return {name: float(term.detach()) for name, term in terms.items()}

    def _generator_losses(self, made: Mapping[str, Tensor], target: Tensor, encoding: Encoding) -> dict[str, Tensor]:
        for discriminator in self.judges.values():
            discriminator.requires_grad_(requires_grad=False)
        mean, log_variance = encoding
        return {
            "encoded_gan": self.options.encoded_gan_weight * mse(self.judges["encoded"](made["encoded"]), 1.0),
            "random_gan": self.options.random_gan_weight * mse(self.judges["random"](made["random"]), 1.0),
            "l1": self.options.l1_weight * F.l1_loss(made["encoded"], target),
            "kl": self.options.kl_weight * -0.5 * (1 + log_variance - mean.pow(2) - log_variance.exp()).sum(),
        }

    def _learn(self, names: Sequence[str], terms: Mapping[str, Tensor], latent: Tensor) -> None:
        for name in names:
            self.optimizers[name].zero_grad()
        torch.stack([*terms.values()]).sum().backward(retain_graph=True)
        self.encoder.requires_grad_(requires_grad=False)
        (self.options.latent_weight * latent).backward()
        self.encoder.requires_grad_(requires_grad=True)
        for name in names:
            self.optimizers[name].step()

    def _discriminator_step(self, style: str, fake: Tensor, real: Tensor) -> dict[str, Tensor]:
        discriminator = self.judges[style]
        discriminator.requires_grad_(requires_grad=True)
        self.optimizers[style].zero_grad()
        losses = {"fake": mse(discriminator(fake), 0.0), "real": mse(discriminator(real), 1.0)}
        torch.stack([*losses.values()]).sum().backward()
        self.optimizers[style].step()
        return {f"discriminator_{style}_{kind}": loss for kind, loss in losses.items()}


def mse(scales: Sequence[Tensor], target: float) -> Tensor:
    """Least-squares loss, summed over the scales."""
    return torch.stack([F.mse_loss(logits, torch.full_like(logits, target)) for logits in scales]).sum()


def make_trainer() -> BicycleGANTrainer:
    """A small trainer, off the release's start, which is so near zero that one could mistake rounding for it."""
    torch.manual_seed(0)
    config = Config(image_size=32, levels=5, channels=2, encoder_channels=2, latent_length=3)
    trainer = BicycleGANTrainer(BicycleGAN(config), Options(discriminator_channels=2, discriminator_layers=2))
    with torch.no_grad():
        for network in trainer.networks.values():
            for parameter in network.parameters():
                parameter.add_(torch.randn_like(parameter), alpha=0.2)
    return trainer


def test_one_backward_pass_gives_the_gradients_of_the_releases_order() -> None:
    ours = make_trainer()
    theirs = copy.deepcopy(ours)
    batch = {name: torch.rand(4, 3, 32, 32) * 2 - 1 for name in ("input", "target")}
    noise, random = torch.randn(2, 3), torch.randn(2, 3)
    losses = OfficialOrder(theirs).step(batch["input"], batch["target"], noise, random)
    draws = iter([noise, random])
    ours.noise = lambda _count, _like: next(draws)  # pyright: ignore[reportAttributeAccessIssue] - the draws of both
    terms = ours.terms(Step(number=1, batch=batch, shared={}))
    torch.stack([*terms.values()]).sum().backward()
    assert {name: float(term.detach()) for name, term in terms.items()} == pytest.approx(losses, rel=1e-5)
    for name, network in ours.networks.items():
        expected = {key: p.grad for key, p in theirs.networks[name].named_parameters()}
        largest = max(float(g.abs().max()) for g in expected.values() if g is not None)
        for key, parameter in network.named_parameters():
            torch.testing.assert_close(parameter.grad, expected[key], rtol=0, atol=1e-4 * largest)
