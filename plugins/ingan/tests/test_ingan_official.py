from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from i2i_conformance.releases import converted, filled, recorded, released, shapes_of
from i2i_plugin_ingan.config import Config
from i2i_plugin_ingan.model import InGAN
from i2i_plugin_ingan.networks.geometry import resize_grid
from i2i_plugin_ingan.official import INGAN_FORMAT
from i2i_registry import CheckpointError, find_files, read_checkpoint_files

TINY = Config(channels=4, downscales=2, blocks=2)


def checkpoint(config: Config = TINY) -> dict[str, Tensor]:
    critic = recorded(Path(__file__).with_name("official_names.json"))["train_step"]
    beside = {key: shape for key, shape in critic.items() if key.startswith("D.")}
    moments = {f"optim_G.state.0.{name}": (config.channels,) for name in ("exp_avg", "exp_avg_sq")}
    return filled(saved(config) | beside | moments)


def saved(config: Config) -> dict[str, tuple[int, ...]]:
    return released(INGAN_FORMAT, InGAN, config)


def imported(tensors: dict[str, Tensor], config: Config = TINY) -> tuple[InGAN, dict[str, str]]:
    """Our model filled with what the map makes of the tensors, and what was dropped."""
    model = InGAN(config)
    return model, dict(converted(INGAN_FORMAT, model, tensors).dropped)


def write(file: Path, tensors: dict[str, Tensor], **more: object) -> Path:
    """A file as the release writes it: torch's older format, one dictionary of dictionaries."""
    parts: dict[str, dict[str, Tensor]] = {"G": {}, "D": {}}
    for key, tensor in tensors.items():
        if key[:2] in ("G.", "D."):
            parts[key[0]][key[2:]] = tensor
    moments = {"step": 75_000, "exp_avg": torch.zeros(4), "exp_avg_sq": torch.zeros(4)}
    adam = {"state": {140_312_345: moments}, "param_groups": [{"lr": 0.0, "params": [140_312_345]}]}
    content = {
        **parts,
        "optim_G": adam,
        "optim_D": adam,
        "sched_G": {"base_lrs": [5e-5], "last_epoch": 75_000, "lr_lambdas": [{"start_decay": 20_000}]},
        "sched_D": {"base_lrs": [5e-5], "last_epoch": 75_000, "lr_lambdas": [{"start_decay": 20_000}]},
        "loss": {},
        "iter": "results/fruit/checkpoint_0075000.pth.tar",
        **more,
    }
    torch.save(content, file, _use_new_zipfile_serialization=False)
    return file


@pytest.mark.parametrize("config", [TINY, Config(channels=8, downscales=3, blocks=6), Config(channels=2, blocks=1)])
def test_a_generator_is_told_from_the_shapes(config: Config) -> None:
    tensors = checkpoint(config)
    assert INGAN_FORMAT.detect(shapes_of(tensors))
    assert INGAN_FORMAT.infer_config(shapes_of(tensors)) == config


def test_what_is_dropped_has_a_reason() -> None:
    _, dropped = imported(checkpoint())
    assert all(key.startswith(("D.", "optim_")) or key.endswith("weight_v") for key in dropped)
    assert all(dropped.values())


def test_a_file_of_the_release_is_read(tmp_path: Path) -> None:
    tensors = checkpoint()
    place = write(tmp_path / "checkpoint_0075000.pth.tar", tensors)
    found = read_checkpoint_files(find_files([str(place)]))
    assert INGAN_FORMAT.detect(found.shapes)
    model, _ = imported(dict(found.tensors))
    assert torch.equal(model.generator.to_image.weight, tensors["G.final_block.1.weight"])


def test_files_of_old_torch_give_the_same_model() -> None:
    tensors = checkpoint()
    old = {key: t for key, t in tensors.items() if not key.endswith(("weight_v", "num_batches_tracked"))}
    old |= {key.removesuffix("_orig"): 2 * t for key, t in tensors.items() if key.endswith("weight_orig")}
    models = [imported(each)[0].generator.eval() for each in (tensors, old)]
    image, grid = 2 * torch.rand(1, 3, 16, 16) - 1, resize_grid((16, 16), (16, 24))
    assert torch.equal(models[0](image, grid), models[1](image, grid))


@pytest.mark.parametrize("missing", ["G.entry_block.1.weight_orig", "G.final_block.1.weight"])
def test_what_has_other_parts_is_not_recognised(missing: str) -> None:
    assert not INGAN_FORMAT.detect({key: shape for key, shape in saved(TINY).items() if key != missing})


def test_a_gap_between_the_blocks_is_told() -> None:
    shapes = {key.replace("bottleneck_block.1.", "bottleneck_block.2."): shape for key, shape in saved(TINY).items()}
    with pytest.raises(CheckpointError, match=r"\[0, 2\]"):
        INGAN_FORMAT.infer_config(shapes)


def test_no_rule_matches_a_key_that_is_none_of_the_release_s() -> None:
    for key in ("G.entry_block.1.weigh", "G.entry_block.2.weight_orig", "D.nets.0.2.weight", "entry_block.1.bias"):
        with pytest.raises(CheckpointError):
            imported(checkpoint() | {key: torch.zeros(1)})


def test_imported_weights_are_marked_as_not_for_commerce() -> None:
    assert INGAN_FORMAT.licence.non_commercial
