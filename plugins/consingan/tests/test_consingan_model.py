from __future__ import annotations

import pytest
import torch

from i2i_plugin_consingan.config import PRESETS, Config, Mode
from i2i_plugin_consingan.model import INJECTION, PYRAMID, ConSinGAN
from i2i_plugin_consingan.networks.applications import BACKGROUNDS, Injection, Pyramid
from i2i_plugin_consingan.trainer import ConSinGANTrainer
from i2i_runtime import MaskInput, NoiseInput, Operation

TINY = Config(height=24, width=28, stages=3, coarsest=12, channels=4, layers=2)


def model(**changes: object) -> ConSinGAN:
    torch.manual_seed(0)
    made = ConSinGAN(TINY.model_copy(update=changes))
    for parameter in made.generator.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return made


def operation(made: ConSinGAN, name: str) -> Operation:
    return next(each for each in made.operations() if each.name == name)


@pytest.mark.parametrize(
    ("mode", "names", "graph"),
    [
        ("generation", ["sample", "reconstruct"], PYRAMID),
        ("retarget", ["sample", "reconstruct"], PYRAMID),
        ("animation", ["sample", "reconstruct", "animate"], PYRAMID),
        ("harmonization", ["harmonize"], INJECTION),
        ("editing", ["edit"], INJECTION),
    ],
)
def test_a_mode_decides_what_it_does(mode: Mode, names: list[str], graph: str) -> None:
    made = model(mode=mode)
    assert [each.name for each in made.operations()] == names
    assert list(made.graphs()) == [graph]


def test_presets_have_the_papers_values() -> None:
    harmonization = PRESETS["harmonization"]
    assert (harmonization.stages, harmonization.coarsest, harmonization.slope) == (3, 120, 0.3)
    assert harmonization.batch_norm
    assert PRESETS["editing"].batch_norm
    assert PRESETS["animation"].coarsest == 20
    assert {ConSinGANTrainer.presets[name].model_dump()["stage_steps"] for name in ("harmonization", "editing")} == {
        1000
    }


def test_noise_surrounds_the_features_or_zeros_do() -> None:
    for mode, border in (("generation", 4), ("retarget", 0)):
        maps = [value for value in operation(model(mode=mode), "sample").inputs if isinstance(value, NoiseInput)]
        assert [value.border for value in maps] == [0, border, border]
        assert [value.channels for value in maps] == [3, 4, 4]


def test_a_result_that_leaves_stage_0_less_than_a_patch_is_refused() -> None:
    size = operation(model(), "sample").size
    assert size is not None
    (height, width), patch = TINY.sizes[0], TINY.patch

    def at_stage_0(rows: int, columns: int) -> tuple[int, int]:
        return height * rows // TINY.height, width * columns // TINY.width

    assert at_stage_0(size.minimum_height, size.minimum_width) == (patch, patch)
    assert max(at_stage_0(size.minimum_height - 1, size.minimum_width - 1)) < patch


def test_below_the_start_scale_the_stored_noise_is_used() -> None:
    made = model(mode="animation")
    graph = Pyramid(made.generator)
    maps = [torch.randn_like(stored) for stored in made.generator.stored(3)]
    everything = graph(torch.full((1,), 3.0), torch.zeros(1), *maps)
    reconstruction = graph(torch.zeros(1), torch.ones(1), *[torch.zeros_like(each) for each in maps])
    torch.testing.assert_close(everything, reconstruction, rtol=0, atol=1e-6)
    torch.testing.assert_close(everything, made.generator(made.generator.stored(3)), rtol=0, atol=1e-6)
    two = [made.generator.stages[0].noise, made.generator.stages[1].noise, maps[2]]
    found = graph(torch.full((1,), 2.0), torch.zeros(1), *maps)
    torch.testing.assert_close(found, made.generator(two), rtol=0, atol=1e-6)


def test_the_mask_decides_and_both_backgrounds_are_there() -> None:
    made = model(mode="harmonization")
    graph = Injection(made.generator)
    image, mask = torch.rand(2, 3, 24, 28) * 2 - 1, torch.zeros(2, 1, 24, 28)
    mask[..., :10] = 1
    background = torch.tensor([BACKGROUNDS.index(name) for name in ("training", "naive")])
    blended, whole = graph(image, torch.rand(2, 3, *TINY.sizes[0]), mask, background)
    torch.testing.assert_close(blended[..., :10], whole[..., :10])
    torch.testing.assert_close(blended[0, :, :, 10:], made.generator.stages[-1].image[0, :, :, 10:])
    torch.testing.assert_close(blended[1, :, :, 10:], image[1, :, :, 10:])


def test_editing_adds_a_tenth_of_noise_at_stage_0_and_harmonization_none() -> None:
    made = model(mode="editing")
    graph = Injection(made.generator)
    image, mask, background = torch.zeros(1, 3, 24, 28), torch.ones(1, 1, 24, 28), torch.zeros(1, dtype=torch.int64)
    coarse = torch.rand(1, 3, *TINY.sizes[0])
    noise = torch.randn(1, 3, *TINY.sizes[0])
    fed = [0.1 * noise + coarse, *made.generator.stored(3)[1:]]
    torch.testing.assert_close(graph(image, coarse, mask, background, noise)[1], made.generator(fed), rtol=0, atol=1e-6)
    edit, harmonize = operation(made, "edit"), operation(model(mode="harmonization"), "harmonize")
    assert [value.name for value in edit.inputs if isinstance(value, NoiseInput)] == ["noise_0"]
    assert not [value for value in harmonize.inputs if isinstance(value, NoiseInput)]


def test_masks_are_widened_as_the_release_does() -> None:
    for mode, name, pixels in (("harmonization", "harmonize", 7), ("editing", "edit", 20)):
        (mask,) = (v for v in operation(model(mode=mode), name).inputs if isinstance(v, MaskInput))
        assert (mask.dilate_px, mask.blur) == (pixels, 5.0)


def test_an_unfinished_model_gives_images_of_the_last_size() -> None:
    made = model()
    for stage in made.generator.stages[1:]:
        stage.amplitude.zero_()
    (graph,) = made.graphs().values()
    maps = [torch.randn_like(stored) for stored in made.generator.stored(3)]
    assert graph.module(torch.zeros(1), torch.zeros(1), *maps).shape == (1, 3, 24, 28)
