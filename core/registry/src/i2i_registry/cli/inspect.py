"""`inspect`: look into a file."""

from __future__ import annotations

from pathlib import Path

import click

from i2i_registry.actions.inspect import inspect_file
from i2i_registry.cli.render import json_option, show, show_json, tell


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@json_option
def inspect(file: Path, *, as_json: bool) -> None:
    """Look into a bundle, an .onnx or .safetensors file, or an external checkpoint. Nothing is executed.

    \b
      i2i-registry inspect anime-onnx
      i2i-registry inspect 100000_nets_ema.ckpt
    """  # noqa: D301 - click reads the mark
    inspection = inspect_file(file)
    if as_json:
        show_json({"kind": inspection.kind, **inspection.data})
        return
    tell(f"{file}: {inspection.kind}")
    for line in inspection.lines:
        show(line)
