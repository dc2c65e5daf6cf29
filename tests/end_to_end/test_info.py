"""What `info` offers to try can be done: with weights that are there, or with those that a line before makes."""

from __future__ import annotations

from pathlib import Path

import pytest

from i2i_registry.cli.program import run_program
from i2i_registry.cli.session import Session
from i2i_registry.plugins.discovery import Registry, discover
from i2i_registry.weights.store import Store

REGISTRY = discover()
SHIPPED = ("ugatit-poster", "singan-forest")


def offered(name: str, registry: Registry, home: Path, capsys: pytest.CaptureFixture[str]) -> list[list[str]]:
    """The commands after "try:", without the program."""
    assert run_program(["info", name], Session(registry, Store(home))) == 0
    lines = capsys.readouterr().out.partition("try:\n")[2].splitlines()
    return [line.split()[1:] for line in lines]


@pytest.mark.parametrize("name", [*REGISTRY.models, *SHIPPED])
def test_every_line_has_the_weights_it_names(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    session = Session(REGISTRY, Store(tmp_path))
    made: set[str] = set()
    for command, subject, *options in offered(name, REGISTRY, tmp_path, capsys):
        if "--as" in options:
            made.add(options[options.index("--as") + 1])
        if command in {"export", "run"} and subject not in made:
            card = session.catalogue.find(subject)
            starts_from_nothing = REGISTRY.models[card.model].operations[0] == "sample"
            assert command == "export" or ("me.jpg" in options) is not starts_from_nothing
