"""The release's files, each network in one of its own, become a model that translates like an image."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from i2i_conformance.releases import recorded, released
from i2i_plugin_bicyclegan.config import Config
from i2i_plugin_bicyclegan.model import BicycleGAN
from i2i_plugin_bicyclegan.official import RELEASE_FORMAT
from i2i_registry import CheckpointError, ImportReport, Store, discover, find_files, import_checkpoint, open_model

SMALL = Config(image_size=64, levels=6, channels=2, encoder_channels=2, latent_dim=5)


def write_release(folder: Path, config: Config = SMALL, networks: tuple[str, ...] = ("G", "E", "D", "D2")) -> None:
    """State dicts as the authors' code saves them; the generator as torch before 0.4 did, with useless statistics."""
    folder.mkdir(exist_ok=True)
    generator = torch.Generator().manual_seed(0)
    beside = recorded(Path(__file__).with_name("official_names.json"))["nets_add_all"]
    shapes = {key: shape for key, shape in beside.items() if key.startswith("D")}
    shapes |= released(RELEASE_FORMAT, BicycleGAN, config)
    tensors = {key: torch.randn(shape, generator=generator) / 5 for key, shape in shapes.items()}
    width = config.widths[1]
    tensors |= {f"G.model.submodule.down.2.running_{name}": torch.ones(width) for name in ("mean", "var")}
    for name in networks:
        content = {key.partition(".")[2]: tensor for key, tensor in tensors.items() if key.startswith(f"{name}.")}
        torch.save(content, folder / f"latest_net_{name}.pth")


def load(path: Path) -> dict[str, Tensor]:
    return torch.load(path, weights_only=True)  # noqa: TID251 - written by this test


def imported(store: Store, *places: Path) -> ImportReport:
    return import_checkpoint(discover(), store, find_files([str(place) for place in places]), "shoes")


@pytest.mark.parametrize("whole_folder", [True, False])
def test_an_image_is_translated_like_another(tmp_path: Path, *, whole_folder: bool) -> None:
    folder, store = tmp_path / "edges2shoes", Store(tmp_path / "home")
    write_release(folder)
    files = [folder] if whole_folder else [folder / "latest_net_G.pth", folder / "latest_net_E.pth"]
    report = imported(store, *files)
    reasons = set(report.keys.dropped.values())
    assert any("before 0.4" in reason for reason in reasons)
    assert any("training" in reason for reason in reasons) is whole_folder
    model, _ = open_model(discover(), "shoes", store)
    assert isinstance(model, BicycleGAN)
    assert model.config == SMALL
    assert "translate_like" in {operation.name for operation in model.operations()}
    graphs = model.graphs()
    generator, encoder = (graphs[name].module.eval() for name in ("generator", "encoder"))
    image, *references = torch.rand(3, 1, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1
    with torch.no_grad():
        codes = [encoder(reference) for reference in references]
        codes = [code[0] if isinstance(code, tuple) else code for code in codes]
        first, second = (generator(image, code) for code in codes)
    assert codes[0].shape == (1, SMALL.latent_dim)
    assert first.shape == image.shape
    assert torch.isfinite(first).all()
    assert not torch.equal(first, second)


def test_every_tensor_is_the_one_of_its_file(tmp_path: Path) -> None:
    folder, store = tmp_path / "edges2shoes", Store(tmp_path / "home")
    write_release(folder)
    used = imported(store, folder).keys.used
    model, _ = open_model(discover(), "shoes", store)
    ours = {f"{name}.{key}": t for name, n in model.networks.items() for key, t in n.state_dict().items()}
    theirs = {f"{name}.{key}": t for name in "GE" for key, t in load(folder / f"latest_net_{name}.pth").items()}
    assert set(used.values()) == set(ours)
    assert all(torch.equal(ours[target], theirs[key]) for key, target in used.items())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"latent_dim": 8}, r"wrong shape: encoder\.log_variance\.bias is \(8,\), not \(5,\)"),
        ({"target_channels": 1}, r"encoder\.stem\.weight is \(2, 1, 4, 4\), not \(2, 3, 4, 4\)"),
        ({"image_size": 32, "levels": 5}, "image_size"),
    ],
)
def test_an_encoder_of_another_training_is_refused_by_what_does_not_fit(
    tmp_path: Path, change: dict[str, int], words: str
) -> None:
    write_release(tmp_path / "one", networks=("G",))
    write_release(tmp_path / "two", Config.model_validate(SMALL.model_dump() | change), networks=("E",))
    store = Store(tmp_path / "home")
    with pytest.raises(CheckpointError, match=words):
        imported(store, tmp_path / "one" / "latest_net_G.pth", tmp_path / "two" / "latest_net_E.pth")
    assert store.cards() == ()


def test_an_encoder_without_its_generator_says_how_to_import_both(tmp_path: Path) -> None:
    write_release(tmp_path / "edges2shoes", networks=("E", "D"))
    with pytest.raises(CheckpointError, match=r"import bicyclegan latest_net_G\.pth latest_net_E\.pth"):
        imported(Store(tmp_path / "home"), tmp_path / "edges2shoes")
