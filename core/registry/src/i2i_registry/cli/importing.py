"""`import`: checkpoints of official implementations become weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click

from i2i_registry.cli.render import json_option, show, show_json, tell
from i2i_registry.cli.session import Session, pass_session
from i2i_registry.importing.files import find_checkpoint
from i2i_registry.importing.importer import ImportReport, import_checkpoint
from i2i_registry.plugins.discovery import Registry
from i2i_runtime.errors import UsageError


@click.command("import")
@click.argument("model_and_places", nargs=-1, required=True, metavar="[MODEL] FILE_OR_FOLDER...")
@click.option("--as", "name", required=True, metavar="NAME", help="What the weights are called from now on.")
@click.option(
    "--domains", metavar="A,B", help="Names of the domains, in the checkpoint's order, if the paper has some."
)
@click.option(
    "--set", "values", multiple=True, metavar="KEY=VALUE", help="A field of the config that the tensors do not show."
)
@click.option("--network", metavar="PLACE", help='Where it lies in a file of several networks: "netG".')
@json_option
@pass_session
def import_(
    session: Session,
    model_and_places: tuple[str, ...],
    name: str,
    *,
    domains: str | None,
    values: tuple[str, ...],
    network: str | None,
    as_json: bool,
) -> None:
    """Turn a checkpoint of an official implementation into weights. Nothing that its files hold is executed.

    \b
      i2i-registry import ugatit selfie2anime_params_latest.pt --as anime
      i2i-registry import selfie2anime_params_latest.pt --as anime --domains photo,anime
      i2i-registry import bicyclegan latest_net_G.pth latest_net_E.pth --as shoes
      i2i-registry import bicyclegan G=generator.pt E=encoder.pt --as shoes --set activation=lrelu

    Without MODEL the checkpoint says itself what it is. Files that belong together, or the folder that holds them, are
    one checkpoint; which network a file holds is read from its name ("_net_G"), or said before it ("G=").

    What tensors do not show is read from the option file that the release wrote beside them (opt.txt, parameters.txt),
    from pickled modules and from the folder's name; what nobody says is told as taken for granted, and can be --set.
    """  # noqa: D301 - click reads the mark
    model, places = _model_and_places(session.registry, model_and_places)
    report = import_checkpoint(
        session.registry,
        session.store,
        find_checkpoint(places),
        name,
        model=model,
        domains=[part.strip() for part in domains.split(",")] if domains else (),
        values=values,
        network=network,
    )
    if as_json:
        show_json(_as_data(report))
    else:
        _tell_report(report)
        show(report.card.reference)


def _model_and_places(registry: Registry, arguments: tuple[str, ...]) -> tuple[str | None, tuple[str, ...]]:
    """Return the first argument is a model's name if a model has it, or if it can be no place; a place alone is one."""
    first, *others = arguments
    if not others:
        if first in registry.models and not Path(first).exists():
            raise UsageError(f"{first} is a model, and no file follows", "[MODEL] FILE_OR_FOLDER...", "name its files")
        return None, arguments
    if first not in registry.models and (Path(first).exists() or not first.isidentifier()):
        return None, arguments
    return registry.model_card(first).name, tuple(others)


def _tell_report(report: ImportReport) -> None:
    config = ", ".join(f"{key}={value}" for key, value in report.config.model_dump().items())
    tell(f"{report.card.model} with {config}")
    taken = len(report.keys.used) - len(report.keys.filled)
    tell(f"{taken} tensors taken, {len(report.keys.dropped)} left out")
    if report.keys.filled:
        tell(f"  filled in {len(report.keys.filled)} that no file has: {_first(report.keys.filled)}")
    for reason in sorted(set(report.keys.dropped.values())):
        count = sum(given == reason for given in report.keys.dropped.values())
        tell(f"  left out {count}: {reason}")
    for kinds, count in sorted(Counter(report.converted.values()).items()):
        tell(f"  converted {count}: {kinds}")
    for settled in report.settled:
        tell(settled.sentence())
    for remark in report.remarks:
        tell(remark)
    if any(not settled.by for settled in report.settled):
        tell("what is taken for granted can be said: --set KEY=VALUE (--domains for the names of domains)")
    if report.card.licence.non_commercial:
        tell(f"licence {report.card.licence.spdx}: NOT for commercial use")


def _first(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} ... {names[-1]}"


def _as_data(report: ImportReport) -> dict[str, object]:
    return {
        "card": report.card.model_dump(mode="json"),
        "used": dict(report.keys.used),
        "dropped": dict(report.keys.dropped),
        "converted": dict(report.converted),
        "filled": list(report.keys.filled),
        "settled": [settled.model_dump(mode="json") for settled in report.settled],
        "remarks": list(report.remarks),
        "not_loaded": list(report.records),
    }
