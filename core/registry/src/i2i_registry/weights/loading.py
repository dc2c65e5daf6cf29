"""A model's tensors on disk: one safetensors file with keys "<network>.<key of its state dict>".

Nothing here is lenient: a tensor too many, too few or of another shape is an error that names it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pydantic import ValidationError

from i2i_registry.checkpoints.tensor_files import check_shapes, read_tensors, write_tensors
from i2i_registry.errors import CheckpointError
from i2i_registry.interfaces.cards import WeightsCard
from i2i_registry.plugins.discovery import Registry
from i2i_registry.record_files import problems_in_words
from i2i_registry.weights.catalogue import Catalogue
from i2i_registry.weights.store import Store
from i2i_runtime.records import Record

if TYPE_CHECKING:
    from torch import Tensor

    from i2i_registry.interfaces.model import Model

C = TypeVar("C", bound=Record)


def tensors_of(model: Model[C]) -> dict[str, Tensor]:
    """Return the model's weights under the names that a weights file has for them. They share the networks' memory."""
    return {
        f"{network_name}.{key}": value
        for network_name, network in model.networks.items()
        for key, value in network.state_dict().items()
    }


def save(model: Model[Record], path: Path) -> None:
    """Write the model's weights to `path`, atomically.

    Raises StoreError when the disk is full or not writable; `path` is then as it was before.
    """
    write_tensors(tensors_of(model), path)


def load_into(model: Model[Record], path: Path, sha256: str | None = None) -> None:
    """Copy the tensors of a weights file into the model's networks.

    Every tensor is checked before the first one is copied. `sha256`, when given, is what the file must hash to.

    Raises CheckpointError when the file is damaged, or when tensors are missing, unexpected or of another shape.
    """
    tensors = read_tensors(path, sha256)
    check_shapes({key: tuple(value.shape) for key, value in tensors.items()}, shapes_of(model), str(path))
    for network_name, network in model.networks.items():
        prefix = f"{network_name}."
        network.load_state_dict({key: tensors[prefix + key] for key in network.state_dict()})


def shapes_of(model: Model[Record]) -> dict[str, tuple[int, ...]]:
    """Return the tensors that a weights file of this model must hold: name -> shape."""
    return {name: tuple(tensor.shape) for name, tensor in tensors_of(model).items()}


def open_model(registry: Registry, reference: str, store: Store | None = None) -> tuple[Model[Record], WeightsCard]:
    """Return the model that a reference means, with its weights in it, in eval mode on the CPU, and their card.

    `reference` is the name of weights (`name`, `name@version`, `name@alias`) or of a model, whose default weights are
    then taken.

    Raises UnknownName with the nearest name, CheckpointError or StoreError when the weights are damaged.
    """
    catalogue = Catalogue.gather(registry, store or Store.default())
    card = catalogue.find(reference)
    return open_card(catalogue, card), card


def open_card(catalogue: Catalogue, card: WeightsCard) -> Model[Record]:
    """Return the model of a card, with its weights in it, in eval mode on the CPU. Raises as `open_model`."""
    model = build_model(catalogue.registry, card)
    load_for_use(model, catalogue.path_of(card), card.sha256)
    return model


def load_for_use(model: Model[Record], path: Path, sha256: str) -> None:
    """As `load_into`, and put the networks into evaluation mode."""
    load_into(model, path, sha256)
    for network in model.networks.values():
        network.eval()


def build_model(registry: Registry, card: WeightsCard) -> Model[Record]:
    """Return the model at the config of a card, without its weights.

    Raises UnknownName when its plugin is not installed, CheckpointError when the config is not one of its own.
    """
    model_class = registry.model_class(card.model)
    try:
        config = model_class.Config.model_validate(card.config)
    except ValidationError as error:
        raise CheckpointError(
            found=f"the config of {card.reference} does not fit {card.model}: {problems_in_words(error)}",
            expected=f"the fields of its Config, as {card.plugin} wrote them",
            fix=f"install the version that made it: {card.plugin}",
        ) from error
    return model_class(config)
