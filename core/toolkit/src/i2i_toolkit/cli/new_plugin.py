"""`i2i-registry new-plugin`: parses, calls the library, renders."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from i2i_registry.cli.render import show, tell
from i2i_registry.cli.session import Session, pass_session
from i2i_toolkit.authoring.new_plugin import LIKE, check_like, names_for, write_plugin

HELP = """
Write a small plugin that works, to turn into one for your paper.

\b
  i2i-registry new-plugin cut --title CUT --like cyclegan

It can be trained, exported and run, and passes the conformance suite as it is; docs/plugin-author.md goes on.

\b
""" + "\n".join(f"  {name:<10}{summary}" for name, summary in LIKE.items())


@click.command(help=HELP)
@click.argument("name")
@click.option("--like", metavar="PAPER", help="The paper to begin from, of those above; required.")
@click.option("--title", metavar="TITLE", help="How people write the name; a class is named after it.")
@click.option("-o", "folder", type=click.Path(path_type=Path), metavar="FOLDER", help="Default: i2i-plugin-NAME.")
@pass_session
def new_plugin(session: Session, name: str, *, like: str | None, title: str | None, folder: Path | None) -> None:
    """Write a plugin like a template, and say what to do next."""
    like = check_like(like)
    names = names_for(name, title, like, session.registry)
    folder = folder or Path(names.distribution)
    write_plugin(folder, names, like)
    tell(f"next: pip install -e {shlex.quote(f'{folder}[test]')}, then `pytest` in that folder; its README.md goes on")
    show(str(folder))
