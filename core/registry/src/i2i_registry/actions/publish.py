"""Weights and their card as two files, which a plugin ships in its package."""

from __future__ import annotations

import shutil
from pathlib import Path

from i2i_registry.output_paths import check_new
from i2i_registry.plugins.shipped_weights import CARD_SUFFIX, TENSORS_SUFFIX
from i2i_registry.weights.catalogue import Catalogue
from i2i_runtime.files.atomic import atomic_write, write_text


def publish_weights(catalogue: Catalogue, reference: str, folder: Path, *, default: bool) -> tuple[Path, Path]:
    """Write NAME.safetensors and NAME.json into `folder`, which is made where there is none; their paths.

    `default`: whether the model's own name means these weights where they are shipped.

    Raises UsageError when one of the files exists, UnknownName, and StoreError when the weights are damaged.
    """
    card = catalogue.find(reference)
    source = catalogue.path_of(card)
    tensors, record = folder / f"{card.name}{TENSORS_SUFFIX}", folder / f"{card.name}{CARD_SUFFIX}"
    check_new(tensors)
    check_new(record)
    with atomic_write(tensors) as partial:
        shutil.copyfile(source, partial)
    shipped = card.model_copy(update={"locations": (), "default": default})
    write_text(record, shipped.model_dump_json(indent=2) + "\n")
    return tensors, record
