"""A folder of the authors' scripts, whole generators in it, becomes a pyramid that draws the same."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

from i2i_plugin_singan.config import Config
from i2i_plugin_singan.model import SinGAN
from i2i_plugin_singan.official import OFFICIAL_FORMAT
from i2i_registry.checkpoint_files import find_files
from i2i_registry.discovery import discover
from i2i_registry.errors import CheckpointError
from i2i_registry.importing import ImportReport, import_checkpoint
from i2i_registry.store import Store
from i2i_registry.weights import open_model

CLASS = "GeneratorConcatSkip2CleanAdd"
SMALL = Config(height=40, width=52, scales=3, channels=4)


class Whole(nn.Module):
    """A generator as the authors' scripts pickle it: an object whose class the reader does not have."""

    def __init__(self, tensors: dict[str, Tensor]) -> None:
        super().__init__()
        for key, tensor in tensors.items():
            *path, name = key.split(".")
            module: nn.Module = self
            for part in path:
                if part not in dict(module.named_children()):
                    module.add_module(part, nn.Module())
                module = module.get_submodule(part)
            module.register_buffer(name, tensor)


def write_training(folder: Path, monkeypatch: pytest.MonkeyPatch, *, single: bool = False) -> dict[str, Tensor]:
    """What a training leaves behind; `single`: also the folders of single scales."""
    generator = torch.Generator().manual_seed(0)
    tensors = {
        key: torch.randn(shape, generator=generator).abs() / 5 for key, shape in OFFICIAL_FORMAT.example(SMALL).items()
    }
    tensors = {key: t.long() if key.endswith("num_batches_tracked") else t for key, t in tensors.items()}
    states = [
        {key.removeprefix(f"Gs.{scale}."): t for key, t in tensors.items() if key.startswith(f"Gs.{scale}.")}
        for scale in range(SMALL.scales)
    ]
    folder.mkdir()
    models = ModuleType("SinGAN.models")
    official = type(CLASS, (Whole,), {"__module__": "SinGAN.models"})
    setattr(models, CLASS, official)
    monkeypatch.setitem(sys.modules, "SinGAN", ModuleType("SinGAN"))
    monkeypatch.setitem(sys.modules, "SinGAN.models", models)
    torch.save([official(state) for state in states], folder / "Gs.pth")
    for name in ("Zs", "reals"):
        torch.save([tensors[f"{name}.{scale}"] for scale in range(SMALL.scales)], folder / f"{name}.pth")
    torch.save([1, *(tensors[f"NoiseAmp.{scale}"] for scale in (1, 2))], folder / "NoiseAmp.pth")
    for scale, state in enumerate(states if single else []):
        (folder / str(scale)).mkdir()
        torch.save(state, folder / str(scale) / "netG.pth")
        torch.save({"tail.weight": torch.ones(1)}, folder / str(scale) / "netD.pth")
        torch.save(torch.ones(1), folder / str(scale) / "z_opt.pth")
    return tensors


def imported(store: Store, folder: Path) -> ImportReport:
    return import_checkpoint(discover(), store, find_files([str(folder)]), "balloons")


@pytest.mark.parametrize("single", [False, True])
def test_a_folder_is_imported_and_no_class_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, single: bool
) -> None:
    folder, store = tmp_path / "trained", Store(tmp_path / "home")
    tensors = write_training(folder, monkeypatch, single=single)
    report = imported(store, folder)
    assert any(CLASS in name for name in report.records)
    assert any("file of its own" in reason for reason in report.keys.dropped.values()) is single
    model, card = open_model(discover(), "balloons", store)
    assert isinstance(model, SinGAN)
    assert model.config == SMALL
    assert card.licence.spdx == "MIT"
    pyramid = model.pyramid
    assert torch.equal(pyramid.noise, tensors["Zs.0"])
    assert torch.equal(pyramid.real, tensors["reals.2"])
    assert [float(pyramid.level(scale).amplitude) for scale in (1, 2)] == [
        float(tensors["NoiseAmp.1"]),
        float(tensors["NoiseAmp.2"]),
    ]
    assert torch.equal(pyramid.level(1).to_image.weight, tensors["Gs.1.tail.0.weight"])


@pytest.mark.parametrize(
    ("config", "mode"),
    [
        (Config(height=64, width=80, scales=4), "generation"),
        (Config(height=64, width=80, scales=4, coarsest=18), "super_resolution"),
        (Config(height=64, width=80, scales=4, coarsest=20), "animation"),
        (Config(height=64, width=80, scales=4, coarsest=31, channels=8, layers=7), "generation"),
    ],
)
def test_the_size_of_the_coarsest_scale_tells_the_mode(config: Config, mode: str) -> None:
    inferred = OFFICIAL_FORMAT.infer_config(OFFICIAL_FORMAT.example(config))
    assert inferred.mode == mode
    assert inferred.sizes == config.sizes
    assert (inferred.channels, inferred.layers) == (config.channels, config.layers)


def test_pictures_that_make_no_pyramid_are_refused() -> None:
    shapes = {**OFFICIAL_FORMAT.example(SMALL), "reals.1": (1, 3, 39, 39)}
    with pytest.raises(CheckpointError, match="39x39"):
        OFFICIAL_FORMAT.infer_config(shapes)


def test_files_without_generators_are_refused() -> None:
    shapes = {key: s for key, s in OFFICIAL_FORMAT.example(SMALL).items() if not key.startswith("Gs.0.")}
    with pytest.raises(CheckpointError, match="no generator"):
        OFFICIAL_FORMAT.infer_config(shapes)
