"""docs/cli.md, the help of every command: python -m tests.documentation.cli_page > docs/cli.md."""

from __future__ import annotations

import sys

import click
from click.testing import CliRunner

from i2i_registry.cli.commands import program
from i2i_registry.cli.session import Session
from i2i_registry.plugins.discovery import discover

WIDTH = 100
HEAD = """# The command line

The help of every command, as the program prints it; a test compares this page with the program. Exit codes: 0 done,
1 failed, 2 wrong usage, 130 interrupted, 143 terminated. Results go to stdout, everything else to stderr; `--json`
gives a program's form.
"""


def page() -> str:
    """The whole page."""
    session = Session(discover())
    with click.Context(program, obj=session) as context:
        names = program.list_commands(context)
    sections = [HEAD, section("i2i-registry", [])]
    sections += [section(f"i2i-registry {name}", [name]) for name in names]
    return "\n".join(sections)


def section(title: str, arguments: list[str]) -> str:
    """One command under its title."""
    runner = CliRunner()
    result = runner.invoke(
        program, [*arguments, "--help"], prog_name="i2i-registry", obj=Session(discover()), terminal_width=WIDTH
    )
    if result.exit_code:
        raise RuntimeError(f"{title} --help: {result.output}")
    return f"## {title}\n\n```text\n{result.output.rstrip()}\n```\n"


if __name__ == "__main__":
    sys.stdout.write(page())
