"""Checkpoints of several files: found in order, read as one, refused as one, and all of them recorded."""

from __future__ import annotations

import os
import pickle
import re
import shlex
from pathlib import Path

import pytest
import torch

from i2i_registry.checkpoints.tensor_files import read_tensors
from i2i_registry.errors import CheckpointError
from i2i_registry.importing import files as checkpoint_files
from i2i_registry.importing.files import find_checkpoint, find_files, read_checkpoint_files
from i2i_registry.importing.importer import import_checkpoint
from i2i_registry.importing.wrappers import Unwrapped, parts
from i2i_registry.interfaces.cards import Imported, ImportedFile
from i2i_registry.plugins.discovery import Registry
from i2i_registry.weights.store import Store
from i2i_runtime.errors import UsageError
from i2i_runtime.files.regular import sha256_of


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """The toy's generator and discriminator as a release would leave them: one wrapped, one not, and other things."""
    folder = tmp_path / "release"
    folder.mkdir()
    conv = torch.nn.Conv2d(3, 5, 1)
    generator = {f"module.conv.{key}": value for key, value in conv.state_dict().items()}
    torch.save(generator, folder / "latest_net_G.pth")
    torch.save({"w": torch.ones(2)}, folder / "latest_net_D.pth")
    (folder / "opt.txt").write_text("lr: 0.0002")
    return folder


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    return folder


# --- Which files, and their prefixes ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "prefixes"),
    [
        (("latest_net_G_A.pth", "latest_net_G_B.pth"), ["G_A", "G_B"]),
        (("edges2shoes_net_G.pth", "edges2shoes_net_E.pth"), ["E", "G"]),
        (("100000_nets_ema.ckpt", "wing.ckpt"), ["", "wing"]),
        (("Gs.pth", "NoiseAmp.pth", "0/netG.pth", "1/netG.pth"), ["0.netG", "1.netG", "Gs", "NoiseAmp"]),
        (("G.PTH", "fixed_noise.pth", "loss.txt", ".hidden.pth", ".cache/x.pth"), ["G", "fixed_noise"]),
        (("latest_net_G.pth", "opt.txt"), [""]),
    ],
)
def test_the_files_of_a_folder_get_prefixes_in_order(
    tmp_path: Path, names: tuple[str, ...], prefixes: list[str]
) -> None:
    assert list(find_files([str(touch(tmp_path, *names))])) == prefixes


def test_files_keep_the_order_they_are_named_in_and_one_alone_has_no_prefix(tmp_path: Path) -> None:
    folder = touch(tmp_path, "latest_net_G.pth", "latest_net_E.pth", "encoder.bin")
    generator, encoder = folder / "latest_net_G.pth", folder / "encoder.bin"
    assert find_files([str(generator)]) == {"": generator}
    assert find_files([f"G={generator}"]) == {"G": generator}
    assert list(find_files([str(generator), f"E={encoder}"]).items()) == [("G", generator), ("E", encoder)]
    odd = touch(tmp_path, "a=b.pth") / "a=b.pth"
    assert find_files([str(odd)]) == {"": odd}


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("a/x_net_G.pth", "b/x_net_G.pth"), "2 trainings: a, b"),
        (("a/x_net_G.pth", "b/y_net_G.pth"), "2 trainings: a, b"),
        (("bags_net_G.pth", "bags_net_E.pth", "shoes_net_G.pth"), "networks of 2 releases: bags, shoes"),
        (("x.txt", "1/2/3/4/too_deep.pth"), "no checkpoint in the folder"),
    ],
)
def test_a_folder_that_is_not_one_checkpoint_is_wrong_usage(tmp_path: Path, names: tuple[str, ...], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        find_files([str(touch(tmp_path, *names))])


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    for place in (f"{tmp_path}/none.pth", f"G={tmp_path}/none.pth"):
        with pytest.raises(UsageError, match=r"none\.pth does not exist"):
            find_files([place])
    with pytest.raises(UsageError, match="is no file"):
        find_files([f"G={tmp_path}"])


@pytest.mark.parametrize(("limit", "value"), [("MOST_ENTRIES", 2), ("MOST_FILES", 2), ("MOST_BYTES", 2)])
def test_more_than_a_checkpoint_can_be_is_not_looked_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    folder = touch(tmp_path, "a.pth", "b.pth", "c.pth")
    assert len(find_files([str(folder)])) == 3
    monkeypatch.setattr(checkpoint_files, limit, value)
    with pytest.raises(UsageError, match=r"one checkpoint"):
        find_files([str(folder)])


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_no_link_leads_out_of_a_folder(tmp_path: Path) -> None:
    folder, outside = touch(tmp_path / "in", "a_net_G.pth"), touch(tmp_path / "out", "secret.pth")
    (folder / "elsewhere").symlink_to(outside)
    assert list(find_files([str(folder)]).values()) == [folder / "a_net_G.pth"]
    (folder / "b_net_E.pth").symlink_to(folder / "a_net_G.pth")
    assert sorted(find_files([str(folder)])) == ["E", "G"]
    (folder / "c.pth").symlink_to(outside / "secret.pth")
    with pytest.raises(UsageError, match=r"c\.pth is a link out of the folder"):
        find_files([str(folder)])
    (folder / "c.pth").unlink()
    (folder / "c.pth").symlink_to(folder / "gone.pth")
    with pytest.raises(UsageError, match=r"c\.pth does not exist"):
        find_files([str(folder)])


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes there")
def test_a_pipe_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.pth")
    for place in (tmp_path, tmp_path / "a.pth"):
        with pytest.raises(UsageError, match="is no file"):
            find_files([str(place)])


@pytest.mark.parametrize(
    ("names", "taken", "words"),
    [
        # junyanz: every few epochs, and the last as "latest"
        (
            ("5_net_G.pth", "10_net_G.pth", "latest_net_G.pth", "5_net_D.pth", "10_net_D.pth", "latest_net_D.pth"),
            {"G": "latest_net_G.pth", "D": "latest_net_D.pth"},
            "taken: latest, of latest, 10, 5",
        ),
        (("5_net_G.pth", "10_net_G.pth", "10_net_E.pth"), {"G": "10_net_G.pth", "E": "10_net_E.pth"}, "taken: 10"),
        # a training that was stopped while it wrote "latest"
        (
            ("latest_net_G.pth", "5_net_G.pth", "5_net_E.pth"),
            {"G": "5_net_G.pth", "E": "5_net_E.pth"},
            "taken: 5, of latest, 5",
        ),
        # StarGAN v2
        (
            tuple(f"{step:06}_{kind}.ckpt" for step in (10000, 20000) for kind in ("nets", "nets_ema", "optims")),
            {"": "020000_nets_ema.ckpt"},
            "taken: 020000, of 020000, 010000",
        ),
        (
            ("100000_nets_ema.ckpt", "100000_nets.ckpt", "wing.ckpt"),
            {"": "100000_nets_ema.ckpt", "wing": "wing.ckpt"},
            "ema",
        ),
        # U-GAT-IT: numbered ones in a folder of their own
        (
            ("model/cat_params_0000100.pt", "model/cat_params_0000200.pt", "cat_params_latest.pt"),
            {"": "cat_params_latest.pt"},
            "taken: latest",
        ),
        # InGAN
        (
            ("checkpoint_0000100.pth.tar", "checkpoint_0075000.pth.tar"),
            {"": "checkpoint_0075000.pth.tar"},
            "taken: 0075000",
        ),
        # Lightning: the best few, and the last
        (
            ("epoch=3-step=900.ckpt", "epoch=12-step=400.ckpt"),
            {"": "epoch=12-step=400.ckpt"},
            "taken: epoch=12-step=400, of epoch=12-step=400, epoch=3-step=900",
        ),
        (("epoch=3-step=900.ckpt", "last.ckpt"), {"": "last.ckpt"}, "taken: last"),
    ],
)
def test_of_several_moments_and_averages_one_is_taken_and_told(
    tmp_path: Path, names: tuple[str, ...], taken: dict[str, str], words: str
) -> None:
    found = find_checkpoint([str(touch(tmp_path, *names))])
    assert {prefix: str(path.relative_to(tmp_path)) for prefix, path in found.files.items()} == taken
    assert words in " ".join(found.remarks)
    for remark in found.remarks:
        for command in re.findall(r"i2i-registry import (.+) --as NAME", remark):
            other = find_checkpoint(shlex.split(command))
            assert other.files.keys() == found.files.keys()
            assert other.files != found.files


@pytest.mark.parametrize(
    "names",
    [
        ("ffhq/1_nets_ema.ckpt", "afhq/1_nets_ema.ckpt", "wing.ckpt"),
        ("2020_a/G.pth", "2020_a/reals.pth", "2021_b/G.pth", "2021_b/reals.pth"),
        ("bags_net_G.pth", "bags_net_E.pth", "shoes_net_G.pth", "shoes_net_E.pth"),
    ],
)
def test_for_each_of_several_trainings_there_is_a_command_that_works(tmp_path: Path, names: tuple[str, ...]) -> None:
    with pytest.raises(UsageError) as caught:
        find_checkpoint([str(touch(tmp_path, *names))])
    commands = re.findall(r"i2i-registry import (.+?) --as NAME", caught.value.fix)
    assert len(commands) == 2
    first, second = (find_checkpoint(shlex.split(command)).files for command in commands)
    assert first.keys() == second.keys()
    assert not set(first.values()) & set(second.values()) - {tmp_path / "wing.ckpt"}


def test_a_training_inside_a_parent_folder_is_found(tmp_path: Path) -> None:
    touch(tmp_path, "image/run/G.pth", "image/run/0/netG.pth")
    assert sorted(find_files([str(tmp_path)])) == ["0.netG", "G"]


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("checkpoint", "x.model-1.index", "x.model-1.meta", "x.model-1.data-00000-of-00001"), "of TensorFlow"),
        (("generator.h5",), "of Keras"),
    ],
)
def test_files_of_another_framework_are_named(tmp_path: Path, names: tuple[str, ...], words: str) -> None:
    touch(tmp_path, *names)
    for place in (tmp_path, tmp_path / names[-1]):
        with pytest.raises(UsageError, match=words):
            find_checkpoint([str(place)])


# --- Read as one ------------------------------------------------------------------------------------------------------


def test_tensors_are_named_by_file_and_contents_stay_reachable(tmp_path: Path) -> None:
    (tmp_path / "0").mkdir()
    torch.save({"head.weight": torch.ones(1)}, tmp_path / "0" / "netG.pth")
    torch.save(torch.ones(2), tmp_path / "0" / "z_opt.pth")
    torch.save([1, torch.tensor(0.5)], tmp_path / "NoiseAmp.pth")
    torch.save({"fan": {"w": torch.ones(3)}}, tmp_path / "100000_nets_ema.ckpt")
    checkpoint = read_checkpoint_files(find_files([str(tmp_path)]))
    assert checkpoint.shapes == {"0.netG.head.weight": (1,), "0.z_opt": (2,), "NoiseAmp.1": (), "fan.w": (3,)}
    assert checkpoint.files["NoiseAmp"].content == [1, torch.tensor(0.5)]


def test_one_name_for_two_tensors_is_refused(tmp_path: Path) -> None:
    torch.save({"wing": {"w": torch.ones(1)}}, tmp_path / "1_nets.ckpt")
    torch.save({"w": torch.ones(1)}, tmp_path / "wing.ckpt")
    with pytest.raises(CheckpointError, match=r"wing\.ckpt holds 'wing\.w'"):
        read_checkpoint_files(find_files([str(tmp_path)]))


# --- Imported ---------------------------------------------------------------------------------------------------------


def test_a_folder_becomes_weights_whose_card_names_every_file(registry: Registry, store: Store, release: Path) -> None:
    report = import_checkpoint(registry, store, find_files([str(release)]), "animals")
    assert report.keys.used == {"G.conv.weight": "net.conv.weight", "G.conv.bias": "net.conv.bias"}
    assert report.keys.dropped == {"D.w": "the discriminator is for training only"}
    provenance = store.find("animals").provenance
    assert isinstance(provenance, Imported)
    assert provenance.files == tuple(
        ImportedFile(name=f"latest_net_{name}.pth", prefix=name, sha256=sha256_of(release / f"latest_net_{name}.pth"))
        for name in ("D", "G")
    )
    first = provenance.files[0].sha256[:12]
    layout = f"(in the layout of nobody/toy, sha256 {first})"
    assert provenance.sentence() == f"imported from latest_net_D.pth {layout} and latest_net_G.pth"
    saved = torch.load(release / "latest_net_G.pth", weights_only=True)  # noqa: TID251 - this test wrote it
    stored = read_tensors(store.get("animals")[1])
    assert torch.equal(stored["net.conv.weight"], saved["module.conv.weight"])


def test_one_bad_file_of_the_set_is_named_and_nothing_is_stored(
    registry: Registry, store: Store, release: Path, tmp_path: Path
) -> None:
    class Payload:
        def __reduce__(self) -> tuple[object, tuple[object, ...]]:
            return open, (str(tmp_path / "owned"), "w")

    bad = release / "latest_net_D.pth"
    for content, words in (
        (pickle.dumps({"w": Payload()}), r"latest_net_D\.pth: the file would run _?io\.open"),
        (bad.read_bytes()[:-100], r"latest_net_D\.pth cannot be read"),
    ):
        bad.write_bytes(content)
        with pytest.raises(CheckpointError, match=words):
            import_checkpoint(registry, store, find_files([str(release)]), "animals")
    assert store.cards() == ()
    assert not (tmp_path / "owned").exists()


def test_files_of_no_model_are_told_with_what_each_is_taken_for(
    registry: Registry, store: Store, release: Path
) -> None:
    files = {"A": release / "latest_net_G.pth", "D": release / "latest_net_D.pth"}
    with pytest.raises(
        CheckpointError, match=r"A=.*latest_net_G\.pth \+ D=.*latest_net_D\.pth fits no installed model"
    ):
        import_checkpoint(registry, store, files, "animals")


def test_a_long_list_of_files_is_shortened() -> None:
    files = tuple(ImportedFile(name=f"{number}.pth", prefix=str(number), sha256="0" * 64) for number in range(34))
    sentence = Imported(source="a/b", files=files).sentence()
    assert sentence == "imported from 0.pth (in the layout of a/b, sha256 000000000000) and 33 more files"


@pytest.mark.parametrize("model", [None, "toy"])
def test_a_discriminator_alone_is_named(registry: Registry, store: Store, release: Path, model: str | None) -> None:
    with pytest.raises(
        CheckpointError, match="only what is left out of toy: the discriminator is for training"
    ) as caught:
        import_checkpoint(registry, store, find_checkpoint([str(release / "latest_net_D.pth")]), "x", model=model)
    assert "the folder of the training" in caught.value.fix
    assert import_checkpoint(registry, store, find_checkpoint([str(release)]), "x", model=model).card.model == "toy"


# --- Wrappers ---------------------------------------------------------------------------------------------------------


def toy_state(scale: float = 1.0) -> dict[str, torch.Tensor]:
    return {"G.conv.weight": torch.full((5, 3, 1, 1), scale), "G.conv.bias": torch.full((5,), scale)}


def compiled(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {f"_orig_mod.{key}": tensor for key, tensor in state.items()}


def in_module(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {f"generator.{key}": tensor for key, tensor in state.items()} | {"critic.w": torch.ones(1)}


@pytest.mark.parametrize(
    ("content", "words", "left"),
    [
        (compiled(toy_state()), "_orig_mod", 0),
        (
            {"G": {"_orig_mod.conv.weight": torch.ones(5, 3, 1, 1), "_orig_mod.conv.bias": torch.ones(5)}},
            "_orig_mod",
            0,
        ),
        ({"state_dict": toy_state(), "epoch": 7, "optimizer": {"lr": torch.tensor(0.1)}}, "state_dict", 1),
        ({"model": compiled(toy_state()), "step": torch.tensor(7)}, "model", 1),
        ({"ema": toy_state(), "model": toy_state(2.0)}, "ema (averages)", 2),
        ({"module": {"state_dict": toy_state()}}, "taken: the network module.state_dict", 0),
        ({"state_dict": in_module(toy_state())}, "taken: the network state_dict.generator", 1),
        ({"first": toy_state(), "other": {"w": torch.ones(1)}}, "taken: the network first", 1),
    ],
)
def test_usual_wrappers_are_taken_off_and_told(
    registry: Registry, store: Store, tmp_path: Path, content: dict[str, object], *, words: str, left: int
) -> None:
    torch.save(content, tmp_path / "x.pth")
    report = import_checkpoint(registry, store, tmp_path / "x.pth", "x")
    assert words in " ".join(report.remarks)
    assert len(report.keys.used) == 2
    assert len(report.keys.dropped) == left
    assert read_tensors(store.get("x")[1])["net.conv.bias"].tolist() == [1.0] * 5


def test_the_wrapper_of_each_file_is_taken_off(registry: Registry, store: Store, tmp_path: Path) -> None:
    conv = {"conv.weight": torch.ones(5, 3, 1, 1), "conv.bias": torch.ones(5)}
    torch.save({"state_dict": conv, "epoch": torch.tensor(3)}, tmp_path / "latest_net_G.pth")
    torch.save({"state_dict": {"w": torch.ones(2)}}, tmp_path / "latest_net_D.pth")
    report = import_checkpoint(registry, store, find_checkpoint([str(tmp_path)]), "x")
    assert report.keys.used.keys() == {"G.conv.weight", "G.conv.bias"}
    assert report.keys.dropped.keys() == {"D.w", "G.epoch"}
    assert report.remarks == ("wrapper taken off: state_dict",)


def test_many_names_of_no_network_are_looked_through_once_a_level() -> None:
    """Thousands of groups, none of them a network: what is kept grows with the names, not with their square."""
    tensor = torch.ones(1)
    tensors = {f"{first}.{second}.w": tensor for first in range(5_000) for second in range(4)}
    levels = list(parts(Unwrapped(tensors)))
    assert sum(len(part.tensors) + len(part.left_out) for level in levels for part in level) < 3 * len(tensors)


def test_several_networks_in_one_file_are_listed_with_a_command_for_each(
    registry: Registry, store: Store, tmp_path: Path
) -> None:
    torch.save({"there": toy_state(), "back": toy_state(2.0)}, tmp_path / "x.pth")
    for model in (None, "toy"):
        with pytest.raises(UsageError, match="holds 2 networks: there, back") as caught:
            import_checkpoint(registry, store, tmp_path / "x.pth", "x", model=model)
        networks = re.findall(r"--network (\S+)", caught.value.fix)
        assert networks == ["there", "back"]
    for value, network in enumerate(networks, start=1):
        report = import_checkpoint(registry, store, tmp_path / "x.pth", network, network=network)
        assert f"taken: the network {network}" in report.remarks[0]
        assert read_tensors(store.get(network)[1])["net.conv.bias"].tolist() == [float(value)] * 5
    with pytest.raises(UsageError, match=r"no tensor of .* lies at netG"):
        import_checkpoint(registry, store, tmp_path / "x.pth", "x", network="netG")


def test_a_network_is_not_looked_for_inside_a_lone_one(registry: Registry, store: Store, tmp_path: Path) -> None:
    torch.save({"weight": torch.ones(2)}, tmp_path / "x.pth")
    with pytest.raises(UsageError, match="is one network alone: nothing in it lies at netG"):
        import_checkpoint(registry, store, tmp_path / "x.pth", "x", network="netG")


@pytest.mark.parametrize("wrapper", ["", "state_dict"])
def test_whole_checkpoints_in_one_folder_are_listed_with_a_command_for_each(
    registry: Registry, store: Store, tmp_path: Path, wrapper: str
) -> None:
    """Whatever the files are called, and whether there is something around what they hold."""
    for name in ("all-cats", "dogs=2 (b)"):
        torch.save({wrapper: toy_state()} if wrapper else toy_state(), tmp_path / f"{name}.pth")
    with pytest.raises(UsageError, match="holds 2 networks: all-cats") as caught:
        import_checkpoint(registry, store, find_checkpoint([str(tmp_path)]), "x")
    commands = re.findall(r"i2i-registry import (.+?) --as NAME(?: --network (\S+))?", caught.value.fix)
    for name, (place, network) in zip(("cats", "dogs"), commands, strict=True):
        found = find_checkpoint(shlex.split(place))
        assert import_checkpoint(registry, store, found, name, network=network or None).card.version == 1


def test_a_network_that_the_user_names_is_found_bare(registry: Registry, store: Store, tmp_path: Path) -> None:
    """ "G=FILE" says which network a file is, whether the release keeps it behind that name or not."""
    torch.save({"conv.weight": torch.ones(5, 3, 1, 1), "conv.bias": torch.ones(5)}, tmp_path / "bare.pth")
    torch.save(toy_state(), tmp_path / "named.pth")
    for name in ("bare", "named"):
        report = import_checkpoint(registry, store, find_checkpoint([f"G={tmp_path / name}.pth"]), name)
        assert len(report.keys.used) == 2
