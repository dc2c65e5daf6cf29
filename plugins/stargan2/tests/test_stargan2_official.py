from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from i2i_conformance.command_line import run_command
from i2i_conformance.releases import converted, filled, recorded, released
from i2i_plugin_stargan2.config import PRESETS, Config
from i2i_plugin_stargan2.model import StarGAN2
from i2i_plugin_stargan2.official import CLOVA_FORMAT
from i2i_registry import CheckpointError, Imported, Store, discover, find_checkpoint, find_files, import_checkpoint
from i2i_runtime import UsageError, read_manifest

SMALL = {"image_size": 64, "channel_base": 256, "max_channels": 8, "latent_dim": 5, "style_dim": 6}
PLAIN = Config.model_validate(SMALL | {"mapping_channels": 8, "fan_channels": 4})
FACES = PLAIN.model_copy(update={"high_pass": 1.0, "domains": ("female", "male")})
VARIANTS = [
    PLAIN,
    FACES,
    PLAIN.model_copy(update={"image_size": 32, "channel_base": 128}),
    FACES.model_copy(update={"image_size": 128, "channel_base": 512}),
    PLAIN.model_copy(update={"domains": tuple("abcdefghijkl")}),
]

Shapes = dict[str, tuple[int, ...]]


def saved_by_release(config: Config, *, averaged: bool = True) -> Shapes:
    shapes = released(CLOVA_FORMAT, StarGAN2, config)
    whole = recorded(Path(__file__).with_name("official_names.json"))["nets_w0"]
    beside = {} if averaged else {key: shape for key, shape in whole.items() if key.startswith("discriminator.")}
    return shapes | beside


@pytest.mark.parametrize("config", VARIANTS, ids=lambda c: f"{c.image_size}-{c.high_pass:g}-{len(c.domains)}")
def test_every_tensor_arrives_where_the_inferred_model_has_it(config: Config) -> None:
    shapes = saved_by_release(config)
    inferred = CLOVA_FORMAT.infer_config(shapes)
    told = inferred.model_copy(update={"domains": config.domains})
    assert told == config if config.has_masks else told.model_copy(update={"fan_channels": 4}) == config
    assert converted(CLOVA_FORMAT, StarGAN2(inferred), filled(shapes)).used.keys() == shapes.keys()


@pytest.mark.parametrize("preset", ["afhq", "celeba_hq"])
def test_the_published_models_are_told_from_their_shapes(preset: str) -> None:
    config = PRESETS[preset]
    inferred = CLOVA_FORMAT.infer_config(saved_by_release(config))
    assert inferred.model_copy(update={"domains": config.domains}) == config
    assert len(inferred.domains) == len(config.domains)


def test_the_filter_that_old_files_lack_is_made() -> None:
    shapes = saved_by_release(FACES)
    del shapes["generator.hpf.filter"]
    model = StarGAN2(FACES)
    assert converted(CLOVA_FORMAT, model, filled(shapes)).filled == ("generator.hpf.filter",)
    kernel = model.networks["generator"].state_dict()["high_pass.kernel"]
    assert kernel[1, 1] == 8
    assert kernel.sum() == 0


def test_the_filter_of_a_file_is_kept() -> None:
    tensors = filled(saved_by_release(FACES))
    model = StarGAN2(FACES)
    assert converted(CLOVA_FORMAT, model, tensors).filled == ()
    kernel = model.networks["generator"].state_dict()["high_pass.kernel"]
    assert torch.equal(kernel, tensors["generator.hpf.filter"])


def test_weights_that_are_no_average_are_told_by_their_discriminator() -> None:
    raw = converted(CLOVA_FORMAT, StarGAN2(PLAIN), filled(saved_by_release(PLAIN, averaged=False)))
    assert all("not their moving average" in reason for reason in raw.dropped.values())
    assert any(key.startswith("discriminator.") for key in raw.dropped)
    assert not converted(CLOVA_FORMAT, StarGAN2(PLAIN), filled(saved_by_release(PLAIN))).dropped


def test_the_landmark_network_may_come_from_its_own_file() -> None:
    shapes = saved_by_release(FACES)
    apart = {k.replace("fan.", "wing.state_dict.") if k.startswith("fan.") else k: s for k, s in shapes.items()}
    apart["wing.state_dict.al0.weight"] = (3, 3)
    assert CLOVA_FORMAT.infer_config(apart).fan_channels == FACES.fan_channels
    together, report = (converted(CLOVA_FORMAT, StarGAN2(FACES), filled(s)) for s in (shapes, apart))
    assert set(report.used.values()) == set(together.used.values())
    assert "no layer" in report.dropped["wing.state_dict.al0.weight"]


def test_of_two_landmark_networks_that_of_the_checkpoint_counts() -> None:
    shapes = saved_by_release(FACES)
    twice = shapes | {key.replace("fan.", "wing."): s for key, s in shapes.items() if key.startswith("fan.")}
    report = converted(CLOVA_FORMAT, StarGAN2(FACES), filled(twice))
    assert not any(key.startswith("wing.") for key in report.used)


def test_a_landmark_network_beside_a_model_that_needs_none_is_left_out() -> None:
    """The release keeps wing.ckpt beside the trainings of animals too."""
    fan = {k.replace("fan.", "wing."): s for k, s in saved_by_release(FACES).items() if k.startswith("fan.")}
    shapes = saved_by_release(PLAIN)
    report = converted(CLOVA_FORMAT, StarGAN2(PLAIN), filled(shapes | fan))
    assert report.used.keys() == shapes.keys()
    assert len(report.dropped) == len(fan)


def test_parts_of_two_sizes_are_refused() -> None:
    shapes, other = saved_by_release(PLAIN), saved_by_release(VARIANTS[3])
    mixed = {k: s for k, s in shapes.items() if not k.startswith("style_")}
    mixed |= {k: s for k, s in other.items() if k.startswith("style_")}
    with pytest.raises(CheckpointError, match="128 pixels"):
        CLOVA_FORMAT.infer_config(mixed)


def test_a_checkpoint_without_all_three_networks_is_not_recognised() -> None:
    for network in ("generator", "mapping_network", "style_encoder"):
        shapes = {key: shape for key, shape in saved_by_release(PLAIN).items() if not key.startswith(network)}
        assert not CLOVA_FORMAT.detect(shapes)


# --- As a user does it ------------------------------------------------------------------------------------------------


def nested(tensors: Mapping[str, Tensor], start: str = "") -> dict[str, dict[str, Tensor]]:
    """Network -> its tensors."""
    networks: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        name, inner = key.split(".", 1)
        networks.setdefault(name, {})[f"{start}{inner}"] = tensor
    return networks


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A file as the release saves it, a dictionary of networks; its keys those of one week in April 2021."""
    torch.save(nested(filled(saved_by_release(PLAIN)), "module."), tmp_path / "100000_nets_ema.ckpt")
    return tmp_path / "100000_nets_ema.ckpt"


def test_an_import_names_the_domains_and_the_licence(checkpoint: Path, tmp_path: Path) -> None:
    store, registry = Store(tmp_path / "store"), discover(strict=False)
    report = import_checkpoint(registry, store, checkpoint, "animals", model="stargan2", domains=["cat", "dog", "wild"])
    assert report.card.config["domains"] == ["cat", "dog", "wild"]
    assert report.card.licence.spdx == "CC-BY-NC-4.0"


def test_the_landmark_network_comes_with_the_file_that_the_release_keeps_it_in(tmp_path: Path) -> None:
    shapes = saved_by_release(FACES)
    nets = {key: tensor for key, tensor in filled(shapes).items() if not key.startswith("fan.")}
    torch.save(nested(nets), tmp_path / "100000_nets_ema.ckpt")
    fan = {key.removeprefix("fan."): tensor for key, tensor in filled(shapes).items() if key.startswith("fan.")}
    torch.save({"state_dict": {**fan, "al0.weight": torch.zeros(3)}}, tmp_path / "wing.ckpt")
    store, files = Store(tmp_path / "store"), find_files([str(tmp_path)])
    report = import_checkpoint(discover(strict=False), store, files, "faces", domains=["female", "male"])
    assert report.config == FACES
    assert isinstance(report.card.provenance, Imported)
    assert {f.name: f.prefix for f in report.card.provenance.files} == {"100000_nets_ema.ckpt": "", "wing.ckpt": "wing"}
    stored = load_file(store.get("faces")[1])
    assert torch.equal(stored["fan.stem.conv.weight"], fan["conv1.conv.weight"])


def test_a_missing_landmark_network_is_named_and_the_command_that_is_told_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tensors, store = filled(saved_by_release(FACES)), Store(tmp_path / "store")
    nets = {key: tensor for key, tensor in tensors.items() if not key.startswith("fan.")}
    torch.save(nested(nets), tmp_path / "100000_nets_ema.ckpt")
    with pytest.raises(CheckpointError, match="landmark network is missing") as caught:
        import_checkpoint(discover(strict=False), store, tmp_path / "100000_nets_ema.ckpt", "faces")
    assert store.cards() == ()
    fan = {key.removeprefix("fan."): tensor for key, tensor in tensors.items() if key.startswith("fan.")}
    torch.save({"state_dict": fan}, tmp_path / "wing.ckpt")
    monkeypatch.chdir(tmp_path)
    assert run_command([word.replace("NAME", "faces") for word in caught.value.fix.split()[1:]], store) == 0


def test_of_a_whole_folder_of_the_trainer_the_last_averages_are_taken(tmp_path: Path) -> None:
    """Networks, averages and optimizers of every so many steps, as the release's trainer writes them."""
    for step in (5000, 10000):
        raw = filled(saved_by_release(PLAIN, averaged=False))
        torch.save(nested(raw), tmp_path / f"{step:06}_nets.ckpt")
        torch.save(nested(filled(saved_by_release(PLAIN))), tmp_path / f"{step:06}_nets_ema.ckpt")
        torch.save({"generator": {"state": {0: {"exp_avg": torch.ones(1)}}}}, tmp_path / f"{step:06}_optims.ckpt")
    report = import_checkpoint(
        discover(strict=False), Store(tmp_path / "store"), find_checkpoint([str(tmp_path)]), "animals"
    )
    assert isinstance(report.card.provenance, Imported)
    assert [file.name for file in report.card.provenance.files] == ["010000_nets_ema.ckpt"]
    told = " ".join(report.remarks)
    assert "optims.ckpt" in told
    assert "taken: the averages (ema)" in told


def test_from_a_file_of_the_release_to_a_bundle_that_says_what_may_be_done_with_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, store = tmp_path / "020000_nets.ckpt", Store(tmp_path / "store")
    torch.save(nested(filled(saved_by_release(PLAIN, averaged=False))), file)

    def said(*arguments: str | Path) -> str:
        assert run_command(arguments, store) == 0
        return "".join(capsys.readouterr())

    imported = said("import", file, "--as", "animals")
    assert "not their moving average" in imported
    assert "taken for granted: domains = domain_0, domain_1, domain_2" in imported
    bundle = tmp_path / "bundle"
    for words in (imported, said("info", "animals"), said("export", "animals", "--onnx", "-o", bundle)):
        assert "CC-BY-NC-4.0" in words
        assert "NOT for commercial use" in words
    assert read_manifest(bundle).weights.licence.non_commercial
    assert "CC-BY-NC-4.0 (non-commercial)" in said("inspect", bundle)


@pytest.mark.parametrize("domains", [["cat", "dog"], ["cat", "dog", "wild", "bird"]])
def test_another_number_of_domains_is_refused(checkpoint: Path, tmp_path: Path, domains: list[str]) -> None:
    store = Store(tmp_path / "store")
    with pytest.raises(UsageError, match=f"{len(domains)} domains") as caught:
        import_checkpoint(discover(strict=False), store, checkpoint, "animals", model="stargan2", domains=domains)
    assert caught.value.expected.startswith("3")
    assert not store.cards()


def test_a_name_given_twice_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    domains = ["cat", "dog", "dog"]
    with pytest.raises(UsageError, match="a name of its own"):
        import_checkpoint(
            discover(strict=False), Store(tmp_path), checkpoint, "animals", model="stargan2", domains=domains
        )
