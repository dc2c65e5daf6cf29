"""StarGAN v2 in plain eager torch, written and stepped in the order of the authors' release.

Written from the facts of clovaai/stargan-v2 (module names, shapes, order of operations), without the high-pass path.
Every phase makes its own styles and translations from the image on, gradients flow wherever they can, the second
translation of a pair has a graph that nobody uses, and convolutions stand beside the change of size, not in it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from . import Inference, OfficialLoop, Paper, Size, Training, copy_weights, images

if TYPE_CHECKING:
    from i2i_plugin_stargan2.config import Config
    from i2i_registry.interfaces.model import Model
    from i2i_registry.interfaces.official import NameTable
    from i2i_registry.interfaces.trainer import AnyTrainer
    from i2i_runtime.records import Record

TRAINED_SIDE = {"full": 128, "small": 32}
SHOWN_SIDE = {"full": 256, "small": 32}
CHANNEL_BASE = {"full": 2**14, "small": 2**9}
WIDEST = {"full": 512, "small": 32}
HIDDEN = {"full": 512, "small": 16}
"""of the mapping network"""
DOMAINS = 3
LATENT, STYLE = 16, 64
BATCH = {"full": 2, "small": 3}
R1, STYLE_L1, DIVERSITY, CYCLE = 1.0, 1.0, 2.0, 1.0
"""weights of the losses at the first step; those of the adversarial ones are 1"""
DIVERSITY_STEPS = 100_000
EMA = 0.999
RATE, MAPPING_RATE = 1e-4, 1e-6


class ResBlk(nn.Module):
    """Two convolutions beside a shortcut, each before the downsampling."""

    def __init__(self, c_in: int, c_out: int, *, norms: bool = False, downsamples: bool = False) -> None:
        super().__init__()
        self.downsamples = downsamples
        self.conv1, self.conv2 = nn.Conv2d(c_in, c_in, 3, 1, 1), nn.Conv2d(c_in, c_out, 3, 1, 1)
        self.norm1, self.norm2 = (nn.InstanceNorm2d(c_in, affine=True) if norms else nn.Identity() for _ in range(2))
        self.conv1x1 = nn.Identity() if c_in == c_out else nn.Conv2d(c_in, c_out, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the scaled sum of both ways."""
        beside, inner = self.conv1x1(x), self.conv1(F.leaky_relu(self.norm1(x), 0.2))
        if self.downsamples:
            beside, inner = F.avg_pool2d(beside, 2), F.avg_pool2d(inner, 2)
        return (beside + self.conv2(F.leaky_relu(self.norm2(inner), 0.2))) / 2**0.5


class AdaIN(nn.Module):
    """Instance norm whose scale and offset are linear in the style."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.InstanceNorm2d(channels)
        self.fc = nn.Linear(STYLE, 2 * channels)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """Normalise, scale and shift."""
        gamma, beta = self.fc(style)[:, :, None, None].chunk(2, 1)
        return (1 + gamma) * self.norm(x) + beta


class AdainResBlk(nn.Module):
    """Two styled convolutions beside a shortcut, both behind the upsampling."""

    def __init__(self, c_in: int, c_out: int, *, upsamples: bool = False) -> None:
        super().__init__()
        self.upsamples = upsamples
        self.conv1, self.conv2 = nn.Conv2d(c_in, c_out, 3, 1, 1), nn.Conv2d(c_out, c_out, 3, 1, 1)
        self.norm1, self.norm2 = AdaIN(c_in), AdaIN(c_out)
        self.conv1x1 = nn.Identity() if c_in == c_out else nn.Conv2d(c_in, c_out, 1, bias=False)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """Return the scaled sum of both ways."""
        inner = F.leaky_relu(self.norm1(x, style), 0.2)
        if self.upsamples:
            x, inner = (F.interpolate(each, scale_factor=2, mode="nearest") for each in (x, inner))
        inner = self.conv2(F.leaky_relu(self.norm2(self.conv1(inner), style), 0.2))
        return (inner + self.conv1x1(x)) / 2**0.5


def widths(size: Size, side: int, deepest: int) -> list[int]:
    """Channels of the maps from `side` down to `deepest`."""
    first = CHANNEL_BASE[size] // side
    return [min(first * 2**n, max(first, WIDEST[size])) for n in range((side // deepest).bit_length())]


class Generator(nn.Module):
    """The generator."""

    def __init__(self, size: Size, side: int) -> None:
        super().__init__()
        sizes = widths(size, side, 16)
        deep = [(sizes[-1], sizes[-1])] * 2
        self.from_rgb = nn.Conv2d(3, sizes[0], 3, 1, 1)
        down = [ResBlk(c, k, norms=True, downsamples=True) for c, k in pairwise(sizes)]
        self.encode = nn.ModuleList([*down, *(ResBlk(c, k, norms=True) for c, k in deep)])
        up = [AdainResBlk(k, c, upsamples=True) for c, k in reversed(list(pairwise(sizes)))]
        self.decode = nn.ModuleList([*(AdainResBlk(c, k) for c, k in deep), *up])
        norm = nn.InstanceNorm2d(sizes[0], affine=True)
        self.to_rgb = nn.Sequential(norm, nn.LeakyReLU(0.2), nn.Conv2d(sizes[0], 3, 1))

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """Return the translated image."""
        x = self.from_rgb(x)
        for block in self.encode:
            x = block(x)
        for block in self.decode:
            x = block(x, style)
        return self.to_rgb(x)


class MappingNetwork(nn.Module):
    """Latent -> style."""

    def __init__(self, hidden: int) -> None:
        super().__init__()
        self.shared = nn.Sequential(*layers(LATENT, hidden, hidden, hidden, hidden), nn.ReLU())
        heads = (nn.Sequential(*layers(hidden, hidden, hidden, hidden, STYLE)) for _ in range(DOMAINS))
        self.unshared = nn.ModuleList(heads)

    def forward(self, z: Tensor, domain: Tensor) -> Tensor:
        """Through all heads, of which one is picked."""
        hidden = self.shared(z)
        return torch.stack([head(hidden) for head in self.unshared], 1)[range(len(domain)), domain]


def layers(*lengths: int) -> Iterator[nn.Module]:
    """Linear layers, with an activation between two."""
    for number, (length_in, length_out) in enumerate(pairwise(lengths)):
        if number:
            yield nn.ReLU()
        yield nn.Linear(length_in, length_out)


def trunk(size: Size, side: int, *last: nn.Module) -> nn.Sequential:
    """Return what style encoder and discriminator have in common, and `last`."""
    sizes = widths(size, side, 4)
    blocks = [ResBlk(c, k, downsamples=True) for c, k in pairwise(sizes)]
    end = [nn.LeakyReLU(0.2), nn.Conv2d(sizes[-1], sizes[-1], 4), nn.LeakyReLU(0.2)]
    return nn.Sequential(nn.Conv2d(3, sizes[0], 3, 1, 1), *blocks, *end, *last)


class StyleEncoder(nn.Module):
    """Image -> style."""

    def __init__(self, size: Size, side: int) -> None:
        super().__init__()
        self.shared = trunk(size, side)
        self.unshared = nn.ModuleList([nn.Linear(widths(size, side, 4)[-1], STYLE) for _ in range(DOMAINS)])

    def forward(self, x: Tensor, domain: Tensor) -> Tensor:
        """Through all heads, of which one is picked."""
        hidden = self.shared(x).flatten(1)
        return torch.stack([head(hidden) for head in self.unshared], 1)[range(len(domain)), domain]


class Discriminator(nn.Module):
    """Image -> a logit."""

    def __init__(self, size: Size, side: int) -> None:
        super().__init__()
        self.main = trunk(size, side, nn.Conv2d(widths(size, side, 4)[-1], DOMAINS, 1))

    def forward(self, x: Tensor, domain: Tensor) -> Tensor:
        """Return that of the domain."""
        return self.main(x).flatten(1)[range(len(domain)), domain]


class Translator(nn.Module):
    """The networks that make images, and an image in the style of another."""

    def __init__(self, size: Size, side: int) -> None:
        super().__init__()
        self.generator, self.mapping_network = Generator(size, side), MappingNetwork(HIDDEN[size])
        self.style_encoder = StyleEncoder(size, side)

    def forward(self, image: Tensor, reference: Tensor, domain: Tensor) -> Tensor:
        """Return the translated image."""
        return self.generator(image, self.style_encoder(reference, domain))


def latents() -> Iterator[Tensor]:
    """Yield the same ones for both sides."""
    generator = torch.Generator().manual_seed(3)
    while True:
        yield torch.randn(8, LATENT, generator=generator)


def against(logits: Tensor, target: float) -> Tensor:
    """Binary cross-entropy of logits."""
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, target))


class Loop:
    """One iteration: four updates, and the averages."""

    def __init__(self, size: Size) -> None:
        torch.manual_seed(0)
        self.networks = Translator(size, TRAINED_SIDE[size])
        self.networks.add_module("discriminator", Discriminator(size, TRAINED_SIDE[size]))
        for module in self.networks.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        self.nets = dict(self.networks.named_children())
        self.averages = {name: copy.deepcopy(net) for name, net in self.nets.items() if name != "discriminator"}
        rates = dict.fromkeys(self.nets, RATE) | {"mapping_network": MAPPING_RATE}
        self.optimizers = {
            name: torch.optim.Adam(net.parameters(), rates[name], (0.0, 0.99), weight_decay=1e-4)
            for name, net in self.nets.items()
        }
        self.diversity, self.latents = DIVERSITY, latents()

    def step(self, batch: Mapping[str, Tensor]) -> dict[str, float]:
        """Train for one iteration."""
        image, target, found = batch["image"], batch["reference_domain"], dict[str, float]()
        references = (batch["reference"], batch["other_reference"])
        zs = [next(self.latents)[: len(image)].to(image) for _ in references]
        generator, mapping, encoder = (self.nets[n] for n in ("generator", "mapping_network", "style_encoder"))
        with torch.no_grad():
            fake = generator(image, mapping(zs[0], target))
        self.learn("discriminator_latent", ["discriminator"], self.discriminator_losses(batch, fake), found)
        with torch.no_grad():
            fake = generator(image, encoder(references[0], target))
        self.learn("discriminator_reference", ["discriminator"], self.discriminator_losses(batch, fake), found)
        terms = self.generator_losses(batch, *(mapping(z, target) for z in zs))
        self.learn("generator_latent", ["generator", "mapping_network", "style_encoder"], terms, found)
        terms = self.generator_losses(batch, *(encoder(reference, target) for reference in references))
        self.learn("generator_reference", ["generator"], terms, found)
        self.average()
        self.diversity -= DIVERSITY / DIVERSITY_STEPS
        return found

    def learn(self, phase: str, names: Sequence[str], terms: Mapping[str, Tensor], found: dict[str, float]) -> None:
        """One update."""
        for optimizer in self.optimizers.values():
            optimizer.zero_grad()
        torch.stack([*terms.values()]).sum().backward()
        for name in names:
            self.optimizers[name].step()
        found.update({f"{phase}/{name}": term.item() for name, term in terms.items()})

    def discriminator_losses(self, batch: Mapping[str, Tensor], fake: Tensor) -> dict[str, Tensor]:
        """Return the discriminator's losses."""
        real = batch["image"].detach().requires_grad_()
        logits = self.nets["discriminator"](real, batch["domain"])
        (slope,) = torch.autograd.grad(logits.sum(), real, create_graph=True, retain_graph=True)
        return {
            "real": against(logits, 1.0),
            "fake": against(self.nets["discriminator"](fake, batch["reference_domain"]), 0.0),
            "r1": R1 * 0.5 * slope.pow(2).view(len(real), -1).sum(1).mean(),
        }

    def generator_losses(self, batch: Mapping[str, Tensor], style: Tensor, other_style: Tensor) -> dict[str, Tensor]:
        """Return the generator's losses."""
        image, target, generator = batch["image"], batch["reference_domain"], self.nets["generator"]
        fake = generator(image, style)
        adversarial = against(self.nets["discriminator"](fake, target), 1.0)
        found = self.nets["style_encoder"](fake, target)
        other = generator(image, other_style).detach()
        back = generator(fake, self.nets["style_encoder"](image, batch["domain"]))
        return {
            "adversarial": adversarial,
            "style": STYLE_L1 * (found - style).abs().mean(),
            "diversity": -self.diversity * (fake - other).abs().mean(),
            "cycle": CYCLE * (back - image).abs().mean(),
        }

    @torch.no_grad()
    def average(self) -> None:
        """Move the averages."""
        for name, average in self.averages.items():
            for mean, parameter in zip(average.parameters(), self.nets[name].parameters(), strict=True):
                mean.copy_(torch.lerp(parameter, mean, EMA))


def references(size: Size) -> dict[str, Tensor]:
    """Return an image, and another one to translate it like."""
    return {**images(["image", "reference"], 1, SHOWN_SIDE[size]), "domain": torch.tensor([1])}


def batch(size: Size) -> dict[str, Tensor]:
    """Images of one domain each, and pairs of references of the next."""
    count = BATCH[size]
    made = images(["image", "reference", "other_reference"], count, TRAINED_SIDE[size])
    domain = torch.arange(count) % DOMAINS
    return {**made, "domain": domain, "reference_domain": (domain + 1) % DOMAINS}


# --- Ours -------------------------------------------------------------------------------------------------------------


def table(config: Config) -> NameTable:
    """Return the plugin's table of names, and what it leaves out: the discriminator."""
    from i2i_plugin_stargan2.official import CLOVA_FORMAT, trunk_table

    blocks = len(config.trunk_widths) - 1
    logits = {f"discriminator.main.{blocks + 4}": "discriminator.to_logits"}
    return {**logits, **trunk_table("discriminator.main", "discriminator.trunk", blocks), **CLOVA_FORMAT.table(config)}


def our_config(size: Size, side: int) -> Config:
    """Return the release's sizes for images of this size, or small ones."""
    from i2i_plugin_stargan2.config import Config

    return Config(
        image_size=side, channel_base=CHANNEL_BASE[size], max_channels=WIDEST[size], mapping_channels=HIDDEN[size]
    )


def our_trainer(size: Size, loop: OfficialLoop) -> AnyTrainer:
    """With the weights of the loop, and latents that are drawn as there."""
    from i2i_plugin_stargan2.model import StarGAN2
    from i2i_plugin_stargan2.trainer import Options, StarGAN2Trainer

    class SameLatents(StarGAN2Trainer):
        """Takes its latents from where the loop takes them."""

        drawn = latents()

        def latents(self, count: int, like: Tensor) -> Tensor:
            """Return the next ones."""
            return next(self.drawn)[:count].to(like)

    side, options = TRAINED_SIDE[size], Options(batch_size=BATCH[size], diversity_steps=DIVERSITY_STEPS)
    trainer = SameLatents(StarGAN2(our_config(size, side)), options)
    copy_weights(cast("Loop", loop).networks.state_dict(), table(trainer.model.config), trainer.all_networks)
    return trainer


def our_model(size: Size, eager: nn.Module) -> Model[Record]:
    """With the same weights."""
    from i2i_plugin_stargan2.model import StarGAN2

    model = StarGAN2(our_config(size, SHOWN_SIDE[size]))
    copy_weights(eager.state_dict(), table(model.config), model.networks)
    return model


PAPER = Paper(
    title="StarGAN v2",
    inference=Inference(
        target=1.6,
        inputs=references,
        eager=lambda size: Translator(size, SHOWN_SIDE[size]),
        ours=our_model,
        operation="translate_like",
        in_common={"reference": "", "domain": "dog"},
    ),
    training=Training(
        target=1.3,
        batch=batch,
        official=Loop,
        ours=our_trainer,
        judged=lambda loss: loss.startswith("discriminator_latent/"),
    ),
)
