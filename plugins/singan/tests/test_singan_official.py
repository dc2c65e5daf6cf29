"""A folder of the authors' scripts, whole generators in it, becomes a pyramid that draws the same."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from i2i_conformance.releases import released
from i2i_plugin_singan.config import Config
from i2i_plugin_singan.model import SinGAN
from i2i_plugin_singan.official import OFFICIAL_FORMAT
from i2i_registry import CheckpointError, ImportReport, Store, discover, find_files, import_checkpoint, open_model

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


def saved(config: Config) -> dict[str, tuple[int, ...]]:
    """What Gs.pth and the lists hold."""
    shapes = released(OFFICIAL_FORMAT, SinGAN, config)
    return {re.sub(r"(\d+)\.netG\.", r"Gs.\1.", key): shape for key, shape in shapes.items()}


def write_training(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *, single: bool = False, channels: int = 3
) -> dict[str, Tensor]:
    """What a training leaves behind; `single`: also the folders of single scales; `channels`: of its images."""
    generator = torch.Generator().manual_seed(0)
    shapes = saved(SMALL)
    tensors = {key: torch.randn(shape, generator=generator).abs() / 5 for key, shape in shapes.items()}
    for key, tensor in tensors.items():
        if key.endswith("head.conv.weight") or key.startswith(("Zs", "reals")):
            tensors[key] = tensor[:, :channels].contiguous()
        elif ".tail.0." in key:
            tensors[key] = tensor[:channels].contiguous()
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
    inferred = OFFICIAL_FORMAT.infer_config(saved(config))
    assert inferred.mode == mode
    assert inferred.sizes == config.sizes
    assert (inferred.channels, inferred.layers) == (config.channels, config.layers)


def test_images_that_make_no_pyramid_are_refused() -> None:
    shapes = {**saved(SMALL), "reals.1": (1, 3, 39, 39)}
    with pytest.raises(CheckpointError, match="39x39"):
        OFFICIAL_FORMAT.infer_config(shapes)


def test_files_without_generators_are_refused() -> None:
    shapes = {key: s for key, s in saved(SMALL).items() if not key.startswith("Gs.0.")}
    with pytest.raises(CheckpointError, match="no generator"):
        OFFICIAL_FORMAT.infer_config(shapes)


# --- What no tensor shows ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("folder", "mode"),
    [
        ("scale_factor=0.750000,alpha=10", "generation"),
        ("scale_factor=0.750000_noise_padding", "animation"),
        ("scale_factor=0.793701,alpha=100", "super_resolution"),
    ],
)
def test_the_folder_tells_what_it_was_trained_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, mode: str
) -> None:
    write_training(tmp_path / folder, monkeypatch)
    report = imported(Store(tmp_path / "home"), tmp_path / folder)
    assert report.card.config["mode"] == mode
    assert report.settled[0].by == f"the folder's name: {folder}"


def test_the_folder_tells_which_scale_was_trained_again_for_few_colours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "scale_factor=0.750000_paint" / "start_scale=1"
    folder.parent.mkdir()
    write_training(folder, monkeypatch)
    assert imported(Store(tmp_path / "home"), folder).card.config["paint_scale"] == 1


def test_a_renamed_folder_leaves_the_mode_to_be_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, store = tmp_path / "renamed", Store(tmp_path / "home")
    write_training(folder, monkeypatch)
    assert imported(store, folder).settled[0].sentence().startswith("taken for granted: mode = generation")
    files = find_files([str(folder)])
    said = import_checkpoint(discover(), store, files, "balloons", values=["mode=animation"])
    assert (said.card.version, said.card.config["mode"]) == (2, "animation")


# --- Trainings that were stopped, and grey ones -----------------------------------------------------------------------


@pytest.mark.parametrize("trained", [1, 2])
def test_a_stopped_training_enlarges_what_it_had_learned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trained: int
) -> None:
    """The lists have an entry for each finished scale, reals.pth one for every scale; the next has its noise."""
    folder, store = tmp_path / "trained", Store(tmp_path / "home")
    write_training(folder, monkeypatch, single=True)
    for name in ("Gs", "Zs", "NoiseAmp"):
        whole = torch.load(folder / f"{name}.pth", weights_only=False)  # noqa: TID251 - written by this test
        torch.save(whole[:trained], folder / f"{name}.pth")
    for scale in range(trained, SMALL.scales):
        (folder / str(scale) / "netG.pth").unlink()
    report = imported(store, folder)
    assert f"stopped before scale{'s 1 to 2' if trained == 1 else ' 2'}" in report.remarks[0]
    assert len(report.keys.filled) == (SMALL.scales - trained) * 31
    model, _ = open_model(discover(), "balloons", store)
    assert isinstance(model, SinGAN)
    pyramid = model.pyramid
    noises = [torch.randn(1, *pyramid.config.noise_shape(scale)) for scale in range(SMALL.scales)]
    with torch.no_grad():
        images = pyramid(noises)
        for scale in range(trained, SMALL.scales):
            below = pyramid.below(images[scale - 1], SMALL.size_at(scale), 1 / SMALL.factor)
            torch.testing.assert_close(images[scale], below[..., 5:-5, 5:-5], rtol=0, atol=0)


def test_a_training_of_grey_images_makes_the_same_greys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, store = tmp_path / "trained", Store(tmp_path / "home")
    tensors = write_training(folder, monkeypatch, channels=1)
    report = imported(store, folder)
    assert any("grey" in remark for remark in report.remarks)
    model, _ = open_model(discover(), "balloons", store)
    assert isinstance(model, SinGAN)
    for scale in range(SMALL.scales):
        state = {k.removeprefix(f"Gs.{scale}."): t for k, t in tensors.items() if k.startswith(f"Gs.{scale}.")}
        noise, below = torch.randn(2, 1, 1, *tensors[f"Zs.{scale}"].shape[-2:]).unbind()
        expected = grey_generator(state, tensors.get(f"NoiseAmp.{scale}", torch.tensor(1.0)) * noise + below, below)
        # Of the three channels of noise, which are independent in a model of colours, one is the grey one.
        others = torch.randn(1, 2, *noise.shape[-2:])
        with torch.no_grad():
            made = model.pyramid.level(scale)(torch.cat([noise, others], dim=1), below.repeat(1, 3, 1, 1))
        torch.testing.assert_close(made, expected.repeat(1, 3, 1, 1), rtol=1e-5, atol=1e-5)


def grey_generator(state: dict[str, Tensor], x: Tensor, below: Tensor) -> Tensor:
    """The generator of one scale as the paper has it, written with the functions of torch alone."""
    for name in ("head", "body.block1", "body.block2", "body.block3"):
        x = F.conv2d(x, state[f"{name}.conv.weight"], state[f"{name}.conv.bias"])
        mean, variance, weight, bias = (
            state[f"{name}.norm.{key}"] for key in ("running_mean", "running_var", "weight", "bias")
        )
        x = F.leaky_relu(F.batch_norm(x, mean, variance, weight, bias), 0.2)
    x = F.conv2d(x, state["tail.0.weight"], state["tail.0.bias"])
    return torch.tanh(x) + below[..., 5:-5, 5:-5]


def test_images_of_other_channels_are_named() -> None:
    shapes = {**saved(SMALL), "reals.0": (1, 4, 25, 33)}
    with pytest.raises(CheckpointError, match=r"reals\.0 is an image of 4 channels"):
        OFFICIAL_FORMAT.infer_config(shapes)
