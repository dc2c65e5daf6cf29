"""What an author does with new plugins, as their READMEs say: `python plugin_author.py FOLDER ...`.

One process for all of them, as most of what they do takes less time than the import of torch.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from i2i_registry.cli.program import run_program
from i2i_registry.cli.session import Session
from i2i_registry.plugins.discovery import discover
from i2i_registry.weights.store import Store

SHORTER = {"200": "2", "steps_per_scale=100": "steps_per_scale=2"}
"""of the words of `train`"""


def commands(readme: str) -> Iterator[list[str]]:
    """The commands of a README in order, one that installs excepted."""
    lines = [line[4:] for line in readme.splitlines() if line.startswith("    ")]
    for words in (shlex.split(line, comments=True) for line in lines):
        if words[:2] != ["pip", "install"]:
            yield words


def follow(plugin: Path) -> None:
    """Run them in the plugin's folder. Raises SystemExit for one that fails."""
    os.chdir(plugin)
    for program, *words in commands((plugin / "README.md").read_text(encoding="utf-8")):
        if program == "pytest":
            code = pytest.main([*words, "-q", "-p", "no:cacheprovider"])
        elif program == "python":
            exec(words[words.index("-c") + 1], {})  # noqa: S102 - the README's line
            code = 0
        else:
            assert program == "i2i-registry"
            code = run_program(shorter(words), Session(discover(), Store(plugin / "home")))
        if code:
            raise SystemExit(f"{plugin}: {program} {shlex.join(words)}: exit code {int(code)}")


def shorter(words: list[str]) -> list[str]:
    """The same command with fewer steps, if it trains."""
    if words[0] != "train":
        return words
    short = [SHORTER.get(word, word) for word in words]
    assert short != words
    return [*short, "--threads", "1"]


if __name__ == "__main__":
    for folder in sys.argv[1:]:
        follow(Path(folder))
