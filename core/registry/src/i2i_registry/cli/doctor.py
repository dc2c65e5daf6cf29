"""`doctor`: what works on this machine."""

from __future__ import annotations

import click

from i2i_registry.actions.doctor import examine, report_lines
from i2i_registry.cli.render import json_option, show, show_json
from i2i_registry.cli.session import Session, pass_session


@click.command()
@json_option
@pass_session
def doctor(session: Session, *, as_json: bool) -> None:
    """Show what works on this machine, and what to do about the rest.

    \b
      i2i-registry doctor
      i2i-registry doctor --json > report.json

    Problems are part of the report: the exit code is 0 whenever the report could be made.
    """  # noqa: D301 - click reads the mark
    report = examine(session.registry, session.store)
    if as_json:
        show_json(report.model_dump(mode="json"))
        return
    for line in report_lines(report):
        show(line)
