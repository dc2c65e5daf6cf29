"""Put the weights of the official loop into the plugin's networks, so that both start from the same numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping

from official_order import OfficialLoop
from torch import Tensor

from i2i_plugin_ugatit.official import ZNXLWM_FORMAT
from i2i_registry.importing import map_keys
from i2i_registry.model import KeyMap
from i2i_registry.trainer import Trainer
from i2i_runtime.operations import Record

_SPECTRAL = (("bias", "bias"), ("weight_orig", "weight"), ("weight_u", "spectral.u"), ("weight_v", "spectral.v"))
_PARTS = (
    *((rf"model\.{1 + 3 * number}", f"layers.{number}") for number in range(6)),
    ("gap_fc", "attention.average_head"),
    ("gmp_fc", "attention.maximum_head"),
    ("conv", "to_logits"),
)
DISCRIMINATOR_KEYS: KeyMap = (
    *((rf"{part}\.{theirs}", f"{name}.{ours}") for part, name in _PARTS for theirs, ours in _SPECTRAL),
    (r"conv1x1\.(weight|bias)", r"attention.merge.\1"),
)


def copy_official(loop: OfficialLoop, trainer: Trainer[Record]) -> None:
    """Fill all six networks of `trainer`; every tensor must find its place."""
    state = {key: value.detach() for key, value in loop.networks.state_dict().items()}
    used = map_keys(ZNXLWM_FORMAT.keys, state).used
    generators = {ours: state[theirs] for theirs, ours in used.items()}
    for name, network in trainer.networks.items():
        match = re.fullmatch(r"(global|local)_discriminator_([ab])", name)
        tensors = discriminator(state, *match.groups()) if match else under(f"{name}.", generators)
        network.load_state_dict(tensors)


def discriminator(state: Mapping[str, Tensor], scale: str, domain: str) -> dict[str, Tensor]:
    """The tensors of one discriminator under our names."""
    theirs = under(f"dis{scale[0].upper()}{domain.upper()}.", state)
    return {ours: theirs[key] for key, ours in map_keys(DISCRIMINATOR_KEYS, theirs).used.items()}


def under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose name starts with `prefix`, without it."""
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
