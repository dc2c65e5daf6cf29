"""Trainings of the release as they lie on disk become models, and what tensors do not show is told."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from i2i_conformance.releases import filled, recorded, released
from i2i_plugin_pix2pix.config import Config
from i2i_plugin_pix2pix.model import Pix2Pix
from i2i_plugin_pix2pix.official import JUNYANZ_FORMAT
from i2i_registry import (
    CheckpointError,
    ImportReport,
    Store,
    discover,
    find_files,
    import_checkpoint,
    open_model,
)
from i2i_runtime import OptionError

UNET = Config(image_size=64, depth=6, channels=2)
RESNET = Config(generator="resnet", depth=2, channels=2)
INSTANCE = {"norm": "instance"}


def write_training(
    folder: Path, config: Config, options: Mapping[str, object] | None = None, *, alone: bool = False
) -> Path:
    """What a training leaves: generator, discriminator, and its options as the release writes them."""
    folder.mkdir()
    judge = recorded(Path(__file__).with_name("official_names.json"))["unet"]
    judge = {key: shape for key, shape in judge.items() if key.startswith("D.")}
    tensors = filled(judge | released(JUNYANZ_FORMAT, Pix2Pix, config))
    for name in ("G",) if alone else ("G", "D"):
        network = {k.removeprefix(f"{name}."): t / 5 for k, t in tensors.items() if k.startswith(f"{name}.")}
        torch.save(network, folder / f"latest_net_{name}.pth")
    if options is not None:
        lines = [f"{name:>25}: {value!s:<30}\t[default: x]" for name, value in options.items()]
        text = "\n".join(
            ["----------------- Options ---------------", *lines, "----------------- End -------------------"]
        )
        (folder / "train_opt.txt").write_text(text)
    return folder


def imported(home: Path, folder: Path, model: str | None = None, values: tuple[str, ...] = ()) -> ImportReport:
    return import_checkpoint(discover(), Store(home), find_files([str(folder)]), "facades", model=model, values=values)


def settled(report: ImportReport) -> dict[str, tuple[object, str]]:
    return {each.field: (each.value, each.by) for each in report.settled}


@pytest.mark.parametrize(
    "change",
    [{}, {"input_channels": 6}, {"input_channels": 4, "output_channels": 2}, INSTANCE, {"norm": "none"}],
    ids=str,
)
@pytest.mark.parametrize("config", [UNET, RESNET], ids=["unet", "resnet"])
def test_the_folder_of_a_training_gives_its_generator(
    tmp_path: Path, config: Config, change: dict[str, object]
) -> None:
    config = Config.model_validate(config.model_dump() | change)
    folder = write_training(tmp_path / "run", config)
    report = imported(tmp_path / "home", folder)
    assert (report.card.model, report.config) == ("pix2pix", config)
    assert {key.partition(".")[0] for key in report.keys.dropped} == {"D"}
    model, _ = open_model(discover(), "facades", Store(tmp_path / "home"))
    with torch.no_grad():
        made = model.networks["generator"].eval()(torch.rand(1, config.input_channels, 64, 64))
    assert made.shape == (1, config.output_channels, 64, 64)


def test_what_tensors_do_not_show_is_taken_for_granted_until_something_tells(tmp_path: Path) -> None:
    folder = write_training(tmp_path / "silent", UNET)
    assert settled(imported(tmp_path / "one", folder)) == {"image_size": (64, ""), "dropout": (True, "")}
    options = {"crop_size": 128, "no_dropout": True, "netG": "unet_64", "ngf": 2, "norm": "batch", "model": "pix2pix"}
    folder = write_training(tmp_path / "telling", UNET, options)
    told = imported(tmp_path / "two", folder)
    assert told.config == UNET.model_copy(update={"image_size": 128, "dropout": False})
    assert settled(told)["dropout"] == (False, "train_opt.txt: no_dropout = True")
    said = imported(tmp_path / "three", folder, values=("image_size=192", "dropout=true"))
    assert said.config == UNET.model_copy(update={"image_size": 192})


@pytest.mark.parametrize("options", [{"netG": "unet_256"}, {"ngf": 64}, {"norm": "instance"}], ids=str)
def test_the_options_of_another_training_are_not_used(tmp_path: Path, options: dict[str, object]) -> None:
    folder = write_training(tmp_path / "run", UNET, {"no_dropout": True, **options})
    report = imported(tmp_path / "home", folder)
    assert settled(report)["dropout"] == (True, "")
    assert any("train_opt.txt" in remark for remark in report.remarks)


def test_a_size_that_the_generator_cannot_have_is_the_users_mistake(tmp_path: Path) -> None:
    folder = write_training(tmp_path / "run", UNET)
    with pytest.raises(OptionError, match="image_size"):
        imported(tmp_path / "home", folder, values=("image_size=100",))


@pytest.mark.parametrize(
    ("config", "default"), [(UNET, "pix2pix"), (RESNET.model_copy(update=INSTANCE), "cyclegan")], ids=["unet", "resnet"]
)
def test_a_generator_by_itself_is_of_the_paper_that_is_named(tmp_path: Path, config: Config, default: str) -> None:
    """By the user before the option file, by the option file before the release's defaults."""
    silent = write_training(tmp_path / "silent", config, alone=True)
    assert imported(tmp_path / "one", silent).card.model == default
    methods = {"pix2pix": "pix2pix", "cyclegan": "cycle_gan"}
    for number, (model, method) in enumerate(methods.items()):
        telling = write_training(tmp_path / method, config, {"model": method}, alone=True)
        assert imported(tmp_path / f"two{number}", telling).card.model == model
        assert imported(tmp_path / f"three{number}", silent, model).card.model == model


def test_a_u_net_that_may_be_bicyclegans_is_asked_for_unless_something_tells(tmp_path: Path) -> None:
    config = UNET.model_copy(update={"input_channels": 6, **INSTANCE})
    silent = write_training(tmp_path / "silent", config, alone=True)
    with pytest.raises(CheckpointError, match="fits several models: bicyclegan, pix2pix"):
        imported(tmp_path / "one", silent)
    assert imported(tmp_path / "two", silent, "pix2pix").config.model_dump()["input_channels"] == 6
    telling = write_training(tmp_path / "telling", config, {"model": "pix2pix"}, alone=True)
    assert imported(tmp_path / "three", telling).card.model == "pix2pix"


@pytest.mark.parametrize("channels", [65, 1000])
def test_more_channels_than_images_have_are_refused(channels: int) -> None:
    shapes = released(JUNYANZ_FORMAT, Pix2Pix, UNET) | {"G.model.model.0.weight": (2, channels, 4, 4)}
    with pytest.raises(CheckpointError, match="input_channels"):
        JUNYANZ_FORMAT.infer_config(shapes)
