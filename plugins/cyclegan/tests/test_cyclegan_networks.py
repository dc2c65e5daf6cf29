from __future__ import annotations

import pytest
import torch
from torch import nn

from i2i_plugin_cyclegan.config import PRESETS, Config
from i2i_plugin_cyclegan.model import CycleGAN
from i2i_runtime import ImageInput
from i2i_toolkit import PatchDiscriminator, make_generator

TINY = Config(image_size=16, channels=2, res_blocks=1)


def parameter_count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("preset", "count"), [("resnet_9blocks", 11_378_179), ("resnet_6blocks", 7_837_699), ("unet_256", 54_409_603)]
)
def test_generators_have_the_releases_number_of_parameters(preset: str, count: int) -> None:
    with torch.device("meta"):
        assert parameter_count(make_generator(PRESETS[preset].architecture, 3, 3)) == count


def test_the_discriminator_has_the_releases_number_of_parameters() -> None:
    with torch.device("meta"):
        assert parameter_count(PatchDiscriminator(3, 64, 3, "instance")) == 2_764_737


def test_a_patch_of_70_pixels_decides_on_a_score() -> None:
    discriminator = PatchDiscriminator(3, 4, 3, "none")  # a norm would join all patches
    image = torch.rand(1, 3, 256, 256, requires_grad=True)
    scores = discriminator(image)
    assert scores.shape == (1, 1, 30, 30)
    (gradient,) = torch.autograd.grad(scores[0, 0, 15, 15], image)
    rows, columns = gradient[0].abs().sum(0).nonzero().T
    assert (int(rows.max() - rows.min()) + 1, int(columns.max() - columns.min()) + 1) == (70, 70)


@pytest.mark.parametrize("size", [(8, 8), (12, 20), (16, 16)])
def test_the_translation_has_the_size_of_the_image(size: tuple[int, int]) -> None:
    assert make_generator(TINY.architecture, 3, 1)(torch.rand(2, 3, *size)).shape == (2, 1, *size)


def test_images_of_a_batch_do_not_see_each_other() -> None:
    generator, images = make_generator(TINY.architecture, 3, 3), torch.rand(3, 3, 16, 16)
    one_by_one = torch.cat([generator(image[None]) for image in images])
    torch.testing.assert_close(generator(images), one_by_one, rtol=0, atol=1e-6)


def test_a_grey_domain_takes_an_image_in_colour_where_the_other_is_in_colour() -> None:
    model = CycleGAN(TINY.model_copy(update={"channels_b": 1}))
    graphs, image = model.graphs(), 2 * torch.rand(2, 3, 16, 16) - 1
    (taken, *_) = model.operations()[0].inputs
    assert isinstance(taken, ImageInput)
    assert taken.channels == 3
    assert [graph.module(image).shape[1] for graph in graphs.values()] == [1, 3]
    grey = (image * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(1, keepdim=True)
    found, expected = graphs["b_to_a"].module(image), model.generators["b_to_a"](grey)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("channels_a", "channels_b"), [(3, 6), (4, 1)])
def test_domains_that_no_image_serves_are_refused_with_what_to_do(channels_a: int, channels_b: int) -> None:
    sizes = TINY.model_dump() | {"channels_a": channels_a, "channels_b": channels_b}
    with pytest.raises(ValueError, match="directions=a_to_b"):
        Config.model_validate(sizes)
    assert Config.model_validate(sizes | {"directions": "a_to_b"}).image_channels == channels_a


@pytest.mark.parametrize("channels", [2, 4, 6])
@pytest.mark.parametrize("generator", ["resnet", "unet"])
def test_images_have_any_number_of_channels(generator: str, channels: int) -> None:
    changes = {"generator": generator, "channels_a": channels, "channels_b": channels, "image_size": 32, "levels": 5}
    model = CycleGAN(Config.model_validate(TINY.model_dump() | changes))
    for graph in model.graphs().values():
        assert graph.module(torch.rand(1, channels, 32, 32)).shape == (1, channels, 32, 32)


def test_with_batch_norm_there_are_two_ways_to_translate() -> None:
    model = CycleGAN(TINY.model_copy(update={"norm": "batch"}))
    (operation,) = model.operations()
    assert [value.name for value in operation.inputs] == ["image", "domain", "behaviour"]
    generator, translation = model.generators["a_to_b"], model.graphs()["a_to_b"].module
    images = torch.rand(3, 3, 16, 16)
    generator.train()(images)  # running statistics that are not those of an image
    found = [translation(images, torch.full((3,), index)) for index in range(2)]
    torch.testing.assert_close(found[1], generator.eval()(images), rtol=0, atol=1e-5)
    # Training mode with one image in the batch is what the authors' test script does.
    as_tested = torch.cat([generator.train()(image[None]) for image in images])
    torch.testing.assert_close(found[0], as_tested, rtol=0, atol=1e-5)


def test_a_model_of_one_direction_has_no_choice_of_domain() -> None:
    (operation,) = CycleGAN(TINY.model_copy(update={"directions": "a_to_b"})).operations()
    assert [value.name for value in operation.inputs] == ["image"]
    assert [step.graph for step in operation.steps] == ["a_to_b"]


def test_two_domains_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="two different ones"):
        Config(domains=("horse", "horse"))


@pytest.mark.parametrize(("generator", "size"), [("resnet", 30), ("resnet", 4), ("unet", 100), ("unet", 128)])
def test_a_size_that_the_generator_cannot_take_is_refused(generator: str, size: int) -> None:
    with pytest.raises(ValueError, match=f"image_size is {size}; this generator takes multiples of"):
        Config.model_validate({"generator": generator, "image_size": size})
