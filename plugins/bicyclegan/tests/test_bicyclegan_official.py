from __future__ import annotations

import pytest
import torch
from torch import Tensor

from i2i_conformance.releases import converted, released
from i2i_plugin_bicyclegan.config import Config
from i2i_plugin_bicyclegan.model import BicycleGAN
from i2i_plugin_bicyclegan.official import RELEASE_FORMAT
from i2i_registry import CheckpointError, Clues, InferredConfig, ReleaseOptions

SMALL = {"image_size": 64, "levels": 6, "channels": 2, "encoder_channels": 2, "latent_dim": 5}
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
    {"norm": "none"},
    {"norm": "none", "encoder": "cnn"},
    {"norm": "none", "upsampling": "bilinear", "encoder": "cnn", "latent_at": "input"},
    {"norm": "none", "latent_at": "input"},
    {"source_channels": 6, "target_channels": 4},
]

Shapes = dict[str, tuple[int, ...]]


def make_config(variant: dict[str, object]) -> Config:
    return Config.model_validate(SMALL | variant)


def saved_by_release(config: Config, *, prefix: bool = True) -> Shapes:
    shapes = released(RELEASE_FORMAT, BicycleGAN, config)
    if prefix:
        return shapes
    return {key.split(".", 1)[1]: shape for key, shape in shapes.items()}


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
    report = converted(RELEASE_FORMAT, BicycleGAN(inferred), zeros(shapes))
    assert report.used.keys() == shapes.keys()


def test_norms_that_differ_between_the_networks_are_refused() -> None:
    batch, without = (saved_by_release(make_config({"norm": norm})) for norm in ("batch", "none"))
    mixed = {k: s for k, s in batch.items() if k[:2] == "G."} | {k: s for k, s in without.items() if k[:2] == "E."}
    with pytest.raises(CheckpointError, match="different norms: batch and none"):
        RELEASE_FORMAT.infer_config(mixed)


def test_statistics_of_old_instance_norms_are_dropped_with_a_reason() -> None:
    shapes = saved_by_release(make_config({}))
    shapes["G.model.submodule.down.2.running_mean"] = (4,)
    report = converted(RELEASE_FORMAT, BicycleGAN(make_config({})), zeros(shapes))
    assert "before 0.4" in report.dropped["G.model.submodule.down.2.running_mean"]
    assert RELEASE_FORMAT.infer_config(shapes).norm == "instance"


def test_batch_norms_from_before_the_counter_get_one() -> None:
    shapes = saved_by_release(make_config({"norm": "batch"}))
    old = {key: shape for key, shape in shapes.items() if not key.endswith("num_batches_tracked")}
    report = converted(RELEASE_FORMAT, BicycleGAN(make_config({"norm": "batch"})), zeros(old))
    assert set(report.filled) == shapes.keys() - old.keys()


@pytest.mark.parametrize("key", ["D.model_0.0.weight", "D2.model_1.11.bias", "model_0.5.weight", "D.model.0.weight"])
def test_discriminators_are_dropped_with_a_reason(key: str) -> None:
    tensors = zeros(saved_by_release(make_config({}))) | {key: torch.zeros(1)}
    report = converted(RELEASE_FORMAT, BicycleGAN(make_config({})), tensors)
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


def test_networks_of_two_image_sizes_are_refused() -> None:
    shapes = saved_by_release(make_config({}))
    other = saved_by_release(make_config({"image_size": 32, "levels": 5}))
    mixed = {k: s for k, s in shapes.items() if k[:2] == "G."} | {k: s for k, s in other.items() if k[:2] == "E."}
    with pytest.raises(CheckpointError, match="image_size"):
        RELEASE_FORMAT.infer_config(mixed)


# --- What tensors do not show -----------------------------------------------------------------------------------------


def told(**options: object) -> Clues:
    """The clues of an option file."""
    return Clues(options=(ReleaseOptions("opt.txt", {name: str(value) for name, value in options.items()}),))


def settled(inferred: InferredConfig[Config]) -> dict[str, tuple[object, str]]:
    return {each.field: (each.value, each.by) for each in inferred.settled}


def test_what_nobody_says_is_taken_for_granted_and_told() -> None:
    whole = RELEASE_FORMAT.infer(saved_by_release(make_config({})), Clues())
    assert settled(whole) == {"method": ("bicyclegan", ""), "activation": ("relu", "")}
    alone = RELEASE_FORMAT.infer(saved_by_release(make_config({"encoder": None, "latent_at": "input"})), Clues())
    assert set(settled(alone)) == {"method", "activation", "image_size", "latent_dim"}
    alone = RELEASE_FORMAT.infer(saved_by_release(make_config({"encoder": None})), Clues())
    assert set(settled(alone)) == {"method", "activation", "image_size", "norm"}


@pytest.mark.parametrize(("option", "value"), [("relu", "relu"), ("lrelu", "leaky_relu"), ("elu", "elu")])
def test_the_activation_is_the_option_files(option: str, value: str) -> None:
    inferred = RELEASE_FORMAT.infer(saved_by_release(make_config({})), told(nl=option, model="bicycle_gan"))
    assert inferred.config == make_config({"activation": value})
    assert settled(inferred)["activation"] == (value, f"opt.txt: nl = {option}")


def test_a_generator_alone_is_completed_by_the_option_file() -> None:
    config = make_config({"encoder": None, "latent_at": "input", "source_channels": 6, "latent_dim": 7})
    inferred = RELEASE_FORMAT.infer(saved_by_release(config), told(nz=7, crop_size=128, norm="instance"))
    assert inferred.config == config.model_copy(update={"image_size": 128, "encoder_channels": 64})
    without = make_config({"encoder": None, "norm": "none"})
    assert RELEASE_FORMAT.infer(saved_by_release(without), told(norm="none")).config.model_dump()["norm"] == "none"


@pytest.mark.parametrize(
    "options", [{"ngf": 64}, {"where_add": "input"}, {"nz": 8}, {"norm": "batch"}, {"upsample": "bilinear"}], ids=str
)
def test_the_option_file_of_another_training_is_not_used_and_that_is_told(options: dict[str, object]) -> None:
    shapes = saved_by_release(make_config({"encoder": "cnn"}))
    inferred = RELEASE_FORMAT.infer(shapes, told(nl="elu", **options))
    assert settled(inferred)["activation"] == ("relu", "")
    assert any("opt.txt not used" in remark for remark in inferred.remarks)


def test_the_u_net_with_more_channels_than_colours_is_either_releases_until_something_tells() -> None:
    shapes = saved_by_release(make_config({"latent_at": "input", "encoder": None}), prefix=False)
    assert RELEASE_FORMAT.detect(shapes)
    assert RELEASE_FORMAT.fits(Clues())
    assert RELEASE_FORMAT.fits(told(model="bicycle_gan"))
    assert not RELEASE_FORMAT.fits(told(model="pix2pix"))


@pytest.mark.parametrize("shape", [(), (2,), (0, 8, 4, 4), (2, 0, 4, 4)])
@pytest.mark.parametrize("key", ["G.model.down.0.weight", "G.model.submodule.down.1.weight", "E.conv.0.weight"])
def test_kernels_that_are_none_are_refused_by_name(key: str, shape: tuple[int, ...]) -> None:
    shapes = saved_by_release(make_config({}))
    with pytest.raises(CheckpointError, match=key[2:].replace(".", r"\.")):
        RELEASE_FORMAT.infer_config({**shapes, key: shape})
