"""Running feeds what training has learned from: the same image comes to the same tensor on both ways."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from i2i_registry.plugins.discovery import discover
from i2i_runtime.image.fitting import fit_image, image_to_tensor
from i2i_runtime.image.reading import read_pixels

PLACES: Mapping[str, Mapping[str, str]] = {
    "pix2pix": {"input": "A/train/0.png", "target": "B/train/0.png"},
    "bicyclegan": {"input": "A/train/0.png", "target": "B/train/0.png"},
    "cyclegan": {"A": "trainA/0.png", "B": "trainB/0.png"},
    "ugatit": {"A": "trainA/0.png", "B": "trainB/0.png"},
    "stargan2": {
        "image": "train/cat/0.png",
        "": "train/cat/1.png",
        "reference": "train/dog/1.png",
        "_": "train/dog/0.png",
    },
}
"""model -> what a sample calls an image, and where that lies on disk"""

CHANGED: Mapping[str, Mapping[str, object]] = {"stargan2": {"domains": ("cat", "dog")}, "ugatit": {"image_size": 96}}


@pytest.mark.parametrize("model", PLACES)
def test_an_image_is_the_same_tensor_in_training_and_running(tmp_path: Path, model: str) -> None:
    generator = np.random.default_rng(0)
    for place in PLACES[model].values():
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(generator.integers(0, 256, (90, 71, 3), dtype=np.uint8)).save(tmp_path / place)
    registry = discover(strict=False)
    model_class, trainer_class = registry.model_class(model), registry.trainer_class(model)
    config = model_class.shrunk(next(iter(model_class.presets.values())))
    config = config.model_copy(update=CHANGED.get(model, {}))
    built = model_class(config)
    shown = trainer_class(built, trainer_class.Options()).layout.open(tmp_path, 0).preview(1)

    main = built.operations()[0].main_image
    assert main is not None
    for name in (key for key in PLACES[model] if key in shown):
        pixels = read_pixels(tmp_path / PLACES[model][name], shown[name].shape[1])
        expected = torch.from_numpy(image_to_tensor(fit_image(pixels, main, "resize").pixels, main.value_range))
        torch.testing.assert_close(shown[name][0], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("model", PLACES)
def test_translations_keep_the_form_of_an_image_unless_its_framing_is_fixed(model: str) -> None:
    model_class = discover(strict=False).model_class(model)
    for preset, config in model_class.presets.items():
        with torch.device("meta"):
            main = model_class(config).operations()[0].main_image
        assert main is not None
        assert main.fit != "resize" or main.framing, preset
