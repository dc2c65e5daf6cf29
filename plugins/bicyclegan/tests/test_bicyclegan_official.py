from __future__ import annotations

import pytest
import torch
from torch import Tensor

from i2i_plugin_bicyclegan.config import Config
from i2i_plugin_bicyclegan.model import BicycleGAN
from i2i_plugin_bicyclegan.official import RELEASE_FORMAT, UNUSED
from i2i_registry.errors import CheckpointError
from i2i_registry.importing import map_keys

SMALL = {"image_size": 64, "levels": 6, "channels": 2, "encoder_channels": 2, "latent_length": 5}
VARIANTS = [
    {},
    {"norm": "batch"},
    {"upsampling": "bilinear", "norm": "batch"},
    {"source_channels": 1, "target_channels": 1},
    {"encoder": "cnn"},
    {"encoder": "cnn", "norm": "batch"},
    {"latent_at": "input"},
    {"latent_at": "input", "norm": "batch", "encoder": "cnn"},
    {"latent_at": "input", "norm": "batch", "upsampling": "bilinear"},
    {"latent_at": "input", "upsampling": "bilinear", "source_channels": 1},
    {"levels": 5},
    {"levels": 5, "latent_at": "input", "norm": "batch"},
    {"encoder": None},
    {"encoder": None, "latent_at": "input"},
]

Shapes = dict[str, tuple[int, ...]]


def make_config(variant: dict[str, object]) -> Config:
    return Config.model_validate(SMALL | variant)


def saved_by_release(config: Config, *, prefix: bool = True) -> Shapes:
    shapes = dict(RELEASE_FORMAT.example(config))
    if prefix:
        return shapes
    return {key.split(".", 1)[1]: shape for key, shape in shapes.items() if key[:2] in ("G.", "E.")}


def zeros(shapes: Shapes) -> dict[str, Tensor]:
    return {key: torch.zeros(shape) for key, shape in shapes.items()}


@pytest.mark.parametrize("prefix", [True, False], ids=["files together", "bare keys"])
@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_every_tensor_arrives_where_the_inferred_model_has_it(variant: dict[str, object], *, prefix: bool) -> None:
    config = make_config(variant)
    shapes = saved_by_release(config, prefix=prefix)
    assert RELEASE_FORMAT.detect(shapes)
    inferred = RELEASE_FORMAT.infer_config(shapes)
    expected = config.model_dump() | ({} if config.encoder else {"image_size": 64, "encoder_channels": 64})
    assert inferred.model_dump() == expected
    used = map_keys(RELEASE_FORMAT.keys, RELEASE_FORMAT.repair(zeros(shapes))).used
    with torch.device("meta"):
        networks = BicycleGAN(inferred).networks
    ours = {f"{name}.{key}": tuple(t.shape) for name, n in networks.items() for key, t in n.state_dict().items()}
    assert {target: shapes[key] for key, target in used.items()} == ours


def test_a_residual_encoder_tells_that_there_are_no_norms() -> None:
    shapes = saved_by_release(make_config({}))
    old, new = ("conv.2.", "conv.5.0."), ("conv.1.", "conv.3.0.")
    without = {
        key.replace(old[0], new[0]).replace(old[1], new[1]) if key.startswith("E.conv.1.") else key: s
        for key, s in shapes.items()
    }
    assert RELEASE_FORMAT.infer_config(without).norm == "none"


def test_statistics_of_old_instance_norms_are_dropped_with_a_reason() -> None:
    shapes = saved_by_release(make_config({}))
    shapes["G.model.submodule.down.2.running_mean"] = (4,)
    report = map_keys(RELEASE_FORMAT.keys, RELEASE_FORMAT.repair(zeros(shapes)))
    assert "before 0.4" in report.dropped[f"G.model.submodule.down.2.running_mean{UNUSED}"]
    assert RELEASE_FORMAT.infer_config(shapes).norm == "instance"


def test_batch_norms_from_before_the_counter_get_one() -> None:
    shapes = saved_by_release(make_config({"norm": "batch"}))
    old = {key: shape for key, shape in shapes.items() if not key.endswith("num_batches_tracked")}
    repaired = RELEASE_FORMAT.repair(zeros(old))
    generator = {key for key in shapes if key.startswith(("G.", "E."))}
    assert generator <= repaired.keys()
    assert repaired["G.model.submodule.down.2.num_batches_tracked"].shape == ()


@pytest.mark.parametrize("key", ["D.model_0.0.weight", "D2.model_1.11.bias", "model_0.5.weight", "D.model.0.weight"])
def test_discriminators_are_dropped_with_a_reason(key: str) -> None:
    report = map_keys(RELEASE_FORMAT.keys, {key: torch.zeros(1)})
    assert "training" in report.dropped[key]


def test_the_u_net_of_pix2pix_is_another_papers() -> None:
    shapes = saved_by_release(make_config({"latent_at": "input", "encoder": None}), prefix=False)
    for channels in (1, 3):
        assert not RELEASE_FORMAT.detect({**shapes, "model.model.0.weight": (2, channels, 4, 4)})


def test_an_encoder_alone_is_refused_by_name() -> None:
    encoder = {key: shape for key, shape in saved_by_release(make_config({})).items() if key.startswith("E.")}
    assert RELEASE_FORMAT.detect(encoder)
    with pytest.raises(CheckpointError, match="without its generator"):
        RELEASE_FORMAT.infer_config(encoder)


def test_networks_of_two_picture_sizes_are_refused() -> None:
    shapes = saved_by_release(make_config({}))
    other = saved_by_release(make_config({"image_size": 32, "levels": 5}))
    mixed = {k: s for k, s in shapes.items() if k[:2] == "G."} | {k: s for k, s in other.items() if k[:2] == "E."}
    with pytest.raises(CheckpointError, match="image_size"):
        RELEASE_FORMAT.infer_config(mixed)
