"""Other people's checkpoints are read, and never executed."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import sys
import tarfile
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn

from i2i_registry.checkpoints.reader import read_checkpoint
from i2i_registry.checkpoints.tensor_files import write_tensors
from i2i_registry.errors import CheckpointError

SYSTEM: object = vars(os)["system"]
LOAD_FROM_BYTES: object = vars(torch.storage)["_load_from_bytes"]
"""what the attacks call"""

FORMATS = pytest.mark.parametrize("new_format", [True, False], ids=["zip", "legacy"])


class Network(nn.Module):
    """A network whose class will not be there when the file is read."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
        self.activation = nn.functional.relu
        self.register_buffer("table", torch.arange(3.0), persistent=False)


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Iterator[nn.Module]:
    module = ModuleType("vanished_networks")
    monkeypatch.setitem(sys.modules, "vanished_networks", module)
    monkeypatch.setattr(Network, "__module__", "vanished_networks")
    monkeypatch.setattr(module, "Network", Network, raising=False)
    yield Network()
    sys.modules.pop("vanished_networks", None)


def _save(value: object, path: Path, *, new_format: bool) -> None:
    with warnings.catch_warnings():
        # The old format stores the source of modules, and this one's module is made up.
        warnings.simplefilter("ignore")
        torch.save(value, path, _use_new_zipfile_serialization=new_format)


def _state(module: nn.Module) -> dict[str, torch.Tensor]:
    return dict(module.state_dict())


@FORMATS
def test_nested_state_dicts_become_flat_names(tmp_path: Path, *, new_format: bool) -> None:
    conv = nn.Conv2d(3, 4, 1)
    content = {"nets": {"G": nn.DataParallel(conv).state_dict()}, "step": 7, "list": [torch.ones(2)]}
    _save(content, tmp_path / "a.pt", new_format=new_format)

    checkpoint = read_checkpoint(tmp_path / "a.pt")

    assert sorted(checkpoint.tensors) == ["list.0", "nets.G.bias", "nets.G.weight"]
    torch.testing.assert_close(checkpoint.tensors["nets.G.weight"], conv.weight.detach(), rtol=0, atol=0)
    assert "step  7" in [line.strip() for line in checkpoint.outline()]


def test_a_part_that_is_called_module_among_others_keeps_its_name(tmp_path: Path) -> None:
    torch.save({"module.w": torch.ones(1), "other.w": torch.ones(1)}, tmp_path / "a.pt")
    assert sorted(read_checkpoint(tmp_path / "a.pt").tensors) == ["module.w", "other.w"]


@FORMATS
def test_a_whole_module_is_read_without_its_class(tmp_path: Path, network: nn.Module, *, new_format: bool) -> None:
    _save(network, tmp_path / "a.pth", new_format=new_format)
    expected = _state(network)
    del sys.modules["vanished_networks"]

    checkpoint = read_checkpoint(tmp_path / "a.pth")

    torch.testing.assert_close(dict(checkpoint.tensors), expected, rtol=0, atol=0)
    assert "vanished_networks.Network" in checkpoint.records()


def test_a_plain_pickle_with_tensors_in_objects_is_read(tmp_path: Path, network: nn.Module) -> None:
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"G_ema": network}))
    expected = {f"G_ema.{key}": value for key, value in _state(network).items()}
    torch.testing.assert_close(dict(read_checkpoint(tmp_path / "a.pkl").tensors), expected, rtol=0, atol=0)


def test_safetensors_are_read_as_they_are(tmp_path: Path) -> None:
    write_tensors({"a.b": torch.ones(2)}, tmp_path / "a.safetensors")
    assert torch.equal(read_checkpoint(tmp_path / "a.safetensors").tensors["a.b"], torch.ones(2))


class Payload:
    """Runs a command when it is unpickled by ordinary means."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.parts = (function, arguments)

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return self.parts  # pyright: ignore[reportReturnType]


def _payloads(canary: Path) -> dict[str, tuple[Payload, str]]:
    return {
        "system": (Payload(SYSTEM, f"touch {canary}"), r"(posix|nt)\.system"),
        "eval": (Payload(eval, f"open({str(canary)!r}, 'w')"), r"(builtins|__builtin__)\.eval"),
        "open": (Payload(open, str(canary), "w"), r"(io|_io)\.open"),
    }


@pytest.mark.parametrize("container", ["zip", "legacy", "pickle"])
@pytest.mark.parametrize("kind", ["system", "eval", "open"])
def test_a_file_that_would_run_code_is_refused_by_name_and_runs_nothing(
    tmp_path: Path, container: str, kind: str
) -> None:
    canary = tmp_path / "owned"
    payload, name = _payloads(canary)[kind]
    content = OrderedDict(weight=torch.ones(1), extra=payload)
    path = tmp_path / "evil.pth"
    if container == "pickle":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=container == "zip")

    with pytest.raises(CheckpointError, match=f"would run {name}"):
        read_checkpoint(path)

    assert not canary.exists()


def test_the_payload_is_a_real_one(tmp_path: Path) -> None:
    canary = tmp_path / "owned"
    pickle.loads(pickle.dumps(_payloads(canary)["system"][0]))  # noqa: S301, TID251 - the control: our own bytes
    assert canary.exists()


def test_functions_of_packages_are_never_called_either(tmp_path: Path) -> None:
    canary = tmp_path / "owned.pt"
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(Payload(torch.save, {}, str(canary))))
    checkpoint = read_checkpoint(tmp_path / "a.pkl")
    assert checkpoint.records() == ("torch.serialization.save",)
    assert not canary.exists()


def test_a_file_cannot_alter_the_functions_it_is_read_with(tmp_path: Path) -> None:
    # c: push the global, then a state of (None, {"__defaults__": ...}), then BUILD.
    (tmp_path / "a.pkl").write_bytes(b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\nN}X\x01\x00\x00\x00aNs\x86b.")
    with pytest.raises(CheckpointError, match="sets attributes on a function"):
        read_checkpoint(tmp_path / "a.pkl")


def test_a_storage_inside_a_pickle_is_read_under_the_same_rules(tmp_path: Path) -> None:
    inner = io.BytesIO()
    torch.save(Payload(SYSTEM, f"touch {tmp_path / 'owned'}"), inner)
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(Payload(LOAD_FROM_BYTES, inner.getvalue())))
    with pytest.raises(CheckpointError, match="system"):
        read_checkpoint(tmp_path / "a.pkl")
    assert not (tmp_path / "owned").exists()


def test_torchscript_is_a_program_and_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.pt", "w") as archive:
        archive.writestr("a/constants.pkl", b"")
        archive.writestr("a/data.pkl", b"")
    with pytest.raises(CheckpointError, match="TorchScript"):
        read_checkpoint(tmp_path / "a.pt")


def test_a_tar_is_not_unpacked(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.pth", "w") as archive:
        (tmp_path / "storages").write_bytes(pickle.dumps(0))
        archive.add(tmp_path / "storages", "storages")
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_checkpoint(tmp_path / "a.pth")


def test_an_object_that_contains_itself_is_cut(tmp_path: Path) -> None:
    ring: dict[str, object] = {"w": torch.ones(1)}
    ring["self"] = ring
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(ring))
    assert list(read_checkpoint(tmp_path / "a.pkl").tensors) == ["w"]


def test_two_tensors_of_one_name_are_not_silently_one(tmp_path: Path) -> None:
    torch.save({"a": {"b": torch.ones(1)}, "a.b": torch.zeros(1)}, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match=r"the name 'a\.b'"):
        read_checkpoint(tmp_path / "a.pt")


@pytest.mark.parametrize("container", ["zip", "legacy", "pickle", "module"])
@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
def test_a_file_that_was_cut_short_is_damaged(tmp_path: Path, network: nn.Module, container: str, share: float) -> None:
    path = tmp_path / "a.pth"
    if container == "pickle":
        path.write_bytes(pickle.dumps({"w": torch.ones(1000)}))
    else:
        content: object = network if container == "module" else {"w": torch.ones(1000)}
        torch.save(content, path, _use_new_zipfile_serialization=container != "legacy")
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_checkpoint(path)


@pytest.mark.parametrize("content", [b"", b"hello, this is a text", b"<html>Quota exceeded</html>", b"\x80\x02."])
def test_what_is_no_checkpoint_is_an_error_of_ours(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.pth").write_bytes(content)
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_checkpoint(tmp_path / "a.pth")


def test_a_missing_file_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="No such file"):
        read_checkpoint(tmp_path / "a.pth")


@pytest.mark.parametrize("name", ["latest_net_G.pth", "model.safetensors"])
@pytest.mark.parametrize(
    ("content", "what", "fix"),
    [
        (b"\n<!DOCTYPE html><html><title>Virus scan warning", "a page of the web", "the file itself"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied", "a page of the web", "the file itself"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00", "a pointer of Git LFS", "git lfs pull"),
        (gzip.compress(b"weights", mtime=0), "a gzip archive", "unpack it"),
        (b"\x89HDF\r\n\x1a\n0000", "a file of HDF5, as Keras", "PyTorch release"),
        (b"\x89PNG\r\n\x1a\n0000", "an image", "the checkpoint of the training"),
        (b"\x08\n\x12\x07pytorch", "an ONNX model", "the checkpoint of the training"),
    ],
)
def test_what_is_handed_over_in_place_of_a_checkpoint_is_named(
    tmp_path: Path, name: str, content: bytes, what: str, fix: str
) -> None:
    """The same file would come again: nothing about a download that is not complete."""
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=f"cannot be read: it is {what}") as caught:
        read_checkpoint(tmp_path / name)
    assert fix in caught.value.fix
