from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

import i2i_runtime
from i2i_conformance.command_line import run_command
from i2i_plugin_bicyclegan import i2i_models
from i2i_plugin_bicyclegan.config import PRESETS, Config
from i2i_plugin_bicyclegan.model import BicycleGAN
from i2i_registry import ExportOptions, Store, Trained, WeightsCard, discover
from i2i_runtime import Bundle, LatentInput, Licence, OptionError, UnknownOperationError

TINY = Config(image_size=16, levels=3, channels=2, encoder_channels=2, latent_dim=3)
GENERATOR_ALONE = TINY.model_copy(update={"encoder": None})


def test_the_card_is_there_without_torch() -> None:
    code = "import sys, i2i_plugin_bicyclegan as p; p.i2i_models(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_card_names_the_models_presets_and_operations() -> None:
    (card,) = i2i_models()
    assert card.presets == tuple(BicycleGAN.presets) == tuple(PRESETS)
    assert card.operations == tuple(operation.name for operation in BicycleGAN(TINY).operations())


def test_translate_like_is_the_encoder_and_then_the_generator() -> None:
    like = next(o for o in BicycleGAN(TINY).operations() if o.name == "translate_like")
    assert [step.graph for step in like.steps] == ["encoder", "generator"]
    assert like.steps[0].outputs["latent"] == like.steps[1].inputs["latent"]


def test_a_generator_alone_translates_and_nothing_else() -> None:
    model = BicycleGAN(GENERATOR_ALONE)
    assert [operation.name for operation in model.operations()] == ["translate"]
    assert set(model.networks) == set(model.graphs()) == {"generator"}


def test_the_encoder_of_a_clr_gan_comes_with_a_caution() -> None:
    summaries = {
        method: BicycleGAN(TINY.model_copy(update={"method": method})).operations()[2].summary
        for method in ("bicyclegan", "clr_gan")
    }
    assert "generated images only" in summaries["clr_gan"]
    assert "generated images only" not in summaries["bicyclegan"]


@pytest.mark.parametrize("latent_dim", [2, 8, 256])
def test_translate_takes_a_latent_of_the_models_dim(latent_dim: int) -> None:
    translate = BicycleGAN(TINY.model_copy(update={"latent_dim": latent_dim})).operations()[0]
    (latent,) = [value for value in translate.inputs if isinstance(value, LatentInput)]
    assert (latent.shape, latent.distribution) == ((latent_dim,), "normal")


@pytest.mark.parametrize(
    ("sizes", "reason"), [({"image_size": 96}, "power of two"), ({"image_size": 64, "levels": 7}, "multiples of 128")]
)
def test_sizes_that_do_not_fit_are_refused(sizes: dict[str, int], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        Config.model_validate(TINY.model_dump() | sizes)


# --- In a bundle, without torch ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def artefact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generator alone, exported."""
    torch.manual_seed(0)
    model = BicycleGAN(GENERATOR_ALONE)
    with torch.no_grad():
        for parameter in model.generator.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.2)
    card = WeightsCard(
        name="test",
        model="bicyclegan",
        config=GENERATOR_ALONE.model_dump(mode="json"),
        licence=Licence(spdx="CC0-1.0"),
        provenance=Trained(data="nothing", command="pytest", seed=0, steps=0),
        plugin="i2i-plugin-bicyclegan",
        sha256=hashlib.sha256(b"").hexdigest(),
        size=1,
    )
    path: Path = tmp_path_factory.mktemp("bundle") / "test-onnx"
    exporter = discover(strict=False).exporter("onnx")
    exporter.export(model, card, path, ExportOptions(), lambda _line: None)
    return path


@pytest.fixture(scope="module")
def bundle(artefact: Path) -> Iterator[Bundle]:
    with i2i_runtime.load(artefact, device="cpu", threads=1) as opened:
        yield opened


@pytest.fixture
def image() -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)


def test_eight_styles_of_one_image_come_from_one_call(bundle: Bundle, image: np.ndarray) -> None:
    styles = bundle.translate(image, count=8, seed=0)
    assert len({style.tobytes() for style in styles}) == 8
    assert np.array_equal(styles[3], bundle.translate(image, seed=3))


def test_frames_lead_from_one_seed_to_the_other(bundle: Bundle, image: np.ndarray) -> None:
    frames = bundle.translate.frames(image, seed=3, to={"seed": 8}, count=5)
    for frame, seed in ((frames[0], 3), (frames[-1], 8)):
        assert np.abs(np.asarray(frame).astype(int) - bundle.translate(image, seed=seed)).max() <= 1
    assert len({np.asarray(frame).tobytes() for frame in frames}) == 5


def test_a_latent_of_another_dim_is_refused(bundle: Bundle, image: np.ndarray) -> None:
    with pytest.raises(OptionError, match=r"latent is float64 of shape \[4\]") as caught:
        bundle.translate(image, latent=np.zeros(4))
    assert "float [3]" in caught.value.expected


def test_a_style_by_example_needs_an_encoder(bundle: Bundle, image: np.ndarray) -> None:
    with pytest.raises(UnknownOperationError, match="translate_like"):
        bundle.translate_like(image, reference=image)


def test_the_command_line_says_what_a_generator_alone_is_missing_and_where_it_is(
    artefact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store(tmp_path / "store")
    arguments = ["run", str(artefact), "me.png", "-o", str(tmp_path / "out.png"), "--operation"]

    assert run_command([*arguments, "translate_like"], store) == 2
    message = capsys.readouterr().err
    assert f"bicyclegan can do it, but {artefact} is missing the part it needs (encoder)" in message
    assert "import or train weights that have it" in message
    assert run_command([*arguments, "stylize_mix"], store) == 2
    assert "missing" not in capsys.readouterr().err
