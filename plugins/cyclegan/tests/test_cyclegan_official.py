from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from i2i_conformance.releases import converted, filled, released, shapes_of
from i2i_plugin_cyclegan.config import Config
from i2i_plugin_cyclegan.model import CycleGAN
from i2i_plugin_cyclegan.official import JUNYANZ_FORMAT
from i2i_registry import CheckpointError, TensorShapes

TINY = Config(channels=2, res_blocks=2, directions="a_to_b")


def checkpoint(config: Config) -> dict[str, Tensor]:
    return filled(saved(config))


def saved(config: Config) -> TensorShapes:
    """The files of both generators, or the one file of the only one."""
    return {key.removeprefix("G."): shape for key, shape in released(JUNYANZ_FORMAT, CycleGAN, config).items()}


@pytest.mark.parametrize("dropout", [False, True])
@pytest.mark.parametrize("directions", ["both", "a_to_b"])
@pytest.mark.parametrize("res_blocks", [1, 6, 9])
@pytest.mark.parametrize(("channels_a", "channels_b"), [(3, 3), (1, 3), (3, 1), (6, 6)])
def test_the_config_is_told_from_the_shapes(
    channels_a: int,
    channels_b: int,
    res_blocks: int,
    directions: str,
    dropout: bool,  # noqa: FBT001
) -> None:
    config = Config.model_validate(
        {
            "channels": 5,
            "channels_a": channels_a,
            "channels_b": channels_b,
            "res_blocks": res_blocks,
            "directions": directions,
            "dropout": dropout,
        }
    )
    shapes = saved(config)
    assert JUNYANZ_FORMAT.detect(shapes)
    assert JUNYANZ_FORMAT.infer_config(shapes) == config


@pytest.mark.parametrize("dropout", [False, True])
def test_the_key_map_fills_every_tensor_of_ours(*, dropout: bool) -> None:
    config = TINY.model_copy(update={"dropout": dropout})
    assert not converted(JUNYANZ_FORMAT, CycleGAN(config), checkpoint(config)).dropped


def test_instance_norm_statistics_of_old_files_are_dropped_with_a_reason() -> None:
    tensors = checkpoint(TINY)
    clean = JUNYANZ_FORMAT.infer_config(shapes_of(tensors))
    stale = [f"model.{place}.{name}" for place in (2, 5, 8) for name in ("running_mean", "running_var")]
    stale.append("model.10.conv_block.2.num_batches_tracked")
    tensors |= {key: torch.zeros(4) for key in stale}
    assert JUNYANZ_FORMAT.detect(shapes_of(tensors))
    assert JUNYANZ_FORMAT.infer_config(shapes_of(tensors)) == clean
    dropped = converted(JUNYANZ_FORMAT, CycleGAN(TINY), tensors).dropped
    assert set(dropped) == set(stale)
    assert all("never used" in reason for reason in dropped.values())


def test_discriminators_of_a_joined_file_are_dropped() -> None:
    both = TINY.model_copy(update={"directions": "both"})
    tensors = checkpoint(both) | {"D_A.model.0.weight": torch.zeros(1)}
    assert converted(JUNYANZ_FORMAT, CycleGAN(both), tensors).dropped == {
        "D_A.model.0.weight": "discriminators are needed for training only"
    }


@pytest.mark.parametrize("change", [{"norm": "batch"}, {"norm": "none"}, {"generator": "unet"}])
def test_what_is_pix2pixs_by_default_is_left_to_it_unless_its_file_is_named(change: dict[str, str]) -> None:
    config = Config.model_validate({"channels": 2, "directions": "a_to_b", **change})
    shapes = saved(config)
    assert not JUNYANZ_FORMAT.detect(shapes)
    named = {f"G_A.{key}": shape for key, shape in shapes.items()}
    assert JUNYANZ_FORMAT.detect(named)
    assert JUNYANZ_FORMAT.infer_config(named) == config


@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
@pytest.mark.parametrize("levels", [5, 7, 8])
def test_two_u_nets_of_any_depth_and_norm_are_told_and_mapped(levels: int, norm: str) -> None:
    config = Config.model_validate(
        {"generator": "unet", "levels": levels, "image_size": 2**levels, "channels": 2, "norm": norm}
    )
    tensors = checkpoint(config)
    assert JUNYANZ_FORMAT.detect(shapes_of(tensors))
    assert JUNYANZ_FORMAT.infer_config(shapes_of(tensors)) == config
    assert not converted(JUNYANZ_FORMAT, CycleGAN(config), tensors).dropped


@pytest.mark.parametrize("dropout", [False, True])
@pytest.mark.parametrize("norm", ["batch", "none"])
def test_resnets_of_other_norms_are_told_and_mapped(norm: str, *, dropout: bool) -> None:
    changes = {"directions": "both", "norm": norm, "dropout": dropout}
    config = Config.model_validate(TINY.model_dump() | changes)
    tensors = checkpoint(config)
    assert JUNYANZ_FORMAT.infer_config(shapes_of(tensors)) == config
    assert not converted(JUNYANZ_FORMAT, CycleGAN(config), tensors).dropped


def test_no_rule_matches_a_key_that_is_none_of_the_releases() -> None:
    for key in ("model.1.weigh", "model.x.weight", "module.model.1.weight", "G_C.model.1.weight", "optimizer.state"):
        with pytest.raises(CheckpointError):
            converted(JUNYANZ_FORMAT, CycleGAN(TINY), checkpoint(TINY) | {key: torch.zeros(1)})


def test_our_own_weights_are_not_taken_for_the_releases(tmp_path: Path) -> None:
    del tmp_path
    state = CycleGAN(TINY).networks["a_to_b"].state_dict()
    assert not JUNYANZ_FORMAT.detect({f"a_to_b.{key}": tuple(tensor.shape) for key, tensor in state.items()})
