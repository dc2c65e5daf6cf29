"""`list`, `info` and `plugins`: what there is."""

from __future__ import annotations

import click

from i2i_registry.cli.render import bytes_in_words, json_option, show, show_json, show_table, tell
from i2i_registry.cli.session import Session, pass_session
from i2i_registry.interfaces.cards import ModelCard, Trained, WeightsCard
from i2i_registry.interfaces.expectations import duration_in_words
from i2i_registry.plugins.discovery import Registry
from i2i_registry.weights.catalogue import Catalogue, CatalogueEntry
from i2i_runtime.attribution import Licence

_WHERE = {"catalogue": "ships", "plugin": "ships", "store": "local"}


@click.command("list")
@json_option
@pass_session
def list_all(session: Session, *, as_json: bool) -> None:
    """Weights and models there are.

    \b
      i2i-registry list
      i2i-registry list --json
    """  # noqa: D301 - click reads the mark
    catalogue = session.catalogue
    if as_json:
        show_json(_listing(catalogue))
        return
    _show_weights(catalogue.entries)
    _show_models(catalogue)
    for name in catalogue.hidden():
        fix = f"i2i-registry rename {name} --as {catalogue.free_name(name)}"
        tell(f"{name!r} means your own weights; to reach what ships under that name: {fix}")
    for paper in catalogue.available():
        tell(f"{paper.model}: {paper.title}; not installed: pip install {paper.plugin}")
    _warn_of_broken(session.registry)


@click.command()
@click.argument("name")
@json_option
@pass_session
def info(session: Session, name: str, *, as_json: bool) -> None:
    """Show what is known about weights or a model: paper, licence, origin, and commands to try.

    \b
      i2i-registry info ugatit
      i2i-registry info anime@2
    """  # noqa: D301 - click reads the mark
    catalogue = session.catalogue
    if name in session.registry.models and not catalogue.names_weights(name):
        model = session.registry.models[name]
        if as_json:
            show_json({"kind": "model", **model.model_dump(mode="json"), "weights": _weights_of(catalogue, name)})
        else:
            _show_model(model, catalogue)
        return
    card = catalogue.find(name)
    if as_json:
        show_json({"kind": "weights", **card.model_dump(mode="json"), "provenance_text": card.provenance.sentence()})
    else:
        _show_card(card, catalogue.store.aliases(card.name), catalogue.registry.models.get(card.model))


@click.command("rename")
@click.argument("name")
@click.option("--as", "new", required=True, metavar="NAME", help="What they are called from now on.")
@pass_session
def rename_weights(session: Session, name: str, new: str) -> None:
    """Give weights of the store another name, all their versions and aliases.

    \b
      i2i-registry rename anime --as anime-2023
    """  # noqa: D301 - click reads the mark
    session.catalogue.check_name(new, unused=True)
    session.store.rename(name, new)
    show(new)


@click.command()
@json_option
@pass_session
def plugins(session: Session, *, as_json: bool) -> None:
    """Plugins that loaded, and those that did not, with the reason.

    \b
      i2i-registry plugins
      I2I_STRICT=1 i2i-registry plugins     # for plugin authors: fail at the first broken one
    """  # noqa: D301 - click reads the mark
    registry = session.registry
    if as_json:
        good = [{"name": p.name, "distribution": p.distribution, "version": p.version} for p in registry.plugins]
        bad = [
            {"name": p.name, "distribution": p.distribution, "version": p.version, "reason": p.reason}
            | {"expected": p.expected, "fix": p.fix}
            for p in registry.broken
        ]
        show_json({"plugins": good, "broken": bad})
        return
    rows = [(p.name, p.distribution, p.version, "loaded") for p in registry.plugins]
    rows += [(p.name, p.distribution, p.version, f"broken: {p.reason}") for p in registry.broken]
    show_table(("PLUGIN", "DISTRIBUTION", "VERSION", "STATE"), rows)
    for plugin in registry.broken:
        if plugin.expected:
            tell(f"{plugin.distribution}: expected {plugin.expected}")
        tell(f"{plugin.distribution}: {plugin.fix}")


def _show_weights(entries: tuple[CatalogueEntry, ...]) -> None:
    rows = [
        (
            entry.card.reference,
            entry.card.model + (" (default)" if entry.card.default else ""),
            bytes_in_words(entry.card.size),
            _licence(entry.card.licence),
            _WHERE[entry.place],
        )
        for entry in entries
    ]
    if rows:
        show_table(("WEIGHTS", "MODEL", "SIZE", "LICENCE", "WHERE"), rows)
    else:
        show("no weights yet")
    show()


def _show_models(catalogue: Catalogue) -> None:
    registry = catalogue.registry
    rows = [
        (card.name, str(card.paper.year), ", ".join(card.operations), registry.sources[card.name].label)
        for card in registry.models.values()
    ]
    if rows:
        show_table(("MODEL", "YEAR", "OPERATIONS", "PLUGIN"), rows)
    else:
        show("no models: a paper is a plugin, pip install i2i-plugin-...")


def _listing(catalogue: Catalogue) -> dict[str, object]:
    registry = catalogue.registry
    weights = [
        {
            **entry.card.model_dump(mode="json", include={"name", "version", "model", "size", "sha256", "default"}),
            "licence": entry.card.licence.spdx,
            "non_commercial": entry.card.licence.non_commercial,
            "where": entry.place,
        }
        for entry in catalogue.entries
    ]
    models = [
        {
            **card.model_dump(mode="json", include={"name", "summary", "operations", "presets"}),
            "title": card.paper.title,
            "trainable": card.trainer is not None,
            "plugin": registry.sources[card.name].label,
        }
        for card in registry.models.values()
    ]
    available = [paper.model_dump(mode="json") for paper in catalogue.available()]
    broken = [plugin.distribution for plugin in registry.broken]
    return {"weights": weights, "models": models, "available": available, "broken_plugins": broken}


def _weights_of(catalogue: Catalogue, model: str) -> list[str]:
    return [entry.card.reference for entry in catalogue.entries if entry.card.model == model]


def _show_model(card: ModelCard, catalogue: Catalogue) -> None:
    paper = card.paper
    show(f"{card.name}: {card.summary}")
    show(
        f"  paper       {paper.title}; {paper.authors}, {paper.year}"
        + (f", arXiv {paper.arxiv}" if paper.arxiv else "")
    )
    if paper.code:
        show(f"  official    {paper.code}")
    _show_licence(card.licence)
    show(f"  operations  {', '.join(card.operations)}")
    show(f"  presets     {', '.join(card.presets)}")
    for preset, expectation in card.expectations.items():
        show(f"  {preset}")
        for line in expectation.lines():
            show(f"              {line}")
    show(f"  weights     {', '.join(_weights_of(catalogue, card.name)) or 'none yet'}")
    for entry in catalogue.entries:
        made = entry.card.provenance
        if entry.card.model == card.name and entry.place != "store" and isinstance(made, Trained) and made.seconds:
            show(f"              {entry.card.reference}: {duration_in_words(made.seconds)} on {made.machine}")
    show("try:")
    has_default = any(entry.card.default for entry in catalogue.entries if entry.card.model == card.name)
    if has_default:
        _show_use(card.name, card)
    if card.trainer:
        show(f"  i2i-registry train {card.name} --data IMAGES --as my-{card.name}")
    elif not has_default:
        show(f"  i2i-registry import {card.name} CHECKPOINT --as my-{card.name}")
    if not has_default:
        _show_use(f"my-{card.name}", card)


def _show_use(name: str, model: ModelCard | None) -> None:
    """Show how weights are exported and run; without an image where the model's first operation starts from nothing."""
    image = "" if model and model.operations[0] == "sample" else " me.jpg"
    show(f"  i2i-registry export {name} --onnx")
    show(f"  i2i-registry run {name}{image} -o out.png")


def _show_card(card: WeightsCard, aliases: dict[str, int], model: ModelCard | None) -> None:
    names = [alias for alias, version in aliases.items() if version == card.version]
    show(f"{card.reference}: {card.summary or 'weights'}" + (f" (also @{', @'.join(names)})" if names else ""))
    show(f"  model       {card.model}, made by {card.plugin}")
    show(f"  origin      {card.provenance.sentence()}")
    if isinstance(card.provenance, Trained):
        show(f"  command     {card.provenance.command}")
    else:
        for settled in card.provenance.settled:
            show(f"              {settled.sentence()}")
    _show_licence(card.licence)
    show(f"  file        {bytes_in_words(card.size)}, sha256 {card.sha256}")
    for key, value in card.config.items():
        show(f"  config      {key} = {value}")
    for key, number in card.metrics.items():
        show(f"  metric      {key} = {number:g}")
    show("try:")
    _show_use(card.reference, model)


def _show_licence(licence: Licence) -> None:
    show(f"  licence     {_licence(licence)}")
    if licence.notes:
        show(f"              {licence.notes}")
    if licence.non_commercial:
        show("              NOT for commercial use")


def _licence(licence: Licence) -> str:
    return licence.spdx + (" (non-commercial)" if licence.non_commercial else "")


def _warn_of_broken(registry: Registry) -> None:
    if registry.broken:
        names = ", ".join(plugin.distribution for plugin in registry.broken)
        tell(f"broken: {names}; see i2i-registry plugins")
