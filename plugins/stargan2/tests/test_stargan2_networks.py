from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from i2i_plugin_stargan2.config import PRESETS, Config
from i2i_plugin_stargan2.networks import Discriminator, Generator, HighPass, MappingNetwork, StyleEncoder, pick
from i2i_plugin_stargan2.networks.face import enhanced, face_masks, landmarks, rolled
from i2i_plugin_stargan2.networks.fan import FaceAlignmentNetwork
from i2i_plugin_stargan2.networks.layers import AdaIN, downsampled, downsampled_conv, upsampled, upsampled_conv

TINY = Config(image_size=32, channel_base=128, max_channels=8, latent_dim=4, style_dim=6, mapping_channels=8)
FACES = TINY.model_copy(update={"image_size": 64, "channel_base": 256, "high_pass": 1.0, "fan_channels": 2})


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


# --- Sizes ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "plain", "detailed", "style_encoder", "discriminator"),
    [
        (128, 33_632_003, 43_206_403, 20_832_576, 20_735_619),
        (256, 33_892_995, 43_467_395, 20_949_760, 20_852_803),
        (512, 33_964_099, 43_538_499, 20_978_656, 20_881_699),
    ],
)
def test_the_networks_have_as_many_parameters_as_the_releases(
    size: int, plain: int, detailed: int, style_encoder: int, discriminator: int
) -> None:
    config = PRESETS["afhq"].model_copy(update={"image_size": size})
    with torch.device("meta"):
        assert count(Generator(config)) == plain
        assert count(Generator(config.model_copy(update={"high_pass": 1.0}))) == detailed
        assert count(StyleEncoder(config)) == style_encoder
        assert count(Discriminator(config)) == discriminator
        assert count(MappingNetwork(config)) == 3_259_072


def test_the_landmark_network_has_as_many_parameters_as_the_releases() -> None:
    with torch.device("meta"):
        assert count(FaceAlignmentNetwork(64)) == 6_333_603


def test_images_that_are_not_square_keep_their_shape() -> None:
    made = Generator(TINY)(torch.rand(2, 3, 32, 48), torch.rand(2, 6))
    assert made.shape == (2, 3, 32, 48)


# --- Layers against their definitions ---------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(2, 3, 4, 6), (1, 3, 2, 2)])
def test_a_halved_convolution_is_the_convolution_and_then_the_mean(shape: tuple[int, ...]) -> None:
    conv, x = nn.Conv2d(3, 5, 3, padding=1).double(), torch.rand(shape, dtype=torch.float64)
    torch.testing.assert_close(downsampled_conv(x, conv), downsampled(conv(x)))


@pytest.mark.parametrize("shape", [(2, 3, 4, 6), (1, 3, 1, 1)])
def test_a_doubled_convolution_is_the_convolution_of_the_doubled_map(shape: tuple[int, ...]) -> None:
    conv, x = nn.Conv2d(3, 5, 3, padding=1).double(), torch.rand(shape, dtype=torch.float64)
    torch.testing.assert_close(upsampled_conv(x, conv), conv(upsampled(x)))


def test_a_style_of_nothing_leaves_the_normalised_map() -> None:
    norm, x = AdaIN(4, 3), torch.rand(2, 3, 8, 8)
    nn.init.zeros_(norm.affine.bias)
    torch.testing.assert_close(norm(x, torch.zeros(2, 4)), F.instance_norm(x))


def test_each_sample_gets_the_entry_of_its_domain() -> None:
    values = torch.arange(12.0).reshape(2, 3, 2)
    assert pick(values, torch.tensor([2, 0])).tolist() == [[4, 5], [6, 7]]


def test_only_heads_of_domains_that_occur_learn_but_all_have_a_gradient() -> None:
    network = MappingNetwork(TINY)
    network(torch.rand(2, 4), torch.tensor([1, 1])).sum().backward()
    gradients = [[p.grad for p in head.parameters()] for head in network.heads]
    assert all(gradient is not None for head in gradients for gradient in head)
    assert [any(bool(g.any()) for g in head if g is not None) for head in gradients] == [False, True, False]


def test_the_high_pass_filter_sees_no_even_surface() -> None:
    filtered = HighPass(2.0)(torch.full((1, 2, 5, 5), 3.0))
    assert not filtered[:, :, 1:-1, 1:-1].any()
    point = torch.zeros(1, 1, 3, 3)
    point[0, 0, 1, 1] = 1.0
    assert HighPass(2.0)(point)[0, 0, 1, 1] == 4.0


def test_details_pass_where_the_masks_let_them() -> None:
    generator, x, style = Generator(FACES), torch.rand(1, 3, 64, 64), torch.rand(1, 6)
    closed, opened = torch.zeros(1, 1, 256, 256), torch.ones(1, 1, 256, 256)
    without = generator(x, style)
    torch.testing.assert_close(generator(x, style, closed, closed), without)
    assert not torch.allclose(generator(x, style, opened, closed), without)
    assert not torch.allclose(generator(x, style, closed, opened), without)


# --- Faces ------------------------------------------------------------------------------------------------------------


def bump(channel: int, row: int, column: int) -> Tensor:
    heatmaps = torch.zeros(1, 98, 64, 64)
    heatmaps[0, channel, row, column] = 1.0
    return heatmaps


def test_an_untrained_landmark_network_sees_nothing() -> None:
    whole, inner = face_masks(FaceAlignmentNetwork(2)(torch.rand(1, 3, 64, 64) * 2 - 1))
    assert not whole.any()
    assert not inner.any()


def test_faint_heat_is_nothing_and_the_rest_reaches_from_0_to_1() -> None:
    heatmaps = bump(0, 10, 10) * 0.5 + bump(0, 40, 40) * 0.09 + bump(1, 5, 5) * 0.09
    strong, faint = enhanced(heatmaps)[0, :2]
    assert strong.max() == pytest.approx(1.0, abs=1e-4)
    assert strong[100:].max() == 0
    assert not faint.any()


def test_rolling_down_moves_content_to_larger_rows() -> None:
    plane = torch.arange(4.0)[None, :, None]
    assert rolled(plane, 1).flatten().tolist() == [3, 0, 1, 2]
    assert rolled(plane, -1).flatten().tolist() == [1, 2, 3, 0]


@pytest.mark.parametrize(
    ("channel", "in_whole", "in_inner"), [(3, False, False), (10, True, False), (51, True, True), (90, True, False)]
)
def test_outline_and_mouth_are_in_the_first_mask_only(channel: int, *, in_whole: bool, in_inner: bool) -> None:
    whole, inner = face_masks(bump(channel, 30, 30))
    assert (bool(whole.any()), bool(inner.any())) == (in_whole, in_inner)


def test_a_landmark_is_found_a_quarter_step_towards_its_hotter_neighbour() -> None:
    heatmaps = bump(0, 20, 30) + 0.5 * bump(0, 20, 31) + 0.5 * bump(0, 19, 30)
    column, row = landmarks(heatmaps)[0, 0].tolist()
    assert (column, row) == ((30 + 1 + 0.25 - 0.5) * 4, (20 + 1 - 0.25 - 0.5) * 4)


def test_a_landmark_at_the_border_stays_where_it_is_hottest() -> None:
    assert landmarks(bump(0, 0, 63) + 0.5 * bump(0, 1, 63))[0, 0].tolist() == [(63 + 0.5) * 4, 0.5 * 4]
