"""`new-plugin`: what it writes, and what it refuses before it writes anything."""

from __future__ import annotations

import importlib
import shlex
import tomllib
from pathlib import Path

import click
import pytest

from i2i_registry.cli.commands import program
from i2i_registry.cli.program import run_program
from i2i_registry.cli.session import Session
from i2i_registry.plugins.discovery import Registry, discover
from i2i_runtime.errors import UsageError
from i2i_runtime.schema.operations import Operation
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


@pytest.mark.parametrize(
    ("like", "found", "expected"),
    [
        (["--like", "cyclgan"], "there is no plugin like 'cyclgan' to begin from", "did you mean 'cyclegan'? (also: "),
        ([], "--like is not given", "one of: cyclegan, pix2pix, singan, stargan2"),
    ],
)
def test_a_paper_to_begin_from_is_asked_for_in_our_words(
    like: list[str], found: str, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_program(["new-plugin", "cut", *like, "-o", str(tmp_path / "cut")]) == 2
    told = capsys.readouterr().err
    assert f"error: {found}\n  expected: {expected}" in told
    assert "  fix: --like pix2pix;" in told


@pytest.mark.parametrize("like", LIKE)
def test_the_commands_of_a_readme_are_commands_of_the_program(
    like: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names, options and presets, as the program reads them; what the commands do, tests/end_to_end shows."""
    names = names_for(f"fresh_{like}", None, like, Registry())
    write_plugin(tmp_path / "new", names, like)
    monkeypatch.syspath_prepend(tmp_path / "new" / "src")
    model_class = getattr(importlib.import_module(f"{names.package}.model"), names.class_name)
    lines = (tmp_path / "new" / "README.md").read_text("utf-8").splitlines()
    commands = [shlex.split(line)[1:] for line in lines if line.startswith("    i2i-registry ")]
    assert [name for name, *_ in commands] == ["train", "export", "run"]

    for name, *words in commands:
        command = program.get_command(click.Context(program, obj=Session()), name)
        assert command is not None
        context = click.Context(command, obj=Session())
        context.meta[Operation.__name__] = model_class(model_class.presets["small"]).operations()[0]  # as of a bundle
        parser = click.Command(name, params=command.get_params(context), add_help_option=False)
        given = parser.make_context(name, words).params
        assert given.get("preset") in {None, *model_class.presets}
        assert given.get("model") in {None, names.model}
