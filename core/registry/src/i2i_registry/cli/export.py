"""`export` and `verify`: bundles made, and measured again."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from i2i_registry.actions.export import export_weights, verify_bundle
from i2i_registry.cli.render import json_option, show, show_json, tell
from i2i_registry.cli.session import Session, pass_session
from i2i_registry.importing.releasing import export_official
from i2i_registry.interfaces.exporter import ExportOptions
from i2i_runtime.errors import UsageError
from i2i_runtime.schema.parity import Parity, Precision

_FORMAT = "format_"


class ExportCommand(click.Command):
    """One flag per installed exporter: "--onnx"."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the fixed options, and the exporters'."""
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
@click.option("--official", is_flag=True, help="The files of the paper's official implementation, for its own code.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Where it goes; default: NAME-FORMAT.")
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
    official: bool,
    output: Path | None,
    as_json: bool,
    **formats: bool,
) -> None:
    """Make a bundle, and measure it against torch: it appears only if it computes the same.

    With --official, write the files that the paper's official implementation reads: they appear only if an import
    gives the same weights again, bit for bit. -o is a folder for them, or one file, by its suffix (.safetensors, or
    .pth where the release has one file).

    \b
      i2i-registry export ugatit --onnx
      i2i-registry export ugatit --onnx --weights anime --precision fp16 --size 256 -o anime-256
      i2i-registry export anime --official -o anime-official
    """  # noqa: D301 - click reads the mark
    session = context.ensure_object(Session)
    chosen = [flag.removeprefix(_FORMAT) for flag, given in formats.items() if given]
    if official:
        _refuse_beside_official([f"--{name}" for name in chosen], precision, size)
        _export_official(session, _reference(session, name, weights), output, as_json=as_json)
        return
    if len(chosen) != 1:
        known = ", ".join(f"--{flag}" for flag in (*session.registry.exporters, "official"))
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


def _refuse_beside_official(formats: list[str], precision: Precision, size: object) -> None:
    """Raise UsageError for options of bundles beside --official."""
    other = [*formats, *(["--precision"] if precision != "fp32" else []), *(["--size"] if size is not None else [])]
    if other:
        raise UsageError(
            found=f"--official with {', '.join(other)}",
            expected="--official alone: it writes the weights as they are, no bundle",
            fix="leave out one of them",
        )


def _export_official(session: Session, reference: str, output: Path | None, *, as_json: bool) -> None:
    report = export_official(session.registry, session.store, reference, output)
    files = [str(report.place / name) for name in report.files] or [str(report.place)]
    if as_json:
        told = {"source": report.source, "also_needed": report.also_needed, "untold": report.untold}
        show_json({"files": files, "import": report.command, **told})
        return
    tell(f"{len(files)} {'file' if len(files) == 1 else 'files'} in the form of {report.source}")
    tell(f"imported again, the same weights bit for bit: {report.command}")
    if report.untold:
        tell(f"not in the files, and without effect here: {', '.join(report.untold)}")
    if report.also_needed:
        tell(f"the release's own scripts read beside: {report.also_needed}")
    if report.card.licence.non_commercial:
        tell(f"licence {report.card.licence.spdx}: NOT for commercial use, as the weights say")
    show(str(report.place))


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
