"""Weights are written in the names and the form of an official release, and an import gives them back."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest
import torch
from torch import Tensor

from i2i_registry.checkpoints.tensor_files import read_tensors
from i2i_registry.cli.program import run_program
from i2i_registry.cli.session import Session
from i2i_registry.importing.releasing import official_contents
from i2i_registry.interfaces.cards import WeightsDraft
from i2i_registry.interfaces.official import OfficialFile
from i2i_registry.plugins.discovery import Registry
from i2i_registry.weights.store import Store

from .conftest import Cli


@pytest.fixture
def stored(store: Store, draft: WeightsDraft) -> Mapping[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes = {"net.conv.weight": (3, 3, 1, 1), "net.conv.bias": (3,)}
    tensors = {key: torch.randn(shape, generator=generator) for key, shape in shapes.items()}
    config = {"width": 3, "domains": ["cat", "dog"], "slope": 0.5}
    store.add(tensors, draft.model_copy(update={"config": config}))
    return tensors


def test_export_and_the_import_that_it_tells_give_the_same_weights(
    cli: Cli, store: Store, stored: Mapping[str, Tensor], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli("export", "mine", "--official", "-o", tmp_path / "out") == 0
    said = capsys.readouterr()
    assert said.out == f"{tmp_path / 'out'}\n"
    nested = torch.load(tmp_path / "out" / "toy.pth", weights_only=True)  # noqa: TID251 - as the release reads it
    assert torch.equal(nested["G"]["conv.bias"], stored["net.conv.bias"])
    told = re.search(r"i2i-registry (import toy .+)", said.err)
    assert told is not None
    assert cli(*told[1].replace("NAME", "again").split()) == 0
    card, path = store.get("again")
    assert card.config == {"width": 3, "domains": ["cat", "dog"], "slope": 0.5}
    again = read_tensors(path)
    assert all(torch.equal(again[key], tensor) for key, tensor in stored.items())


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pth", "weights.pt"])
def test_one_file_may_have_any_name(cli: Cli, stored: Mapping[str, Tensor], tmp_path: Path, name: str) -> None:
    assert stored
    assert cli("export", "mine", "--official", "-o", tmp_path / name) == 0
    assert (tmp_path / name).is_file()
    assert cli("import", tmp_path / name, "--as", "again") == 0


def test_programs_are_told_the_files_and_the_command(
    cli: Cli, stored: Mapping[str, Tensor], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert stored
    assert cli("export", "mine", "--official", "-o", tmp_path / "out", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["files"] == [str(tmp_path / "out" / "toy.pth")]
    assert told["import"].endswith("--as NAME --set slope=0.5 --domains cat,dog")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--onnx",), "--official with --onnx"),
        (("--size", "64"), "--official with --size"),
        (("--precision", "fp16"), "--official with --precision"),
        (("-o", "here"), "exists"),
    ],
    ids=str,
)
def test_what_does_not_go_together_is_wrong_usage(  # noqa: PLR0917 - fixtures
    cli: Cli,
    stored: Mapping[str, Tensor],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: Sequence[str],
    words: str,
) -> None:
    assert stored
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    assert cli("export", "mine", "--official", *options) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "mine-official").exists()


def test_a_model_without_an_official_format_is_wrong_usage(
    registry: Registry, store: Store, stored: Mapping[str, Tensor], capsys: pytest.CaptureFixture[str]
) -> None:
    assert stored
    without = registry.models["toy"].model_copy(update={"official": None})
    plain = replace(registry, models=MappingProxyType({"toy": without}))
    assert run_program(["export", "mine", "--official"], Session(plain, store)) == 2
    said = capsys.readouterr().err
    assert "toy has no official checkpoint format" in said
    assert "i2i-registry export mine --onnx" in said


def test_files_hold_what_their_prefixes_say_in_the_form_of_the_release() -> None:
    one, two = torch.ones(1), torch.zeros(2)
    files = [
        OfficialFile("0/netG.pth", "0.netG"),
        OfficialFile("amp.pth", "amp", "list"),
        OfficialFile("rest.pt", form="networks"),
    ]
    found = official_contents(files, {"0.netG.conv.bias": one, "amp.1": one, "amp.2": two, "E.fc.bias": two})
    assert found == {"0/netG.pth": {"conv.bias": one}, "amp.pth": [1, one, two], "rest.pt": {"E": {"fc.bias": two}}}
