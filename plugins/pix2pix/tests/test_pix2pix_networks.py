from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from i2i_plugin_pix2pix.config import PRESETS, Config
from i2i_plugin_pix2pix.model import Pix2Pix
from i2i_plugin_pix2pix.networks import make_generator
from i2i_toolkit import TEST_TIME_BEHAVIOURS, Dropout, PatchDiscriminator, PixelDiscriminator, Translation

UNET = Config(image_size=64, depth=6, channels=2)
RESNET = Config(generator="resnet", image_size=16, depth=1, channels=2)
BOTH = pytest.mark.parametrize("config", [UNET, RESNET], ids=["unet", "resnet"])


def parameter_count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def used_generator(config: Config) -> nn.Module:
    """One whose running statistics are those of some images, and whose norms do not all start alike."""
    torch.manual_seed(0)
    generator = make_generator(config)
    for parameter in generator.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    for _ in range(3):
        generator(2 * torch.rand(2, config.input_channels, config.image_size, config.image_size) - 1)
    return generator.eval()


def image(config: Config, count: int = 1) -> Tensor:
    return 2 * torch.rand(count, config.input_channels, config.image_size, config.image_size) - 1


def translate(generator: nn.Module, config: Config, images: Tensor, behaviour: str, noise: Tensor) -> Tensor:
    translation = Translation(generator, config.dropout_shapes)  # pyright: ignore[reportArgumentType]
    index = torch.full((len(images),), TEST_TIME_BEHAVIOURS.index(behaviour))
    return translation(images, index, noise).detach()


def drawn_noise(config: Config, count: int = 1) -> Tensor:
    size = sum(channels * height * width for channels, height, width in config.dropout_shapes)
    return 2 * torch.rand(count, size) - 1


def doubled(_module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
    return 2 * output


@pytest.mark.parametrize(
    ("preset", "norm", "count"),
    [
        ("unet_256", "batch", 54_413_955),
        ("unet_128", "batch", 41_828_995),
        ("unet_256", "instance", 54_409_603),
        ("unet_128", "instance", 41_825_667),
        ("resnet_9blocks", "batch", 11_383_427),
        ("resnet_6blocks", "batch", 7_841_411),
        ("resnet_9blocks", "instance", 11_378_179),
        ("resnet_6blocks", "instance", 7_837_699),
    ],
)
def test_generators_have_the_releases_number_of_parameters(preset: str, norm: str, count: int) -> None:
    with torch.device("meta"):
        assert parameter_count(make_generator(PRESETS[preset].model_copy(update={"norm": norm}))) == count


def test_discriminators_have_the_releases_number_of_parameters() -> None:
    with torch.device("meta"):
        found = [parameter_count(PatchDiscriminator(6, 64, 3, norm)) for norm in ("batch", "instance")]
        found += [parameter_count(PixelDiscriminator(6, 64, norm)) for norm in ("batch", "instance")]
    assert found == [2_768_705, 2_767_809, 9_024, 8_897]


@pytest.mark.parametrize(("layers", "patch"), [(1, 16), (3, 70), (5, 286)])
def test_a_patch_of_the_papers_size_decides_on_a_logit(layers: int, patch: int) -> None:
    discriminator = PatchDiscriminator(1, 1, layers, "instance")
    discriminator.norms = nn.ModuleList(nn.Identity() for _ in discriminator.norms)
    pair = torch.rand(1, 1, 512, 512, requires_grad=True)
    logits = discriminator(pair)
    middle = logits.shape[-1] // 2
    (gradient,) = torch.autograd.grad(logits[0, 0, middle, middle], pair)
    rows = gradient[0, 0].abs().sum(1).nonzero()
    assert int(rows.max() - rows.min()) + 1 == patch


@BOTH
def test_as_in_the_paper_an_image_is_normalised_by_itself(config: Config) -> None:
    generator = used_generator(config)
    images = image(config, 3)
    found = translate(generator, config, images, "paper", torch.ones_like(drawn_noise(config, 3)))
    # Training mode with one image in the batch is what the authors' test script does; nothing is dropped where the
    # noise is 1, which leaves only the factor 2 on all values, put there by hand.
    for module in generator.modules():
        module.train(not isinstance(module, Dropout))
        if isinstance(module, Dropout):
            module.register_forward_hook(doubled)
    expected = torch.cat([generator(one[None]) for one in images])
    torch.testing.assert_close(found, expected.detach(), rtol=0, atol=2e-5)


@BOTH
def test_deterministically_it_is_evaluation_mode_whatever_the_noise(config: Config) -> None:
    generator = used_generator(config)
    images = image(config, 2)
    found = translate(generator, config, images, "deterministic", drawn_noise(config, 2))
    torch.testing.assert_close(found, generator(images).detach(), rtol=0, atol=2e-5)


@BOTH
def test_the_two_behaviours_and_two_noises_look_different(config: Config) -> None:
    generator, images = used_generator(config), image(config)
    noise = drawn_noise(config)
    first = translate(generator, config, images, "paper", noise)
    assert not torch.allclose(first, translate(generator, config, images, "deterministic", noise), atol=1e-3)
    assert not torch.allclose(first, translate(generator, config, images, "paper", -noise), atol=1e-4)


@BOTH
def test_images_of_a_batch_do_not_see_each_other(config: Config) -> None:
    generator, images, noise = used_generator(config), image(config, 2), drawn_noise(config, 2)
    together = translate(generator, config, images, "paper", noise)
    alone = [translate(generator, config, images[i : i + 1], "paper", noise[i : i + 1]) for i in range(2)]
    torch.testing.assert_close(together, torch.cat(alone), rtol=0, atol=2e-5)


def test_dropout_lies_where_the_release_has_it() -> None:
    assert PRESETS["unet_256"].dropout_shapes == ((512, 4, 4), (512, 8, 8), (512, 16, 16))
    assert PRESETS["unet_128"].dropout_shapes == ((512, 4, 4), (512, 8, 8))
    assert PRESETS["resnet_6blocks"].dropout_shapes == ((256, 64, 64),) * 6


def test_without_noise_and_batch_norm_there_is_nothing_to_choose() -> None:
    config = UNET.model_copy(update={"norm": "instance", "dropout": False})
    (operation,) = Pix2Pix(config).operations()
    assert [value.name for value in operation.inputs] == ["image"]
    assert config.any_size


@pytest.mark.parametrize("size", [100, 128, 3])
def test_a_size_that_the_u_net_cannot_halve_so_often_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="multiples of 256"):
        Config(image_size=size)
