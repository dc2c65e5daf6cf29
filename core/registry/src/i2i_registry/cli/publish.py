"""`publish`: weights as files that a plugin ships."""

from __future__ import annotations

from pathlib import Path

import click

from i2i_registry.actions.publish import publish_weights
from i2i_registry.cli.render import json_option, show, show_json
from i2i_registry.cli.session import Session, pass_session


@click.command()
@click.argument("name")
@click.option("-o", "folder", required=True, type=click.Path(path_type=Path), metavar="FOLDER", help="Where they go.")
@click.option("--default", is_flag=True, help="The model's own name will mean these weights.")
@json_option
@pass_session
def publish(session: Session, name: str, folder: Path, *, default: bool, as_json: bool) -> None:
    """Write weights and their card as NAME.safetensors and NAME.json.

    \b
      i2i-registry publish warm -o my_plugin/src/my_package/weights --default

    A plugin ships what lies so in the folder `weights` of its package: nothing else is needed.
    """  # noqa: D301 - click reads the mark
    files = publish_weights(session.catalogue, name, folder, default=default)
    if as_json:
        show_json({"files": [str(file) for file in files]})
    else:
        for file in files:
            show(str(file))
