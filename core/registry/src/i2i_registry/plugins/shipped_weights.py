"""Weights that a plugin ships: files in the folder `weights` of its package, found without any code of the plugin.

my_package/weights/NAME.safetensors
my_package/weights/NAME.json            the card, as `i2i-registry publish` writes it
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from i2i_registry.errors import PluginError
from i2i_registry.interfaces.cards import WeightsCard
from i2i_registry.record_files import RecordError, read_record

FOLDER = "weights"
CARD_SUFFIX, TENSORS_SUFFIX = ".json", ".safetensors"


def shipped_weights(module: object) -> tuple[WeightsCard, ...]:
    """Return the cards beside the module of an entry point, by name; a module outside any package ships nothing.

    Raises PluginError for a card that cannot be read, or has no tensors beside it.
    """
    if not isinstance(module, ModuleType) or not module.__package__ or module.__file__ is None:
        return ()
    return tuple(_cards_in(module.__package__.replace(".", "/"), Path(module.__file__).parent / FOLDER))


def _cards_in(package: str, folder: Path) -> Iterator[WeightsCard]:
    for path in sorted(folder.glob(f"*{CARD_SUFFIX}")):
        tensors = path.with_suffix(TENSORS_SUFFIX)
        if not tensors.is_file():
            raise PluginError(
                found=f"{path} has no {tensors.name} beside it",
                expected="weights and their card in the same folder",
                fix="see that the package is built with both; `i2i-registry publish` writes both",
            )
        try:
            card = read_record(path, WeightsCard)
        except RecordError as error:
            raise PluginError(
                found=f"{path} cannot be read: {error}",
                expected="a card of weights, as this version of i2i-registry writes it",
                fix="write it again with `i2i-registry publish`",
            ) from error
        location = f"package:{package}/{FOLDER}/{tensors.name}"
        yield card.model_copy(update={"name": path.stem, "locations": (location,)})
