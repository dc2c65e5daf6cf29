"""The release's files, one generator in each, become a model of both directions."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from i2i_conformance.releases import released
from i2i_plugin_cyclegan.config import Config
from i2i_plugin_cyclegan.model import CycleGAN
from i2i_plugin_cyclegan.official import JUNYANZ_FORMAT
from i2i_registry import (
    CheckpointError,
    ImportReport,
    Registry,
    Store,
    discover,
    find_files,
    import_checkpoint,
    open_model,
)

TINY = Config(channels=2, res_blocks=2)


def saved(config: Config) -> dict[str, tuple[int, ...]]:
    """The files of both generators, or the one file of the only one."""
    return {key.removeprefix("G."): shape for key, shape in released(JUNYANZ_FORMAT, CycleGAN, config).items()}


def write_release(folder: Path, config: Config = TINY, networks: tuple[str, ...] = ("G_A", "G_B")) -> Path:
    """What a training leaves; G_B as torch before 0.4 wrote it, and G_A as several GPUs did."""
    folder.mkdir(exist_ok=True)
    generator = torch.Generator().manual_seed(0)
    tensors = {key: torch.randn(shape, generator=generator) for key, shape in saved(config).items()}
    tensors |= {"G_B.model.2.running_mean": torch.zeros(config.channels)}
    tensors |= {f"D_{name}.model.0.weight": torch.zeros(2, 3, 4, 4) for name in "AB"}
    tensors |= {"D_B.net.0.weight": torch.zeros(2, 3, 1, 1)}
    for name in networks:
        wrapped = "module." if name == "G_A" else ""
        content = {
            f"{wrapped}{key.partition('.')[2]}": tensor for key, tensor in tensors.items() if key.startswith(f"{name}.")
        }
        torch.save(content, folder / f"latest_net_{name}.pth")
    return folder


def imported(store: Store, *places: Path) -> ImportReport:
    return import_checkpoint(discover(), store, find_files([str(place) for place in places]), "horses")


def test_two_generators_translate_both_ways(tmp_path: Path) -> None:
    folder, store = write_release(tmp_path / "release"), Store(tmp_path / "home")
    report = imported(store, folder / "latest_net_G_A.pth", folder / "latest_net_G_B.pth")
    assert set(report.keys.dropped) == {"G_B.model.2.running_mean"}
    model, _ = open_model(discover(), "horses", store)
    assert model.config == TINY
    theirs = torch.load(folder / "latest_net_G_B.pth", weights_only=True)  # noqa: TID251 - written by this test
    ours = model.networks["b_to_a"].state_dict()
    assert all(torch.equal(tensor, theirs[key]) for key, tensor in ours.items())
    image = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1
    with torch.no_grad():
        forth, back = (model.networks[name].eval()(image) for name in ("a_to_b", "b_to_a"))
    assert forth.shape == back.shape == image.shape
    assert not torch.equal(forth, back)


def test_a_training_folder_is_imported_without_its_discriminators(tmp_path: Path) -> None:
    folder = write_release(tmp_path / "release", networks=("G_A", "G_B", "D_A", "D_B"))
    dropped = imported(Store(tmp_path / "home"), folder).keys.dropped
    discriminators = {key for key, reason in dropped.items() if "training" in reason}
    assert discriminators == {"D_A.model.0.weight", "D_B.model.0.weight", "D_B.net.0.weight"}


def test_the_way_there_and_its_discriminator_are_a_model_of_one_direction(tmp_path: Path) -> None:
    folder = write_release(tmp_path / "release", networks=("G_A", "D_A"))
    assert imported(Store(tmp_path / "home"), folder).card.config["directions"] == "a_to_b"


def test_the_way_back_alone_is_refused_beside_others_and_taken_by_itself(tmp_path: Path) -> None:
    folder, store = write_release(tmp_path / "release", networks=("G_B", "D_B")), Store(tmp_path / "home")
    with pytest.raises(CheckpointError, match="G_B without G_A"):
        imported(store, folder)
    assert imported(store, folder / "latest_net_G_B.pth").card.config["directions"] == "a_to_b"


@pytest.mark.parametrize(
    ("change", "words"), [({"channels": 3}, "wrong shape: b_to_a"), ({"res_blocks": 1}, r"missing: b_to_a")]
)
def test_generators_of_two_trainings_are_refused_by_what_does_not_fit(
    tmp_path: Path, change: dict[str, int], words: str
) -> None:
    one = write_release(tmp_path / "one", networks=("G_A",))
    two = write_release(tmp_path / "two", TINY.model_copy(update=change), networks=("G_B",))
    store = Store(tmp_path / "home")
    with pytest.raises(CheckpointError, match=words):
        imported(store, one / "latest_net_G_A.pth", two / "latest_net_G_B.pth")
    assert store.cards() == ()


@pytest.mark.parametrize(
    "change",
    [
        {"generator": "unet", "levels": 5, "image_size": 32},
        {"generator": "unet", "levels": 6, "image_size": 64, "norm": "batch"},
        {"norm": "batch"},
        {"norm": "none"},
        {"norm": "batch", "dropout": True},
        {"channels_a": 4, "channels_b": 4},
        {"channels_b": 1},
    ],
    ids=str,
)
def test_any_generators_of_the_release_are_a_model_of_both_directions(
    tmp_path: Path, change: dict[str, object]
) -> None:
    config = Config.model_validate({"channels": 2, **change})
    shapes = saved(config)
    for name in ("G_A", "G_B"):
        own = {k.removeprefix(f"{name}."): torch.rand(s) for k, s in shapes.items() if k.startswith(f"{name}.")}
        torch.save(own, tmp_path / f"latest_net_{name}.pth")
    report = imported(Store(tmp_path / "home"), tmp_path)
    assert report.config == config
    image = torch.rand(1, config.image_channels, 64, 64)
    with torch.no_grad():
        made = [graph.module.eval()(image) for graph in open_model(*_named(tmp_path))[0].graphs().values()]
    assert [result.shape[1] for result in made] == [config.channels_b, config.channels_a]


def _named(home: Path) -> tuple[Registry, str, Store]:
    return discover(), "horses", Store(home / "home")


def test_generators_that_no_image_serves_are_imported_one_by_one(tmp_path: Path) -> None:
    config = Config(channels=2, channels_a=6, directions="a_to_b")
    torch.save({k: torch.rand(s) for k, s in saved(config).items()}, tmp_path / "latest_net_G_A.pth")
    back = Config(channels=2, channels_b=6, directions="a_to_b")
    torch.save({k: torch.rand(s) for k, s in saved(back).items()}, tmp_path / "latest_net_G_B.pth")
    store = Store(tmp_path / "home")
    with pytest.raises(CheckpointError, match="6 and of 3 channels") as caught:
        imported(store, tmp_path)
    assert "each generator by itself" in caught.value.fix
    assert imported(store, tmp_path / "latest_net_G_A.pth").config == config
