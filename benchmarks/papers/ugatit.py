"""U-GAT-IT light in plain eager torch, written and stepped in the order of the official release.

Written from the facts of znxlwm/UGATIT-pytorch (module names, shapes, order of operations), so that its state dict
has the official keys and goes through the plugin's own import. What makes it slow is kept on purpose: instance and
layer statistics are taken separately, the fakes are computed twice a step and not detached, and gradients reach
networks whose gradients are thrown away.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, l1_loss, mse_loss
from torch.nn.utils import spectral_norm

from . import Inference, OfficialLoop, Paper, Size, Training, copy_weights, images

if TYPE_CHECKING:
    from i2i_plugin_ugatit.config import Config
    from i2i_registry.interfaces.model import Model
    from i2i_registry.interfaces.official import NameTable
    from i2i_registry.interfaces.trainer import AnyTrainer
    from i2i_runtime.records import Record

EPS = 1e-5
SIDE = {"full": 256, "small": 32}
CHANNELS = {"full": 64, "small": 4}
BLOCKS = {"full": 4, "small": 1}
"""residual blocks in the encoder, and as many in the decoder"""
LAYERS: Mapping[Size, Mapping[str, int]] = {"full": {"G": 7, "L": 5}, "small": {"G": 4, "L": 3}}
"""of the global and of the local discriminators"""


def conv_block(c_in: int, c_out: int, kernel: int, stride: int) -> list[nn.Module]:
    """Reflection pad and convolution without bias, as every generator convolution is."""
    pad = kernel // 2
    return [nn.ReflectionPad2d(pad), nn.Conv2d(c_in, c_out, kernel, stride, bias=False)]


class ResidualBlock(nn.Module):
    """Two convolutions with plain instance norm."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(
            *conv_block(channels, channels, 3, 1),
            nn.InstanceNorm2d(channels),
            nn.ReLU(inplace=True),
            *conv_block(channels, channels, 3, 1),
            nn.InstanceNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """x plus the block."""
        return x + self.conv_block(x)


def mixed_norm(x: Tensor, rho: Tensor) -> Tensor:
    """Instance and layer norm, each with its own pass over x, mixed by rho."""
    in_mean, in_var = x.mean(dim=(2, 3), keepdim=True), x.var(dim=(2, 3), keepdim=True)
    out_in = (x - in_mean) / torch.sqrt(in_var + EPS)
    ln_mean, ln_var = x.mean(dim=(1, 2, 3), keepdim=True), x.var(dim=(1, 2, 3), keepdim=True)
    out_ln = (x - ln_mean) / torch.sqrt(ln_var + EPS)
    share = rho.expand(x.shape[0], -1, -1, -1)
    return share * out_in + (1 - share) * out_ln


class AdaLIN(nn.Module):
    """Adaptive layer-instance norm."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.rho = nn.Parameter(torch.full((1, channels, 1, 1), 0.9))

    def forward(self, x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        """gamma and beta per sample and channel."""
        return mixed_norm(x, self.rho) * gamma[:, :, None, None] + beta[:, :, None, None]


class ILN(nn.Module):
    """Layer-instance norm with learned gamma and beta."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.rho = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.gamma = nn.Parameter(torch.ones(1, channels, 1, 1))
        self.beta = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """x normalised."""
        size = x.shape[0]
        return mixed_norm(x, self.rho) * self.gamma.expand(size, -1, -1, -1) + self.beta.expand(size, -1, -1, -1)


class AdaLINBlock(nn.Module):
    """Residual block of the decoder."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.pad = nn.ReflectionPad2d(1)
        self.conv1 = nn.Conv2d(channels, channels, 3, bias=False)
        self.norm1 = AdaLIN(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, bias=False)
        self.norm2 = AdaLIN(channels)

    def forward(self, x: Tensor, gamma: Tensor, beta: Tensor) -> Tensor:
        """x plus the block."""
        out = torch.relu(self.norm1(self.conv1(self.pad(x)), gamma, beta))
        return x + self.norm2(self.conv2(self.pad(out)), gamma, beta)


def attend(x: Tensor, logit_of: Mapping[str, nn.Module], weights: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Class-activation attention: [n, 2c, h, w] and the logits [n, 2]."""
    average = x.mean(dim=(2, 3))
    largest = x.amax(dim=(2, 3))
    logits = torch.cat([logit_of["gap"](average), logit_of["gmp"](largest)], 1)
    gap, gmp = (x * weight[:, :, None, None] for weight in weights)
    return torch.cat([gap, gmp], 1), logits


class ResnetGenerator(nn.Module):
    """The light generator."""

    def __init__(self, ngf: int, n_blocks: int) -> None:
        super().__init__()
        d = 4 * ngf
        down: list[nn.Module] = []
        for c_in, c_out, kernel, stride in ((3, ngf, 7, 1), (ngf, 2 * ngf, 3, 2), (2 * ngf, d, 3, 2)):
            down += [*conv_block(c_in, c_out, kernel, stride), nn.InstanceNorm2d(c_out), nn.ReLU(inplace=True)]
        self.DownBlock = nn.Sequential(*down, *(ResidualBlock(d) for _ in range(n_blocks)))
        self.gap_fc, self.gmp_fc = nn.Linear(d, 1, bias=False), nn.Linear(d, 1, bias=False)
        self.conv1x1 = nn.Conv2d(2 * d, d, 1)
        self.FC = nn.Sequential(
            nn.Linear(d, d, bias=False), nn.ReLU(inplace=True), nn.Linear(d, d, bias=False), nn.ReLU(inplace=True)
        )
        self.gamma, self.beta = nn.Linear(d, d, bias=False), nn.Linear(d, d, bias=False)
        self.n_blocks = n_blocks
        for number in range(1, n_blocks + 1):
            self.add_module(f"UpBlock1_{number}", AdaLINBlock(d))
        up: list[nn.Module] = []
        for c_in, c_out in ((d, 2 * ngf), (2 * ngf, ngf)):
            up += [nn.Upsample(scale_factor=2, mode="nearest"), *conv_block(c_in, c_out, 3, 1), ILN(c_out)]
            up += [nn.ReLU(inplace=True)]
        self.UpBlock2 = nn.Sequential(*up, *conv_block(ngf, 3, 7, 1), nn.Tanh())

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the image, the CAM logits and the heat map."""
        x = self.DownBlock(x)
        x, cam_logit = attend(x, {"gap": self.gap_fc, "gmp": self.gmp_fc}, (self.gap_fc.weight, self.gmp_fc.weight))
        x = torch.relu(self.conv1x1(x))
        heatmap = x.sum(dim=1, keepdim=True)
        code = self.FC(x.mean(dim=(2, 3)))
        gamma, beta = self.gamma(code), self.beta(code)
        for number in range(1, self.n_blocks + 1):
            x = self.get_submodule(f"UpBlock1_{number}")(x, gamma, beta)
        return self.UpBlock2(x), cam_logit, heatmap


class Translator(ResnetGenerator):
    """The generator without what only training needs."""

    def forward(self, x: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride] - a part of the base's
        """Return the image."""
        return super().forward(x)[0]


class Discriminator(nn.Module):
    """Global (7 layers) or local (5 layers) discriminator; torch's old spectral norm, as the release has it."""

    def __init__(self, ndf: int, n_layers: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        c_in, c_out = 3, ndf
        for number in range(n_layers - 1):
            stride = 1 if number == n_layers - 2 else 2
            conv = spectral_norm(nn.Conv2d(c_in, c_out, 4, stride))
            layers += [nn.ReflectionPad2d(1), conv, nn.LeakyReLU(0.2, inplace=True)]
            c_in, c_out = c_out, 2 * c_out
        self.model = nn.Sequential(*layers)
        self.gap_fc = spectral_norm(nn.Linear(c_in, 1, bias=False))
        self.gmp_fc = spectral_norm(nn.Linear(c_in, 1, bias=False))
        self.conv1x1 = nn.Conv2d(2 * c_in, c_in, 1)
        self.pad = nn.ReflectionPad2d(1)
        self.conv = spectral_norm(nn.Conv2d(c_in, 1, 4, bias=False))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Patch logits and CAM logits."""
        x = self.model(x)
        raw = (self.gap_fc.get_parameter("weight_orig"), self.gmp_fc.get_parameter("weight_orig"))
        x, cam_logit = attend(x, {"gap": self.gap_fc, "gmp": self.gmp_fc}, raw)
        x = nn.functional.leaky_relu(self.conv1x1(x), 0.2)
        return self.conv(self.pad(x)), cam_logit


def against(value: float, *logits: Tensor) -> Tensor:
    """Least-squares loss of every logit tensor, summed."""
    return torch.stack([mse_loss(logit, torch.full_like(logit, value)) for logit in logits]).sum()


def adam(parameters: Iterable[nn.Parameter]) -> torch.optim.Adam:
    """Return the release's optimizer."""
    return torch.optim.Adam(parameters, lr=1e-4, betas=(0.5, 0.999), weight_decay=1e-4)


class Loop:
    """Six networks and one official step."""

    def __init__(self, size: Size) -> None:
        torch.manual_seed(0)
        channels = CHANNELS[size]
        self.networks = nn.ModuleDict(
            {
                **{f"gen{way}": ResnetGenerator(channels, BLOCKS[size]) for way in ("A2B", "B2A")},
                **{f"dis{s}{d}": Discriminator(channels, LAYERS[size][s]) for s in "GL" for d in "AB"},
            }
        )
        generators, critics = (
            [self.networks[name].parameters() for name in self.networks if name.startswith(kind)]
            for kind in ("gen", "dis")
        )
        self.generator_optimizer = adam(chain(*generators))
        self.critic_optimizer = adam(chain(*critics))

    def step(self, batch: Mapping[str, Tensor]) -> dict[str, float]:
        """One update of the discriminators, then one of the generators."""
        critic_loss = self.critic_step(batch["A"], batch["B"])
        return {"discriminators": critic_loss, "generators": self.generator_step(batch["A"], batch["B"])}

    def critic_step(self, real_a: Tensor, real_b: Tensor) -> float:
        """Compute the fakes here, and again in the generators' step."""
        nets = self.networks
        self.critic_optimizer.zero_grad()
        fakes = {"A": nets["genB2A"](real_b)[0], "B": nets["genA2B"](real_a)[0]}
        reals = {"A": real_a, "B": real_b}
        names = ("GA", "LA", "GB", "LB")
        real_logits = {name: nets[f"dis{name}"](reals[name[1]]) for name in names}
        fake_logits = {name: nets[f"dis{name}"](fakes[name[1]]) for name in names}
        terms = [against(1.0, *real_logits[name]) + against(0.0, *fake_logits[name]) for name in names]
        loss = torch.stack(terms).sum()
        loss.backward()
        self.critic_optimizer.step()
        return loss.item()

    def generator_step(self, real_a: Tensor, real_b: Tensor) -> float:
        """Adversarial, cycle, identity and CAM losses; rho is clamped afterwards."""
        nets = self.networks
        self.generator_optimizer.zero_grad()
        fake_b, cam_ab, _ = nets["genA2B"](real_a)
        fake_a, cam_ba, _ = nets["genB2A"](real_b)
        back_a, back_b = nets["genB2A"](fake_b)[0], nets["genA2B"](fake_a)[0]
        same_a, cam_aa, _ = nets["genB2A"](real_a)
        same_b, cam_bb, _ = nets["genA2B"](real_b)
        fooled = [against(1.0, *nets[f"dis{name}"](fake_a)) for name in ("GA", "LA")]
        fooled += [against(1.0, *nets[f"dis{name}"](fake_b)) for name in ("GB", "LB")]
        cycle = l1_loss(back_a, real_a) + l1_loss(back_b, real_b)
        identity = l1_loss(same_a, real_a) + l1_loss(same_b, real_b)
        pairs = ((cam_ba, 1.0), (cam_aa, 0.0), (cam_ab, 1.0), (cam_bb, 0.0))
        cam = torch.stack([binary_cross_entropy_with_logits(c, torch.full_like(c, v)) for c, v in pairs]).sum()
        loss = torch.stack(fooled).sum() + 10 * cycle + 10 * identity + 1000 * cam
        loss.backward()
        self.generator_optimizer.step()
        for name, parameter in nets.named_parameters():
            if name.endswith(".rho"):
                parameter.data.clamp_(0, 1)
        return loss.item()


# --- Ours -------------------------------------------------------------------------------------------------------------

SPECTRAL = (("bias", "bias"), ("weight_orig", "weight"), ("weight_u", "spectral.u"), ("weight_v", "spectral.v"))
PARTS = {f"model.{1 + 3 * number}": f"layers.{number}" for number in range(6)} | {
    "gap_fc": "attention.average_head",
    "gmp_fc": "attention.maximum_head",
    "conv": "to_logits",
}


def table(config: Config) -> NameTable:
    """Return the plugin's table of names, and what it leaves out: the discriminators."""
    from i2i_plugin_ugatit.official import ZNXLWM_FORMAT

    inside = {f"{part}.{theirs}": f"{name}.{ours}" for part, name in PARTS.items() for theirs, ours in SPECTRAL}
    inside["conv1x1"] = "attention.merge"
    critics = {
        f"dis{scale[0].upper()}{domain.upper()}.{theirs}": f"{scale}_discriminator_{domain}.{ours}"
        for scale in ("global", "local")
        for domain in "ab"
        for theirs, ours in inside.items()
    }
    return {**critics, **ZNXLWM_FORMAT.table(config)}


def our_config(size: Size) -> Config:
    """Return the light model, or a small one."""
    from i2i_plugin_ugatit.config import Config

    return Config(image_size=SIDE[size], channels=CHANNELS[size], res_blocks=BLOCKS[size], pooled_style=True)


def our_trainer(size: Size, loop: OfficialLoop) -> AnyTrainer:
    """With the weights of the loop."""
    from i2i_plugin_ugatit.model import UGATIT
    from i2i_plugin_ugatit.trainer import Options, UGATITTrainer

    options = Options(global_layers=LAYERS[size]["G"], local_layers=LAYERS[size]["L"])
    trainer = UGATITTrainer(UGATIT(our_config(size)), options)
    copy_weights(cast("Loop", loop).networks.state_dict(), table(trainer.model.config), trainer.all_networks)
    return trainer


def summed(values: Mapping[str, float]) -> dict[str, float]:
    """Return the loss of each phase."""
    return {
        phase: sum(value for name, value in values.items() if name.startswith(f"{phase}/"))
        for phase in ("discriminators", "generators")
    }


def our_model(size: Size, eager: nn.Module) -> Model[Record]:
    """With the weights of the generator in both directions."""
    from i2i_plugin_ugatit.model import UGATIT

    model = UGATIT(our_config(size))
    state = {f"{name}.{key}": value for name in ("genA2B", "genB2A") for key, value in eager.state_dict().items()}
    copy_weights(state, table(model.config), model.networks)
    return model


PAPER = Paper(
    title="U-GAT-IT light",
    inference=Inference(
        target=2.0,
        inputs=lambda size: images(["image"], 1, SIDE[size]),
        eager=lambda size: Translator(CHANNELS[size], BLOCKS[size]),
        ours=our_model,
        labels={"domain": "B"},
    ),
    training=Training(
        target=1.5,
        batch=lambda size: images("AB", 1, SIDE[size]),
        official=Loop,
        ours=our_trainer,
        losses=summed,
    ),
)
