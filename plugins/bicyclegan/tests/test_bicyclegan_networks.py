from __future__ import annotations

import pytest
import torch
from torch import nn

from i2i_plugin_bicyclegan.config import Config
from i2i_plugin_bicyclegan.model import BicycleGAN
from i2i_plugin_bicyclegan.networks import Discriminator, Encoder, Generator, smallest_side

TINY = Config(image_size=32, levels=5, channels=2, encoder_channels=2, latent_dim=3)


def parameter_count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("config", "count"),
    [
        (Config(), 54_794_627),
        (Config(source_channels=1), 54_792_579),
        (Config(upsampling="bilinear"), 39_538_435),
        (Config(image_size=128, levels=7), 42_145_155),
        (Config(image_size=128, levels=7, source_channels=1), 42_143_107),
        (Config(latent_at="input"), 54_417_795),
        (Config(latent_at="input", upsampling="bilinear"), 39_161_603),
        (Config(image_size=128, levels=7, latent_at="input"), 41_833_859),
    ],
)
def test_the_generator_has_the_releases_number_of_parameters(config: Config, count: int) -> None:
    with torch.device("meta"):
        assert parameter_count(Generator(config)) == count


@pytest.mark.parametrize(
    ("config", "count"),
    [
        (Config(image_size=128, levels=7), 1_344_080),
        (Config(), 2_590_032),
        (Config(image_size=128, levels=7, encoder="cnn"), 1_711_824),
        (Config(encoder="cnn"), 2_760_656),
    ],
)
def test_the_encoder_has_the_releases_number_of_parameters(config: Config, count: int) -> None:
    with torch.device("meta"):
        assert parameter_count(Encoder(config)) == count


@pytest.mark.parametrize(("layers", "count"), [(2, 830_626), (3, 3_458_978)])
def test_the_discriminator_has_the_releases_number_of_parameters(layers: int, count: int) -> None:
    with torch.device("meta"):
        assert parameter_count(Discriminator(3, 64, layers, 2, "instance")) == count


def test_the_discriminators_see_patches_at_two_scales() -> None:
    with torch.device("meta"):
        logits = Discriminator(3, 64, 3, 2, "instance")(torch.empty(1, 3, 256, 256))
    assert [tuple(scale.shape[2:]) for scale in logits] == [(30, 30), (14, 14)]


@pytest.mark.parametrize(("layers", "scales"), [(1, 1), (2, 2), (3, 2), (3, 3)])
def test_the_smallest_image_leaves_one_logit_at_the_smallest_scale(layers: int, scales: int) -> None:
    side = smallest_side(layers, scales)
    discriminator = Discriminator(3, 2, layers, scales, "instance")
    assert discriminator(torch.rand(1, 3, side, side))[-1].shape[2:] == (1, 1)
    with pytest.raises((RuntimeError, ValueError)):
        discriminator(torch.rand(1, 3, side // 2, side // 2))


@pytest.mark.parametrize("latent_dim", [2, 8, 256])
@pytest.mark.parametrize("latent_at", ["all", "input"])
def test_latents_of_any_dim_choose_the_image(latent_dim: int, latent_at: str) -> None:
    torch.manual_seed(0)
    sizes = TINY.model_dump() | {"latent_dim": latent_dim, "latent_at": latent_at}
    model = BicycleGAN(Config.model_validate(sizes))
    assert model.encoder is not None
    image, latents = torch.rand(2, 3, 32, 32), torch.randn(2, latent_dim)
    assert model.encoder(image).mean.shape == (2, latent_dim)
    same = image[:1].expand(2, -1, -1, -1)
    first, second = model.generator(same, latents)
    assert not torch.equal(first, second)


def test_the_latent_enters_every_level() -> None:
    generator = Generator(TINY)
    entrances = [block.get_submodule("conv").get_parameter("weight").shape[1] for block in generator.down]
    assert entrances == [3 + 3, 2 + 3, 4 + 3, 8 + 3, 16 + 3]


def test_the_latent_enters_once_beside_the_image() -> None:
    generator = Generator(TINY.model_copy(update={"latent_at": "input"}))
    entrances = [block.get_submodule("conv").get_parameter("weight").shape[1] for block in generator.down]
    assert entrances == [3 + 3, 2, 4, 8, 16]


def test_the_generator_takes_multiples_of_its_innermost_pixel() -> None:
    generator = Generator(TINY).eval()
    assert generator(torch.rand(1, 3, 32, 96), torch.randn(1, 3)).shape == (1, 3, 32, 96)


def test_dropout_is_off_unless_a_trainer_switches_it_on() -> None:
    torch.manual_seed(0)
    generator = Generator(TINY.model_copy(update={"image_size": 64, "levels": 6})).train()
    inputs = torch.rand(1, 3, 64, 64), torch.randn(1, 3)
    assert torch.equal(generator(*inputs), generator(*inputs))
    generator.dropout.p = 0.5
    assert not torch.equal(generator(*inputs), generator(*inputs))
    generator.eval()
    assert torch.equal(generator(*inputs), generator(*inputs))


def test_weights_start_as_the_release_draws_them() -> None:
    torch.manual_seed(0)
    convolution = Generator(TINY.model_copy(update={"channels": 32})).down[3].get_submodule("conv")
    weight = convolution.get_parameter("weight").detach()
    fans = (weight.shape[0] + weight.shape[1]) * 16
    assert float(weight.std()) == pytest.approx(0.02 * (2 / fans) ** 0.5, rel=0.05)
    assert not convolution.get_parameter("bias").any()
