"""Images of 4 and of 6 channels, and networks that no preset has: learned from, exported, run without torch."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import i2i_runtime
from i2i_registry.interfaces.cards import Trained, WeightsCard
from i2i_registry.interfaces.exporter import ExportOptions
from i2i_registry.interfaces.trainer import Step
from i2i_registry.plugins.discovery import discover
from i2i_runtime.attribution import Licence
from i2i_toolkit.training.previews import in_colour

if TYPE_CHECKING:
    from i2i_registry.interfaces.model import Model
    from i2i_runtime.records import Record

SIDE = 32
SMALL: Mapping[str, Mapping[str, object]] = {
    "pix2pix": {"channels": 2, "image_size": SIDE},
    "cyclegan": {"channels": 2, "image_size": SIDE, "res_blocks": 1, "levels": 5},
    "bicyclegan": {"channels": 2, "image_size": SIDE, "levels": 5, "encoder_channels": 2, "latent_dim": 3},
}
NETWORKS: Mapping[str, tuple[str, Mapping[str, object]]] = {
    "pix2pix: ResNet without norms, 6 to 4": (
        "pix2pix",
        {"generator": "resnet", "depth": 1, "norm": "none", "input_channels": 6, "output_channels": 4},
    ),
    "pix2pix: U-Net with instance norm, 4 to 1": (
        "pix2pix",
        {"depth": 5, "norm": "instance", "input_channels": 4, "output_channels": 1},
    ),
    "cyclegan: ResNets with batch norm and dropout, 4 and 4": (
        "cyclegan",
        {"norm": "batch", "dropout": True, "channels_a": 4, "channels_b": 4},
    ),
    "cyclegan: U-Nets without norms, 6 and 6": (
        "cyclegan",
        {"generator": "unet", "norm": "none", "channels_a": 6, "channels_b": 6},
    ),
    "cyclegan: U-Nets with batch norm, grey and colour": (
        "cyclegan",
        {"generator": "unet", "norm": "batch", "channels_a": 1, "channels_b": 3},
    ),
    "bicyclegan: without norms, latent at the input, 6 to 2": (
        "bicyclegan",
        {
            "norm": "none",
            "latent_at": "input",
            "encoder": "cnn",
            "upsampling": "bilinear",
            "activation": "leaky_relu",
            "source_channels": 6,
            "target_channels": 2,
        },
    ),
    "bicyclegan: batch norm, 4 to 6": (
        "bicyclegan",
        {"norm": "batch", "activation": "elu", "source_channels": 4, "target_channels": 6},
    ),
}
LEARNING: Mapping[str, Mapping[str, object]] = {
    "pix2pix": {},
    "cyclegan": {},
    "bicyclegan": {"one_discriminator": True, "conditional_discriminator": True},
}
EXPORTED = (
    "pix2pix: ResNet without norms, 6 to 4",
    "cyclegan: U-Nets with batch norm, grey and colour",
    "bicyclegan: without norms, latent at the input, 6 to 2",
)
"""an export takes seconds: what is hardest of each paper"""


def make(name: str) -> Model[Record]:
    """The model, its weights moved away from their start, at which images are flat."""
    model, changes = NETWORKS[name]
    torch.manual_seed(0)
    model_class = discover(strict=False).model_class(model)
    built = model_class(model_class.Config.model_validate({**SMALL[model], **changes}))
    with torch.no_grad():
        for network in built.networks.values():
            for parameter in network.parameters():
                parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return built


def channels_of(name: str) -> tuple[int, int]:
    """Of the first domain, or of what is translated, and of the other."""
    pairs = ("input_channels", "output_channels"), ("channels_a", "channels_b"), ("source_channels", "target_channels")
    changes = NETWORKS[name][1]
    first, second = next((changes[a], changes[b]) for a, b in pairs if a in changes)
    return cast("int", first), cast("int", second)


def images(channels: int, count: int = 2) -> list[NDArray[np.uint8]]:
    generator = np.random.default_rng(channels)
    return [generator.integers(0, 256, (SIDE, SIDE, channels), dtype=np.uint8) for _ in range(count)]


@pytest.mark.parametrize("name", NETWORKS)
def test_it_learns_from_arrays_of_as_many_channels(tmp_path: Path, name: str) -> None:
    model, _ = NETWORKS[name]
    folders = ("trainA", "trainB") if model == "cyclegan" else ("A/train", "B/train")
    for folder, channels in zip(folders, channels_of(name), strict=True):
        (tmp_path / folder).mkdir(parents=True)
        for number, image in enumerate(images(channels)):
            np.save(tmp_path / folder / f"{number}.npy", image)
    trainer_class = discover(strict=False).trainer_class(model)
    options = trainer_class.Options.model_validate(
        {"discriminator_layers": 2, "discriminator_channels": 2, "batch_size": 2, **LEARNING[model]}
        | ({"identity_weight": 0} if len(set(channels_of(name))) > 1 and model == "cyclegan" else {})
    )
    trainer = trainer_class(make(name), options)
    source = trainer.layout.open(tmp_path, 0)
    samples = [source.draw(position) for position in range(2)]
    batch = {key: torch.stack([sample[key] for sample in samples]) for key in samples[0]}
    assert [tensor.shape[1] for tensor in batch.values()] == list(channels_of(name))
    (stage,) = trainer.stages()
    step = Step(number=1, batch=batch, shared=stage.shared and stage.shared(Step(1, batch, None)))
    for phase in stage.phases:
        losses = list(phase.losses(step).values())
        assert all(bool(loss.isfinite()) for loss in losses)
        torch.stack(losses).sum().backward(retain_graph=True)
    shown = [in_colour(column) for column in trainer.preview(source.preview(2)).values()]
    assert {tuple(column.shape) for column in shown} == {(2, 3, SIDE, SIDE)}


@pytest.mark.parametrize("name", EXPORTED)
def test_its_bundle_translates_arrays_of_as_many_channels(tmp_path: Path, name: str) -> None:
    model, first_and_second = make(name), channels_of(name)
    card = WeightsCard(
        name="test",
        model=model.name,
        config=model.config.model_dump(mode="json"),
        licence=Licence(spdx="CC0-1.0"),
        provenance=Trained(data="nothing", command="pytest", seed=0, steps=0),
        plugin=f"i2i-plugin-{model.name}",
        sha256=hashlib.sha256(b"").hexdigest(),
        size=1,
    )
    exporter = discover(strict=False).exporter("onnx")
    exporter.export(model, card, tmp_path / "test-onnx", ExportOptions(), lambda _line: None)
    with i2i_runtime.load(tmp_path / "test-onnx", device="cpu", threads=1) as bundle:
        first, second = first_and_second
        ways: list[tuple[int, int, dict[str, str]]] = [(first, second, {})]
        if model.name == "cyclegan":
            ways = [(first, second, {"domain": "B"}), (second, first, {"domain": "A"})]
        for taken, given, domain in ways:
            (image,) = images(taken, 1)
            source = image[:, :, 0] if taken == 1 else image
            (made,) = bundle.run("translate", source, domain)
            assert np.asarray(made["image"]).reshape(SIDE, SIDE, -1).shape[2] == given
