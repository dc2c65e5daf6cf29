"""What errors of the command line propose works: each proposal is taken from the message and followed once."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch

from i2i_registry.interfaces.cards import WeightsDraft
from i2i_registry.weights.store import Store

Cli = Callable[..., int]
Write = Callable[[str], Path]
TENSORS = {"net.conv.weight": torch.ones(3, 3, 1, 1), "net.conv.bias": torch.zeros(3)}


@pytest.fixture
def place(tmp_path: Path, store: Store, draft: WeightsDraft, image: Write, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A current folder with images, a checkpoint, weights in the store, and things in the way."""
    monkeypatch.chdir(tmp_path)
    store.add(TENSORS, draft, alias="best")
    for name in ("me.jpg", "a.png", "b.png"):
        image(name)
    (tmp_path / "there").mkdir()
    torch.save({"G.conv.weight": torch.ones(3, 3, 1, 1), "G.conv.bias": torch.ones(3)}, tmp_path / "x.pth")
    return tmp_path


_PLACEHOLDERS = {"BUNDLE_OR_NAME": "toy-onnx", "BUNDLE": "mine", "INPUT...": "me.jpg", "OUT": "out.png", "VALUE": "1"}


def _fix(capsys: pytest.CaptureFixture[str]) -> str:
    (fix,) = re.findall(r"^  fix: (.*)$", capsys.readouterr().err, re.MULTILINE)
    return fix


def _followed(fix: str, arguments: Sequence[str]) -> list[str]:
    """The command line that the proposal means: a whole command, or an option of the one that failed."""
    command = re.search(r"i2i-registry ([^;,`]+)", fix)
    if command:
        line = command[1]
        for placeholder, value in _PLACEHOLDERS.items():
            line = line.replace(placeholder, value)
        return shlex.split(line)
    option = re.search(r"(--?[a-z]+) (\S+)", fix)
    assert option, fix
    changed = list(arguments)
    if option[1] in changed:
        changed[changed.index(option[1]) + 1] = option[2]
        return changed
    return [*changed, option[1], option[2]]


@pytest.mark.parametrize(
    "arguments",
    [
        "export mine",
        "export mine --onnx -o there",
        "export other --onnx --weights mine",
        "import x.pth --as toy",
        "import toy x.pth --as ugatit-poster",
        "import x.pth --as 'No Name'",
        "run mine -o out.png",
        "run mine a.png b.png -o out.png",
        "run --strength 1 toy-onnx me.jpg -o out.png",
        "compare me.jpg --models , -o out.png",
        "rename mine --as toy",
        "rename mine --as mine",
    ],
)
@pytest.mark.usefixtures("place", "bundle")
def test_following_the_fix_works(cli: Cli, capsys: pytest.CaptureFixture[str], arguments: str) -> None:
    words = shlex.split(arguments)
    assert cli(*words) in {1, 2}
    fix = _fix(capsys)
    following = _followed(fix, words)
    assert cli(*following) == 0, (fix, following, capsys.readouterr().err)


@pytest.mark.parametrize(("file", "command"), [("1.json", "info mine@1"), ("aliases.json", "info mine@best")])
@pytest.mark.usefixtures("place", "bundle")
def test_deleting_what_is_damaged_works(
    cli: Cli, store: Store, capsys: pytest.CaptureFixture[str], file: str, command: str
) -> None:
    store.add({**TENSORS, "net.conv.bias": torch.ones(3)}, store.find("mine"))
    damaged = store.root / "cards" / "mine" / file
    damaged.write_text("{")
    assert cli(*command.split()) == 1
    fix = _fix(capsys)
    assert fix.endswith(f"delete {damaged}")
    damaged.unlink()
    assert cli("info", "mine") == 0
    assert cli("info", "mine@2") == 0


def test_the_name_that_hides_another_is_given_up_as_proposed(
    cli: Cli, store: Store, draft: WeightsDraft, capsys: pytest.CaptureFixture[str]
) -> None:
    store.add(TENSORS, draft.model_copy(update={"name": "toy"}))
    assert cli("list") == 0
    (told,) = (line for line in capsys.readouterr().err.splitlines() if "rename" in line)
    assert cli(*told.partition("i2i-registry ")[2].split()) == 0
    capsys.readouterr()
    assert cli("list") == 0
    assert "rename" not in capsys.readouterr().err
    assert cli("info", "my-toy") == 0
