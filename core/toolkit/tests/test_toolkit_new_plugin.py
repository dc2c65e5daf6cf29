"""`new-plugin`: what it writes, and what it refuses before it writes anything."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from i2i_registry.cli.program import run_program
from i2i_registry.plugins.discovery import Registry, discover
from i2i_runtime.errors import UsageError
from i2i_toolkit.authoring.new_plugin import LIKE, TEMPLATES, names_for, write_plugin


def written(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text("utf-8") for path in folder.rglob("*") if path.is_file()
    }


def test_every_template_is_offered() -> None:
    assert sorted(LIKE) == sorted(path.name for path in TEMPLATES.iterdir())


@pytest.mark.parametrize("like", LIKE)
def test_every_place_has_the_new_name(like: str, tmp_path: Path) -> None:
    write_plugin(tmp_path / "new", names_for("swap_two", "Swap 2", like, Registry()), like)
    files = written(tmp_path / "new")
    assert "src/i2i_plugin_swap_two/model.py" in files
    assert "tests/test_swap_two.py" in files
    assert not [place for place, text in files.items() if "newpaper" in (place + text).lower().replace(" ", "")]
    assert "class Swap2(Model[Config])" in files["src/i2i_plugin_swap_two/model.py"]
    project = tomllib.loads(files["pyproject.toml"])["project"]
    assert project["name"] == "i2i-plugin-swap-two"
    assert project["entry-points"]["i2i"] == {"swap_two": "i2i_plugin_swap_two"}


def test_a_title_follows_from_the_name() -> None:
    names = names_for("swap_two", None, "pix2pix", Registry())
    assert (names.title, names.class_name) == ("Swap two", "Swaptwo")


@pytest.mark.parametrize("name", ["", "Cut", "2cut", "cut-2", "class", "../cut", "cut\n", "x" * 41])
def test_a_name_is_an_identifier_in_lower_case(name: str) -> None:
    with pytest.raises(UsageError, match="cannot name a model"):
        names_for(name, None, "pix2pix", Registry())


def test_a_name_that_would_do_is_offered() -> None:
    with pytest.raises(UsageError) as caught:
        names_for("StarGAN-v3", None, "stargan2", Registry())
    assert caught.value.fix.startswith("call it stargan_v3;")


def test_a_name_is_not_taken() -> None:
    with pytest.raises(UsageError, match="'tint' is taken"):
        names_for("tint", None, "pix2pix", discover())
    with pytest.raises(UsageError, match="'toy' is taken"):  # the package, whatever its models are called
        names_for("toy", None, "pix2pix", Registry())


@pytest.mark.parametrize("title", ['"""', "2 Cut", "Cut\n", "Cut\\", "é" * 3, "x" * 41])
def test_a_title_is_plain_text(title: str) -> None:
    with pytest.raises(UsageError, match="cannot be a title"):
        names_for("cut", title, "pix2pix", Registry())


@pytest.mark.parametrize("title", ["Trainer", "U-Net", "None"])
def test_a_class_has_a_name_of_its_own(title: str) -> None:
    with pytest.raises(UsageError, match="as something else in the plugin is"):
        names_for("cut", title, "pix2pix", Registry())


def test_the_command_writes_a_folder_and_says_what_to_do_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_program(["new-plugin", "cut", "--title", "CUT", "--like", "cyclegan"]) == 0
    told = capsys.readouterr()
    assert told.out == "i2i-plugin-cut\n"
    assert "pip install -e 'i2i-plugin-cut[test]'" in told.err
    assert (tmp_path / "i2i-plugin-cut" / "pyproject.toml").exists()


def test_what_is_there_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "work.py").write_text("work = 1")
    assert run_program(["new-plugin", "cut", "--like", "singan", "-o", "mine"]) == 2
    assert "mine exists" in capsys.readouterr().err
    assert written(tmp_path) == {"mine/work.py": "work = 1"}
