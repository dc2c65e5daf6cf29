"""`compare`: the same images through several models, as one image or one page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from i2i_registry.actions.compare import ModelResults, enter_models, run_models, titles_of
from i2i_registry.actions.request import split_pair
from i2i_registry.actions.side_by_side import ImageAttempt, ResultColumn, SideBySide, files_read, read_images, shrunk
from i2i_registry.actions.sources import SourceImage, find_sources
from i2i_registry.actions.target import LoadOptions, Target
from i2i_registry.cli.options import fit_option, images_argument, load_options, sheet_options
from i2i_registry.cli.render import bytes_in_words, json_option, tell, tell_error, tell_left_out
from i2i_registry.cli.session import Session
from i2i_registry.cli.sheet_results import finish_sheet
from i2i_registry.sheets.files import SheetFile
from i2i_runtime.errors import UsageError
from i2i_runtime.image.resizing import Fit


@click.command()
@images_argument
@click.option(
    "--models",
    "texts",
    multiple=True,
    required=True,
    metavar="A,B,...",
    help="Bundles, or weights by name; repeatable.",
)
@sheet_options
@click.option("--operation", metavar="NAME", help="One that every model has; default: each model's first.")
@click.option(
    "--set", "settings", multiple=True, metavar="NAME=VALUE", help="An input of the operation, for models that have it."
)
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Every model draws the same from it."
)
@fit_option
@load_options
@json_option
@click.pass_context
def compare(
    context: click.Context,
    /,
    *,
    images: tuple[Path, ...],
    texts: tuple[str, ...],
    sheet: SheetFile,
    operation: str | None,
    settings: tuple[str, ...],
    seed: int,
    fit: Fit | None,
    load: LoadOptions,
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
    targets = titles_of(_targets(context.ensure_object(Session), texts))
    sources = find_sources(images, sheet.path, tell_left_out)
    models = enter_models(targets, operation, _values(settings), fit, seed)
    sheet.check(len(models) + 1, len(sources), files_read(sources, [model.request for model in models]))
    inputs = [shrunk(image, sheet.cell_px) for image in read_images(sources)]
    told: set[str] = set()
    _tell_new(inputs, told)
    results: list[ModelResults] = []
    for result in run_models(models, sources, load, sheet.cell_px, tell):
        results.append(result)
        tell(_heading(result).replace("\n", "; "))
        _tell_new(result.cells, told)
    columns = (
        ResultColumn("input", tuple(inputs)),
        *(ResultColumn(_heading(each), each.cells) for each in results),
    )
    made = SideBySide(f"{', '.join(targets)}: side by side", tuple(sources), columns)
    failed = sum(cell.error is not None for each in results for cell in each.cells)
    words = f"{failed} of {len(results) * len(sources)} failed" if failed else ""
    finish_sheet(context, made, sheet, failed=words, data=_as_data(sources, results) if as_json else None)


def _targets(session: Session, texts: Sequence[str]) -> list[Target]:
    named = [text.strip() for each in texts for text in ([each] if Path(each).exists() else each.split(","))]
    targets = [Target(session.registry, session.store, text) for text in dict.fromkeys(named) if text]
    if not targets:
        raise UsageError("no models were named", expected="--models A,B", fix="`i2i-registry list` shows what there is")
    return targets


def _values(settings: Sequence[str]) -> dict[str, str]:
    values: dict[str, str] = {}
    for text in settings:
        name, value = split_pair("--set", text, "domain=poster")
        if name in values:
            raise UsageError(f"--set {name} was given twice", expected="one value for each input")
        values[name] = value
    return values


def _tell_new(cells: Sequence[ImageAttempt], told: set[str]) -> None:
    """Tell each error once."""
    for cell in cells:
        if cell.error is not None and str(cell.error) not in told:
            told.add(str(cell.error))
            tell_error(cell.error)


def _heading(results: ModelResults) -> str:
    manifest, model = results.manifest, results.model
    chosen = [f"{name}={value}" for name, value in model.request.options.items()]
    pace = "no result" if results.seconds is None else f"{1000 * results.seconds:.0f} ms an image"
    return "\n".join(
        (
            model.title,
            f"{manifest.weights.name} ({manifest.model}, {manifest.precision})",
            ", ".join([model.request.operation.name, *chosen]),
            f"{bytes_in_words(results.size)}, {pace}",
        )
    )


def _as_data(sources: Sequence[SourceImage], models: Sequence[ModelResults]) -> dict[str, object]:
    inputs = [str(source.path) for source in sources]
    return {
        "inputs": inputs,
        "models": [
            {
                "title": each.model.title,
                "weights": each.manifest.weights.name,
                "model": each.manifest.model,
                "precision": each.manifest.precision,
                "operation": each.model.request.operation.name,
                "options": dict(each.model.request.options),
                "bytes": each.size,
                "seconds": None if each.seconds is None else round(each.seconds, 4),
                "failed": [
                    {"input": source, "error": cell.error.found}
                    for source, cell in zip(inputs, each.cells, strict=True)
                    if cell.error is not None
                ],
            }
            for each in models
        ],
    }
