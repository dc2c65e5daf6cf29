from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from torch import Tensor

from i2i_conformance.releases import converted, filled, released, shapes_of
from i2i_plugin_consingan.config import PRESETS, Config, Mode
from i2i_plugin_consingan.model import ConSinGAN
from i2i_plugin_consingan.networks.upsampling import enlarged
from i2i_plugin_consingan.official import CONSINGAN_FORMAT
from i2i_registry import CheckpointError, Clues, canonical_shapes, find_files, read_checkpoint_files

SMALL = {"height": 60, "width": 72, "channels": 4}


def checkpoint(config: Config) -> dict[str, Tensor]:
    return filled(released(CONSINGAN_FORMAT, ConSinGAN, config))


def small(mode: Mode, **changes: object) -> Config:
    return Config.model_validate({"mode": mode, **SMALL, **changes})


def imported(config: Config, tensors: dict[str, Tensor]) -> dict[str, str]:
    """Load what the map makes of the tensors into our generator; returns what was dropped."""
    return dict(converted(CONSINGAN_FORMAT, ConSinGAN(config), tensors).dropped)


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("stages", [4, 6])
@pytest.mark.parametrize("layers", [2, 3])
@pytest.mark.parametrize("mode", ["generation", "animation", "retarget", "harmonization"])
def test_the_config_is_told_from_the_shapes(mode: Mode, stages: int, layers: int, *, batch_norm: bool) -> None:
    coarsest = 20 if mode == "animation" else 25
    config = small(mode, stages=stages, layers=layers, coarsest=coarsest, batch_norm=batch_norm)
    if mode == "retarget" and batch_norm:
        config = config.model_copy(update={"mode": "editing"})  # what the release's instructions use the norm for
    found = CONSINGAN_FORMAT.infer_config(shapes_of(checkpoint(config)))
    assert found == config.model_copy(update={"slope": PRESETS[config.mode].slope})
    assert imported(config, checkpoint(config)) == {}


def test_learned_slopes_are_recognised() -> None:
    config = small("generation", stages=3, activation="prelu")
    assert CONSINGAN_FORMAT.infer_config(shapes_of(checkpoint(config))).activation == "prelu"
    assert imported(config, checkpoint(config)) == {}


def test_a_folder_is_imported_from_its_last_stage(tmp_path: Path) -> None:
    """The files as the release's scripts write them, but for G.pth, which they pickle as a module."""
    config = small("generation", stages=3)
    tensors = checkpoint(config)
    network = {key.removeprefix("G."): tensor for key, tensor in tensors.items() if key.startswith("G.")}
    for name in ("fixed_noise", "reals"):
        torch.save([tensors[f"{name}.{stage}"] for stage in range(3)], tmp_path / f"{name}.pth")
    torch.save([1, tensors["noise_amp.1"], tensors["noise_amp.2"]], tmp_path / "noise_amp.pth")
    torch.save({key: tensor + 1 for key, tensor in network.items()}, tmp_path / "G.pth")
    for stage in range(3):
        (tmp_path / str(stage)).mkdir()
        grown = {k: t for k, t in network.items() if not k.startswith("body.") or int(k.split(".")[1]) <= stage}
        torch.save(grown, tmp_path / str(stage) / "netG.pth")
        torch.save({"head.conv.weight": torch.zeros(4, 3, 3, 3)}, tmp_path / str(stage) / "netD.pth")
        torch.save(tensors[f"fixed_noise.{stage}"], tmp_path / str(stage) / "z_opt.pth")
    files = read_checkpoint_files(find_files([str(tmp_path)]))
    assert CONSINGAN_FORMAT.detect(files.shapes)
    assert CONSINGAN_FORMAT.infer_config(files.shapes) == config
    report = converted(CONSINGAN_FORMAT, ConSinGAN(config), files.tensors)
    assert {key.partition(".netG")[0] for key in report.used if ".netG" in key} == {"2"}
    assert not [key for key in report.used if key.startswith(("G.", "2.netD", "2.z_opt"))]
    reasons = {reason.split(",")[0] for reason in report.dropped.values()}
    assert len(reasons) == 3


@pytest.mark.parametrize("name", ["fixed_noise", "reals"])
def test_a_generator_without_its_lists_is_told_what_else_is_needed(name: str) -> None:
    tensors = {key: t for key, t in checkpoint(small("generation")).items() if not key.startswith(name)}
    assert CONSINGAN_FORMAT.detect(shapes_of(tensors))
    with pytest.raises(CheckpointError, match=rf"{name}.pth is missing") as caught:
        CONSINGAN_FORMAT.infer_config(shapes_of(tensors))
    assert "folder" in caught.value.fix


def test_a_generator_alone_is_recognised_and_told_what_else_is_needed() -> None:
    tensors = checkpoint(small("generation"))
    alone = {key.removeprefix("G."): tuple(t.shape) for key, t in tensors.items() if key.startswith("G.")}
    assert CONSINGAN_FORMAT.detect(alone)
    with pytest.raises(CheckpointError, match="missing"):
        CONSINGAN_FORMAT.infer_config(alone)


def test_files_of_different_stages_are_refused() -> None:
    tensors = {key: t for key, t in checkpoint(small("generation")).items() if not key.startswith("G.body.5.")}
    with pytest.raises(CheckpointError, match="5 stages, 6 images"):
        CONSINGAN_FORMAT.infer_config(shapes_of(tensors))


@pytest.mark.parametrize("mode", ["generation", "retarget"])
def test_a_stopped_training_enlarges_what_it_had_learned(mode: Mode) -> None:
    config = small(mode, stages=5, batch_norm=mode == "generation")
    whole = {key: tensor / 5 for key, tensor in checkpoint(config).items()}
    stopped = {key: t for key, t in whole.items() if not re.match(r"(?:G\.body|fixed_noise|noise_amp)\.[34]", key)}
    inferred = CONSINGAN_FORMAT.infer(canonical_shapes(CONSINGAN_FORMAT, shapes_of(stopped)), Clues())
    assert inferred.config == config
    assert inferred.remarks == ("the training was stopped after 3 of 5 stages: only enlarged behind",)
    model = ConSinGAN(config)
    converted(CONSINGAN_FORMAT, model, stopped)
    assert model.generator.begun_count == 3
    noise = model.generator.stored(5)
    with torch.no_grad():
        features = model.generator.grow(None, noise[:3])
        for height, width in config.sizes[3:]:
            features = enlarged(features, height, width)
        torch.testing.assert_close(model.generator.finished(noise), model.generator.image(features))


def test_images_of_no_pyramid_are_refused() -> None:
    shapes = {**shapes_of(checkpoint(small("generation"))), "reals.3": (1, 3, 59, 71)}
    with pytest.raises(CheckpointError, match="59x71"):
        CONSINGAN_FORMAT.infer_config(shapes)


def test_no_rule_matches_a_key_that_is_none_of_the_releases() -> None:
    config = small("generation", stages=3)
    for key in ("G.head.conv.weigh", "G.body.0.conv.weight", "module.G.tail.0.bias", "noise_amp.0", "Zs.0"):
        with pytest.raises(CheckpointError):
            imported(config, checkpoint(config) | {key: torch.zeros(1)})
