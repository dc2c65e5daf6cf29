"""`i2i-registry measure`: parses, calls the library, renders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from i2i_registry.cli.render import json_option, show_json, show_table, tell

if TYPE_CHECKING:
    from i2i_toolkit.metrics.measuring import Measures


@click.command()
@click.argument("real", type=click.Path(path_type=Path))
@click.argument("fakes", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="SAMPLE...")
@click.option(
    "--features",
    type=click.Path(path_type=Path),
    metavar="FILE.onnx",
    help="Network for SIFID: images [n, 3, h, w] in [-1, 1] in, a map of features out first.",
)
@json_option
def measure(*, real: Path, fakes: tuple[Path, ...], features: Path | None, as_json: bool) -> None:
    """Measure samples of a one-image model against the image that it learned from, REAL.

    \b
      i2i-registry measure balloons.png samples/
      i2i-registry measure balloons.png samples/ --features inception.onnx

    diversity: how much samples of one size differ from each other; 0 when all are equal.
    SIFID: how far features of the samples are from those of REAL; less is nearer, and only numbers of one network
    compare. SinGAN's is Inception v3 up to its second max-pool. Give REAL at the size of the samples.
    """  # noqa: D301 - click reads the mark
    from i2i_toolkit.metrics.measuring import measure_samples  # noqa: PLC0415 - loads torch, which --help needs not

    measures = measure_samples(real, fakes, features)
    if as_json:
        show_json(asdict(measures))
    else:
        show_table(("measure", "value", "of"), _rows(measures, features))
    if measures.no_diversity:
        tell(f"diversity was not measured: {measures.no_diversity}")
    if measures.sifid is not None and measures.sample_sizes != (measures.real_size,):
        tell(
            f"SIFID compares images of other sizes: REAL has {_pixels([measures.real_size])}, the samples "
            f"{_pixels(measures.sample_sizes)}; where that is another scale, features differ for this alone"
        )


def _rows(measures: Measures, features: Path | None) -> list[tuple[str, str, str]]:
    what = f"{measures.samples} sample{'s' * (measures.samples > 1)} of {_pixels(measures.sample_sizes)}"
    rows: list[tuple[str, str, str]] = []
    if measures.diversity is not None:
        rows.append(("diversity", f"{measures.diversity:.4g}", what))
    if measures.sifid is not None:
        rows.append(("SIFID", f"{measures.sifid:.4g}", f"{what}, features {features} ({measures.features_sha256})"))
    return rows


def _pixels(sizes: Sequence[tuple[int, int]]) -> str:
    return " and ".join(f"{width}x{height}" for height, width in sizes)
