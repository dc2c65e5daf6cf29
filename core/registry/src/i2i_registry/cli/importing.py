"""`import`: official checkpoints become weights."""

from __future__ import annotations

from pathlib import Path

import click

from i2i_registry.cli.render import json_option, show, show_json, tell
from i2i_registry.cli.session import Session, pass_session
from i2i_registry.importing import ImportReport, import_checkpoint
from i2i_runtime.errors import UsageError


@click.command("import")
@click.argument("model_and_file", nargs=-1, required=True, metavar="[MODEL] FILE")
@click.option("--as", "name", required=True, metavar="NAME", help="What the weights are called from now on.")
@click.option(
    "--domains", metavar="A,B", help="Names of the domains, in the checkpoint's order, if the paper has some."
)
@json_option
@pass_session
def import_(
    session: Session, model_and_file: tuple[str, ...], name: str, domains: str | None, *, as_json: bool
) -> None:
    """Turn an official checkpoint into weights. Nothing that the file holds is executed.

    \b
      i2i-registry import ugatit selfie2anime_params_latest.pt --as anime
      i2i-registry import selfie2anime_params_latest.pt --as anime --domains photo,anime

    Without MODEL the checkpoint says itself what it is.
    """  # noqa: D301 - click reads the mark
    *model, file = model_and_file
    if len(model) > 1:
        raise UsageError(f"{len(model_and_file)} arguments", expected="[MODEL] FILE", fix="import one file at a time")
    report = import_checkpoint(
        session.registry,
        session.store,
        Path(file),
        name,
        model=model[0] if model else None,
        domains=[part.strip() for part in domains.split(",")] if domains else (),
    )
    if as_json:
        show_json(_as_data(report))
    else:
        _tell_report(report)
        show(report.card.reference)


def _tell_report(report: ImportReport) -> None:
    config = ", ".join(f"{key}={value}" for key, value in report.config.model_dump().items())
    tell(f"{report.card.model} with {config}")
    tell(f"{len(report.keys.used)} tensors taken, {len(report.keys.dropped)} left out")
    for reason in sorted(set(report.keys.dropped.values())):
        count = sum(given == reason for given in report.keys.dropped.values())
        tell(f"  left out {count}: {reason}")
    if report.card.licence.non_commercial:
        tell(f"licence {report.card.licence.spdx}: NOT for commercial use")


def _as_data(report: ImportReport) -> dict[str, object]:
    return {
        "card": report.card.model_dump(mode="json"),
        "used": dict(report.keys.used),
        "dropped": dict(report.keys.dropped),
        "not_loaded": list(report.records),
    }
