"""Trainings by somebody else import as they lie, and give back the images that their author's machine made.

`G(z_opt).png` of a scale is what its generator made at the end of its training: while a generator is trained its norms
take the statistics of the image, and that training fed it the stored noise without the image from below, which it
added behind. All scales below are finished ones.

Between two scales images are truncated to 8 bits, so that the last bit of a number, which differs from machine to
machine, is now and then a whole level; a few such values meet in what the finer scales make of them.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from i2i_plugin_singan.model import SinGAN
from i2i_plugin_singan.networks import Generator, Pyramid
from i2i_registry import Store, discover, find_files, import_checkpoint, open_model

WEIGHTS = Path(os.environ.get("I2I_PARITY", "../shared/parity")).parent / "weights"
SCALES = 8
"""Both have eight that were finished."""
ROUNDED_OTHERWISE = 1e-4
"""Share of the values of an image that may be more than a level off, by one more, where such truncations meet."""


def folder_of(name: str) -> Path:
    if not (WEIGHTS / name).is_dir():
        pytest.skip(f"no trainings at {WEIGHTS}; I2I_PARITY says where parity lies")
    return WEIGHTS / name


def details(level: Generator, noise: Tensor) -> Tensor:
    """What a generator that is being trained adds to the image from below."""
    level.train()
    made = torch.tanh(level.to_image(level.blocks(level.amplitude * noise)))
    level.eval()
    return made


def as_saved(image: Tensor) -> Tensor:
    """8 bits, cut off as the plotting library does."""
    return ((image[0].clamp(-1, 1) + 1) / 2 * 255).floor().permute(1, 2, 0)


@torch.no_grad()
def differences(pyramid: Pyramid, recorded: Path) -> list[Tensor]:
    """Differences of every scale's image from the recorded one, in levels."""
    found: list[Tensor] = []
    finished = pyramid.start(pyramid.noise)
    for scale in range(SCALES):
        height, width = pyramid.config.size_at(scale)
        level = pyramid.level(scale)
        if scale == 0:
            made = details(level, pyramid.noise)
        else:
            noise = pyramid.noise.new_zeros(1, 3, height + 2 * pyramid.border, width + 2 * pyramid.border)
            below = pyramid.below(finished, (height, width), 1 / pyramid.config.factor)
            finished = level(noise, below)
            made = (
                details(level, noise) + below[..., pyramid.border : -pyramid.border, pyramid.border : -pyramid.border]
            )
        with Image.open(recorded / str(scale) / "G(z_opt).png") as file:
            expected = torch.from_numpy(np.asarray(file.convert("RGB"), dtype=np.float32).copy())
        found.append((as_saved(made) - expected).abs())
    return found


@pytest.mark.parametrize(("name", "stopped"), [("singan_etretat", False), ("singan_balloons", True)])
def test_the_recorded_images_are_made_again(tmp_path: Path, name: str, *, stopped: bool) -> None:
    folder, store = folder_of(name), Store(tmp_path)
    report = import_checkpoint(discover(), store, find_files([str(folder)]), "image")
    assert any("stopped before scale 8" in remark for remark in report.remarks) is stopped
    assert report.card.config["mode"] == "generation"
    model, card = open_model(discover(), "image", store)
    assert isinstance(model, SinGAN)
    assert "in the layout of tamarott/SinGAN" in card.provenance.sentence()
    found = differences(model.pyramid, next(path for path in folder.iterdir() if path.is_dir()))
    assert found[0].max() == 0
    for difference in found[1:]:
        assert difference.max() <= 2
        assert (difference > 1).float().mean() <= ROUNDED_OTHERWISE
