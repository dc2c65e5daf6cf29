"""What an error of a training proposes works: each fix is followed once, as it is written."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from itertools import pairwise

import pytest
import torch

from i2i_registry.errors import TrainingError
from i2i_registry.interfaces.config_values import with_values
from i2i_registry.interfaces.trainer import AnyTrainer
from i2i_registry.plugins.discovery import discover
from i2i_runtime.records import Record

REFUSED: list[tuple[str, str, str]] = [
    ("bicyclegan", "bicyclegan", "encoder=null"),
    ("bicyclegan", "bicyclegan_128", "discriminator_layers=5 discriminator_scales=4"),
    ("bicyclegan", "bicyclegan_128", "image_size=32 levels=5 discriminator_layers=4 discriminator_scales=4"),
    ("bicyclegan", "bicyclegan_128", "image_size=16 levels=4"),
    ("cyclegan", "resnet_9blocks", "directions=a_to_b"),
    ("cyclegan", "resnet_9blocks", "channels_a=1"),
    ("cyclegan", "resnet_9blocks", "image_size=16"),
    ("cyclegan", "resnet_9blocks", "image_size=64 discriminator_layers=6"),
    ("cyclegan", "unet_256", "levels=5 image_size=32 discriminator_layers=4"),
    ("pix2pix", "resnet_9blocks", "image_size=16"),
    ("pix2pix", "unet_128", "discriminator_layers=6"),
    ("ugatit", "light", "image_size=64"),
    ("ugatit", "light", "image_size=32 global_layers=6 local_layers=7"),
]


def built(model: str, records: tuple[Record, Record]) -> AnyTrainer:
    """The trainer, with no memory behind its networks."""
    registry = discover()
    with torch.device("meta"):
        return registry.trainer_class(model)(registry.model_class(model)(records[0]), records[1])


def proposed(fix: str) -> Iterator[Sequence[str]]:
    """The values that every alternative of a fix asks for."""
    for alternative in re.split(r",? or |, ", fix):
        words = shlex.split(alternative)
        values = [value for option, value in pairwise(words) if option == "--set"]
        if values:
            yield values


@pytest.mark.parametrize(("model", "preset", "asked"), REFUSED)
def test_the_fix_of_a_training_that_cannot_be_built_works(model: str, preset: str, asked: str) -> None:
    registry = discover()
    start = registry.model_class(model).presets[preset], registry.trainer_class(model).Options()
    records = with_values(start, asked.split())
    with pytest.raises(TrainingError) as caught:
        built(model, records)

    followed = list(proposed(caught.value.fix))

    assert followed, caught.value.fix
    for values in followed:
        built(model, with_values(records, values))
