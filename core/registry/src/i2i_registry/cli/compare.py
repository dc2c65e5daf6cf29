"""`compare`: the same images through several models, as one image or one page."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click

from i2i_registry.actions import compare as comparing
from i2i_registry.actions.compare import Column, Entrant, Made, Settings
from i2i_registry.actions.export import bundle_of, is_bundle, operations_of
from i2i_registry.actions.run import collect
from i2i_registry.cli.options import cell_option, device_option, fit_option, sheet_option, threads_option
from i2i_registry.cli.render import bytes_in_words, json_option, show, show_json, tell, tell_error, tell_left_out
from i2i_registry.cli.session import Session
from i2i_registry.cli.sheet import check_out, write_grid
from i2i_registry.output_paths import check_inputs_survive
from i2i_registry.sheets.sheet import Cell, Grid, Row
from i2i_runtime.archive.opening import read_manifest
from i2i_runtime.errors import UsageError
from i2i_runtime.schema.operations import Fit, ImageInput


@click.command()
@click.argument("images", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="IMAGE...")
@click.option(
    "--models",
    "texts",
    multiple=True,
    required=True,
    metavar="A,B,...",
    help="Bundles, or weights by name; repeatable.",
)
@sheet_option
@click.option("--operation", metavar="NAME", help="One that every model has; default: each model's first.")
@click.option(
    "--set", "settings", multiple=True, metavar="NAME=VALUE", help="An input of the operation, for models that have it."
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Every model draws the same from it."
)
@fit_option
@cell_option
@device_option
@threads_option
@json_option
@click.pass_context
def compare(
    context: click.Context,
    /,
    *,
    images: tuple[Path, ...],
    texts: tuple[str, ...],
    out: Path,
    operation: str | None,
    settings: tuple[str, ...],
    seed: int,
    fit: Fit | None,
    cell_px: int,
    device: str,
    threads: int | None,
    as_json: bool,
) -> None:
    """Run several models on the same images and folders, and put the results side by side.

    \b
      i2i-registry compare me.jpg --models anime,anime-small -o out.png
      i2i-registry compare photos/ --models a-onnx,b-onnx -o out.html   # one file, for any browser
      i2i-registry compare me.jpg --models a,b -o out.png --set domain=poster --set reference=style.jpg

    Every model is named with its weights, operation, size and the median time of an image (the first, unmeasured run
    not counted). An image that a model refuses has the reason in its cell, and the exit code is 1.
    """  # noqa: D301 - click reads the mark
    session = context.ensure_object(Session)
    shared = Settings(seed=seed, fit=fit, device=device, threads=threads, cell_px=cell_px)
    models = _models(texts)
    sources = collect(images, out, scanned=tell_left_out)
    check_out(out, len(models) + 1, len(sources), cell_px)
    candidates = {title: operations_of(session.registry, session.store, text) for title, text in models.items()}
    entrants = comparing.enter(candidates, operation, _given(settings), shared)
    _check_inputs_survive(out, [path for path, _ in sources], entrants)

    # All bundles first: one that cannot be made is found before the others have run for hours.
    bundles = [
        context.with_resource(bundle_of(session.registry, session.store, models[entrant.title], tell))
        for entrant in entrants
    ]
    columns, inputs = _columns(bundles, entrants, [path for path, _ in sources], shared)
    failed = sum(made.error is not None for column in columns for made in column.made)
    total = len(columns) * len(sources)
    if failed < total:
        grid = _grid([place for _, place in sources], inputs, columns)
        write_grid(out, f"{', '.join(models)}: side by side", grid, cell_px)
        if not as_json:
            show(str(out))
    if as_json:
        show_json(_as_data(out if failed < total else None, [path for path, _ in sources], columns))
    if failed:
        tell(f"{failed} of {total} failed" + ("" if failed < total else f": nothing to show, {out} was not written"))
        context.exit(1)


def _models(texts: Sequence[str]) -> dict[str, str]:
    """Title -> bundle or name of weights. A bundle's title is its folder's name, while that is clear."""
    named = [text.strip() for each in texts for text in ([each] if Path(each).exists() else each.split(","))]
    models = list(dict.fromkeys(text for text in named if text))
    if not models:
        raise UsageError("no models were named", expected="--models A,B", fix="`i2i-registry list` shows what there is")
    short = {text: Path(text).resolve().name if is_bundle(text) else text for text in models}
    count = Counter(short.values())
    return {title if count[title] == 1 else text: text for text, title in short.items()}


def _given(settings: Sequence[str]) -> dict[str, str]:
    given: dict[str, str] = {}
    for text in settings:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f"--set {text}", expected="NAME=VALUE", fix="--set domain=poster")
        if name in given:
            raise UsageError(f"--set {name} was given twice", expected="one value for each input")
        given[name] = value
    return {name.replace("-", "_"): value for name, value in given.items()}


def _check_inputs_survive(out: Path, sources: Sequence[Path], entrants: Sequence[Entrant]) -> None:
    read = [*sources]
    for entrant in entrants:
        images = {value.name for value in entrant.operation.inputs if isinstance(value, ImageInput)}
        read += [Path(str(value)) for name, value in entrant.options.items() if name in images]
    check_inputs_survive(out, read)


def _columns(
    bundles: Sequence[Path], entrants: Sequence[Entrant], sources: Sequence[Path], shared: Settings
) -> tuple[list[Column], list[Made]]:
    """Every model's column, and that of the inputs. Each error is told once, as soon as it is known."""
    manifests = [read_manifest(path) for path in bundles]
    inputs = comparing.inputs_of(sources, shared.cell_px)
    for made in inputs:
        if made.error is not None:
            tell_error(made.error)
    columns: list[Column] = []
    for entrant, path, manifest in zip(entrants, bundles, manifests, strict=True):
        column = comparing.compare(entrant, path, manifest, sources, shared)
        tell(_heading(column).replace("\n", "; "))
        told = {str(made.error) for made in inputs}
        for made in column.made:
            if made.error is not None and str(made.error) not in told:
                told.add(str(made.error))
                tell_error(made.error)
        columns.append(column)
    return columns, inputs


def _grid(places: Sequence[Path], inputs: Sequence[Made], columns: Sequence[Column]) -> Grid:
    rows: list[Row] = []
    for index, place in enumerate(places):
        # Where the input itself cannot be read, its own cell says so; the models' would only repeat it.
        results = [_cell(column.made[index]) if inputs[index].error is None else None for column in columns]
        rows.append(Row(os.fspath(place), (_cell(inputs[index]), *results)))
    return Grid(("input", *map(_heading, columns)), tuple(rows))


def _cell(made: Made) -> Cell:
    return made.image if made.error is None else made.error.found


def _heading(column: Column) -> str:
    manifest, entrant = column.manifest, column.entrant
    chosen = [f"{name}={value}" for name, value in entrant.options.items()]
    pace = "no result" if column.seconds is None else f"{1000 * column.seconds:.0f} ms an image"
    return "\n".join(
        (
            entrant.title,
            f"{manifest.weights.name} ({manifest.model}, {manifest.precision})",
            ", ".join([entrant.operation.name, *chosen]),
            f"{bytes_in_words(column.size)}, {pace}",
        )
    )


def _as_data(out: Path | None, sources: Sequence[Path], columns: Sequence[Column]) -> dict[str, object]:
    models = [
        {
            "title": column.entrant.title,
            "weights": column.manifest.weights.name,
            "model": column.manifest.model,
            "precision": column.manifest.precision,
            "operation": column.entrant.operation.name,
            "options": dict(column.entrant.options),
            "bytes": column.size,
            "seconds": None if column.seconds is None else round(column.seconds, 4),
            "failed": [
                {"input": str(source), "error": made.error.found}
                for source, made in zip(sources, column.made, strict=True)
                if made.error is not None
            ],
        }
        for column in columns
    ]
    return {"out": None if out is None else str(out), "inputs": [str(source) for source in sources], "models": models}
