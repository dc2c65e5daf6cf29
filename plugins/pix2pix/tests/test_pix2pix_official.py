from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from i2i_conformance.releases import converted, filled, recorded, released, shapes_of
from i2i_plugin_pix2pix.config import Config
from i2i_plugin_pix2pix.model import Pix2Pix
from i2i_plugin_pix2pix.official import JUNYANZ_FORMAT
from i2i_registry import CheckpointError, TensorShapes

UNET = Config(image_size=64, depth=6, channels=2)
RESNET = Config(generator="resnet", depth=2, channels=2)


def checkpoint(config: Config) -> dict[str, Tensor]:
    return filled(saved(config))


def saved(config: Config) -> TensorShapes:
    """The file of the generator alone."""
    return {key.removeprefix("G."): shape for key, shape in released(JUNYANZ_FORMAT, Pix2Pix, config).items()}


def imported(config: Config, tensors: dict[str, Tensor]) -> dict[str, str]:
    """Load what the map makes of the tensors into our generator; returns what was dropped."""
    return dict(converted(JUNYANZ_FORMAT, Pix2Pix(config), tensors).dropped)


@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
@pytest.mark.parametrize("depth", [5, 7, 8])
@pytest.mark.parametrize(("input_channels", "output_channels"), [(3, 3), (1, 2), (6, 3), (4, 4)])
def test_a_u_net_is_told_from_the_shapes_and_mapped(
    input_channels: int, output_channels: int, depth: int, norm: str
) -> None:
    config = Config.model_validate(
        {
            "image_size": 2**depth,
            "depth": depth,
            "channels": 3,
            "norm": norm,
            "input_channels": input_channels,
            "output_channels": output_channels,
        }
    )
    tensors = checkpoint(config)
    assert JUNYANZ_FORMAT.detect(shapes_of(tensors))
    assert JUNYANZ_FORMAT.infer_config(shapes_of(tensors)) == config
    assert imported(config, tensors) == {}


@pytest.mark.parametrize("norm", ["batch", "none"])
@pytest.mark.parametrize("dropout", [True, False])
@pytest.mark.parametrize("depth", [1, 6, 9])
def test_a_resnet_is_told_from_the_shapes_and_mapped(depth: int, norm: str, *, dropout: bool) -> None:
    config = RESNET.model_copy(update={"depth": depth, "dropout": dropout, "norm": norm})
    tensors = checkpoint(config)
    assert JUNYANZ_FORMAT.detect(shapes_of(tensors))
    assert JUNYANZ_FORMAT.infer_config(shapes_of(tensors)) == config
    assert imported(config, tensors) == {}


@pytest.mark.parametrize("config", [UNET, RESNET], ids=["unet", "resnet"])
def test_old_files_without_counters_are_completed(config: Config) -> None:
    tensors = {key: value for key, value in checkpoint(config).items() if not key.endswith("num_batches_tracked")}
    assert imported(config, tensors) == {}
    counters = converted(JUNYANZ_FORMAT, Pix2Pix(config), tensors).filled
    assert all(key.endswith("num_batches_tracked") for key in counters)
    assert len(counters) == len([key for key in tensors if key.endswith("running_mean")])


def test_instance_norm_statistics_of_old_files_are_dropped_with_a_reason() -> None:
    config = UNET.model_copy(update={"norm": "instance"})
    tensors = checkpoint(config)
    stale = ["model.model.1.model.2.running_mean", "model.model.1.model.6.running_var"]
    dropped = imported(config, tensors | {key: torch.zeros(4) for key in stale})
    assert set(dropped) == set(stale)
    assert all("never used" in reason for reason in dropped.values())


def with_discriminator(generator: TensorShapes) -> TensorShapes:
    judge = recorded(Path(__file__).with_name("official_names.json"))["unet"]
    named = {f"G.{key}": shape for key, shape in generator.items()}
    return {**named, **{key: shape for key, shape in judge.items() if key.startswith("D.")}}


@pytest.mark.parametrize(
    "config",
    [UNET, RESNET, RESNET.model_copy(update={"norm": "instance"}), UNET.model_copy(update={"norm": "none"})],
    ids=["u-net", "resnet", "resnet with instance norm", "u-net without norm"],
)
def test_the_folder_of_a_training_is_read_without_its_discriminator(config: Config) -> None:
    tensors = filled(with_discriminator(saved(config)))
    assert JUNYANZ_FORMAT.detect(shapes_of(tensors))
    assert JUNYANZ_FORMAT.infer_config(shapes_of(tensors)) == config
    dropped = imported(config, tensors)
    assert set(dropped) == {key for key in tensors if key.startswith("D.")}
    assert set(dropped.values()) == {"discriminators are needed for training only"}


@pytest.mark.parametrize(
    "shapes",
    [
        {**saved(UNET), "model.model.0.bias": (2,)},
        {**saved(RESNET), "model.1.bias": (2,)},
        saved(RESNET.model_copy(update={"norm": "instance"})),
        {**saved(UNET.model_copy(update={"norm": "instance"})), "model.model.5.weight": (3, 4, 3, 3)},
        {f"generator.{key}": shape for key, shape in saved(UNET).items()},
        {**with_discriminator(saved(UNET)), "E.fc.0.weight": (8, 4)},
    ],
    ids=[
        "a U-Net's bias before batch norm",
        "a ResNet's bias before batch norm",
        "a ResNet with instance norm",
        "interpolation on the way up",
        "other names",
        "an encoder beside it",
    ],
)
def test_what_is_another_papers_is_not_recognised(shapes: TensorShapes) -> None:
    assert not JUNYANZ_FORMAT.detect(shapes)


@pytest.mark.parametrize("shape", [(), (4,), (0, 3, 4, 4), (4, 0, 4, 4)])
def test_a_first_layer_that_is_none_is_refused_by_name(shape: tuple[int, ...]) -> None:
    with pytest.raises(CheckpointError, match=r"model\.model\.0\.weight is of shape"):
        JUNYANZ_FORMAT.infer_config({**saved(UNET), "model.model.0.weight": shape})


def test_a_u_net_of_too_few_levels_is_refused() -> None:
    inner = "model.model.1.model.3.model.3.model.3."
    shapes = {key: shape for key, shape in saved(UNET).items() if not key.startswith(inner)}
    with pytest.raises(CheckpointError, match="4 levels"):
        JUNYANZ_FORMAT.infer_config(shapes)


def test_no_rule_matches_a_key_that_is_none_of_the_releases() -> None:
    for key in ("model.1.weigh", "model.model.2.weight", "module.model.1.weight", "net.0.weight"):
        with pytest.raises(CheckpointError):
            imported(UNET, checkpoint(UNET) | {key: torch.zeros(1)})
