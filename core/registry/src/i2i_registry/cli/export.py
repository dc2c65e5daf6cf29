"""`export` and `verify`: bundles made, and measured again."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from i2i_registry.actions.export import export_weights, verify_bundle
from i2i_registry.cli.render import json_option, show, show_json, tell
from i2i_registry.cli.session import Session, pass_session
from i2i_registry.interfaces.exporter import ExportOptions
from i2i_runtime.errors import UsageError
from i2i_runtime.schema.manifest import Parity, Precision

_FORMAT = "format_"


class ExportCommand(click.Command):
    """One flag per installed exporter: "--onnx"."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """The fixed options, and the exporters'."""
        flags: list[click.Parameter] = [
            click.Option([f"--{card.name}", f"{_FORMAT}{card.name}"], is_flag=True, help=card.summary)
            for card in ctx.ensure_object(Session).registry.exporters.values()
        ]
        first, *others = super().get_params(ctx)
        return [first, *flags, *others]


def _size(context: click.Context, parameter: click.Parameter, value: str | None) -> int | Literal["dynamic"] | None:
    """Pixels, or "dynamic"."""
    if value is None or value == "dynamic":
        return value
    if value.isdecimal() and int(value) > 0:
        return int(value)
    raise click.BadParameter(f"{value!r} is neither a number of pixels nor 'dynamic'", context, parameter)


@click.command(cls=ExportCommand)
@click.argument("name")
@click.option("--weights", metavar="NAME", help="Other weights than the model's default, when NAME is a model.")
@click.option("--precision", type=click.Choice(["fp32", "fp16"]), default="fp32", show_default=True)
@click.option(
    "--size", callback=_size, metavar="N|dynamic", help="Fix the side in pixels, or insist that it stays free."
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Where the bundle goes; default: NAME-FORMAT.")
@json_option
@click.pass_context
def export(
    context: click.Context,
    /,
    *,
    name: str,
    weights: str | None,
    precision: Precision,
    size: int | Literal["dynamic"] | None,
    output: Path | None,
    as_json: bool,
    **formats: bool,
) -> None:
    """Make a bundle, and measure it against torch: it appears only if it computes the same.

    \b
      i2i-registry export ugatit --onnx
      i2i-registry export ugatit --onnx --weights anime --precision fp16 --size 256 -o anime-256
    """  # noqa: D301 - click reads the mark
    session = context.ensure_object(Session)
    chosen = [flag.removeprefix(_FORMAT) for flag, given in formats.items() if given]
    if len(chosen) != 1:
        known = ", ".join(f"--{exporter}" for exporter in session.registry.exporters)
        raise UsageError(
            found=f"{len(chosen)} formats were asked for",
            expected=f"one of: {known}" if known else "an exporter",
            fix=f"i2i-registry export {name} --onnx" if known else "pip install i2i-exporter-onnx",
        )
    reference = _reference(session, name, weights)
    destination = output or Path(f"{reference.replace('@', '-')}-{chosen[0]}")
    report = export_weights(
        session.registry,
        session.store,
        reference,
        exporter_name=chosen[0],
        destination=destination,
        options=ExportOptions(precision=precision, size=size),
        tell=tell,
    )
    if as_json:
        show_json({"bundle": str(report.artefact), "parity": report.parity.model_dump(mode="json")})
        return
    tell(parity_in_words(report.parity))
    show(str(report.artefact))


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--against", metavar="WEIGHTS", help="Measure again, against these weights (a name or a .safetensors).")
@json_option
@pass_session
def verify(session: Session, bundle: Path, against: str | None, *, as_json: bool) -> None:
    """Check a bundle's files by their hashes and, with --against, measure it against torch again.

    \b
      i2i-registry verify anime-onnx
      i2i-registry verify anime-onnx --against anime
    """  # noqa: D301 - click reads the mark
    manifest, parity = verify_bundle(session.registry, session.store, bundle, against, tell)
    measured = "recorded" if against is None else "measured"
    if as_json:
        show_json({"bundle": str(bundle), "name": manifest.name, measured: parity.model_dump(mode="json")})
    else:
        show(f"{bundle}: good; {measured} {parity_in_words(parity)}")


def parity_in_words(parity: Parity) -> str:
    """How exact a bundle is, in one line."""
    levels = f", {parity.levels:.2g} steps of an 8-bit image" if parity.levels is not None else ""
    error, allowed = parity.closest()
    return f"relative error {error:.1e} of {allowed:.1e} allowed{levels}, {len(parity.cases)} cases"


def _reference(session: Session, name: str, weights: str | None) -> str:
    if weights is None:
        return name
    card = session.catalogue.find(weights)
    if card.model != session.registry.model_card(name).name:
        raise UsageError(
            found=f"{weights} are weights of {card.model}, not of {name}",
            expected=f"weights of {name}",
            fix=f"i2i-registry export {card.model} --onnx --weights {weights}",
        )
    return weights
