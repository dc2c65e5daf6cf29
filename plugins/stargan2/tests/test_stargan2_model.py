from __future__ import annotations

import hashlib
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from onnxruntime import InferenceSession
from pydantic import ValidationError

import i2i_runtime
from i2i_plugin_stargan2 import i2i_models
from i2i_plugin_stargan2.config import PRESETS, Config
from i2i_plugin_stargan2.model import StarGAN2
from i2i_plugin_stargan2.networks import TruncatedMapping, truncated
from i2i_registry import (
    CheckpointError,
    ExportOptions,
    Model,
    Trained,
    WeightsCard,
    discover,
    load_into,
    resolved_graphs,
    save,
)
from i2i_runtime import Bundle, I2IError, ImageInput, Licence, OptionError, Record

TINY = Config(image_size=32, channel_base=128, max_channels=8, latent_dim=4, style_dim=6, mapping_channels=8)
FACES = TINY.model_copy(update={"image_size": 64, "channel_base": 256, "high_pass": 1.0, "fan_channels": 2})

Levels = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]


def test_the_card_is_there_without_torch() -> None:
    code = "import sys, i2i_plugin_stargan2 as p; p.i2i_models(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_card_names_the_models_presets_and_operations() -> None:
    (card,) = i2i_models()
    assert card.presets == tuple(StarGAN2.presets) == tuple(PRESETS)
    assert card.operations == tuple(operation.name for operation in StarGAN2(TINY).operations())


def test_faces_go_through_the_masks_of_their_landmarks() -> None:
    translate = StarGAN2(FACES).operations()[0]
    assert [step.graph for step in translate.steps] == ["mapping", "fan", "face_masks", "generator"]
    image = translate.inputs[0]
    assert isinstance(image, ImageInput)
    assert "face" in image.framing
    assert not image.size.dynamic


def test_the_landmarks_that_say_how_a_face_lies_are_those_of_eyes_and_mouth() -> None:
    model = StarGAN2(FACES)
    for image in (value for o in model.operations() for value in o.inputs if isinstance(value, ImageInput)):
        assert image.face is not None
        fan = resolved_graphs(cast("Model[Record]", model))[image.face.graph]
        assert [image.face.input] == list(fan.inputs)
        assert image.face.output in fan.outputs
        assert (len(image.face.left_eye), len(image.face.right_eye), image.face.mouth) == (9, 9, (76, 82))


def test_animals_need_no_framing_and_have_any_size_that_downsamples_evenly() -> None:
    image = StarGAN2(PRESETS["small"]).operations()[0].inputs[0]
    assert isinstance(image, ImageInput)
    assert image.framing == ""
    assert image.size.accepts(8, 64)
    assert not image.size.accepts(4, 64)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"image_size": 96}, "power of two"),
        ({"image_size": 16}, "greater than or equal to 32"),
        ({"channel_base": 100}, "multiple of image_size"),
        ({"high_pass": 1.0}, "64 or more"),
        ({"domains": ()}, "at least 1"),
        ({"domains": ("cat", "cat")}, "name of its own"),
        ({"domains": ("cat", "")}, "name of its own"),
    ],
)
def test_sizes_and_names_that_do_not_fit_are_refused(fields: dict[str, object], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        Config.model_validate(TINY.model_dump() | fields)


# --- Truncation -------------------------------------------------------------------------------------------------------


def test_psi_moves_a_style_on_the_line_to_the_mean() -> None:
    style, mean = torch.tensor([[1.0, -3.0]]), torch.tensor([[0.0, 1.0]])
    found = [truncated(style, mean, torch.tensor([psi])).flatten().tolist() for psi in (0.0, 0.5, 1.0)]
    assert found == [[0.0, 1.0], [0.5, -1.0], [1.0, -3.0]]


def test_each_domain_has_a_mean_of_its_own() -> None:
    torch.manual_seed(0)
    model = StarGAN2(TINY)
    mapping = TruncatedMapping(model.mapping, TINY.latent_dim)
    domains = torch.tensor([0, 1, 2])
    latents = torch.randn(20_000, 4)
    with torch.no_grad():
        means = mapping(torch.randn(3, 4), domains, torch.zeros(3))
        others = torch.stack([model.mapping(latents, domain.expand(len(latents))).mean(0) for domain in domains])
    torch.testing.assert_close(means, others, atol=0.05 * float(others.abs().max()), rtol=0)


def test_weights_of_another_number_of_domains_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "two.safetensors"
    save(cast("Model[Record]", StarGAN2(TINY.model_copy(update={"domains": ("cat", "dog")}))), file)
    with pytest.raises(CheckpointError, match=r"heads\.2"):
        load_into(StarGAN2(TINY), file)


# --- In a bundle, without torch ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bundle]:
    torch.manual_seed(0)
    card = WeightsCard(
        name="test",
        model="stargan2",
        config=TINY.model_dump(mode="json"),
        licence=Licence(spdx="CC-BY-NC-4.0"),
        provenance=Trained(data="nothing", command="pytest", seed=0, steps=0),
        plugin="i2i-plugin-stargan2",
        sha256=hashlib.sha256(b"").hexdigest(),
        size=1,
    )
    artefact = tmp_path_factory.mktemp("bundle") / "test-onnx"
    exporter = discover(strict=False).exporter("onnx")
    exporter.export(StarGAN2(TINY), card, artefact, ExportOptions(), lambda _line: None)
    with i2i_runtime.load(artefact, device="cpu", threads=1) as opened:
        yield opened


@pytest.fixture
def image() -> Levels:
    return np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)


def test_the_licence_is_in_the_bundle(bundle: Bundle) -> None:
    assert bundle.manifest.weights.licence.spdx == "CC-BY-NC-4.0"


def test_seeds_choose_looks_and_names_choose_domains(bundle: Bundle, image: Levels) -> None:
    made = [bundle.translate([image] * 2, domain=domain, seed=0) for domain in ("cat", "dog")]
    assert len({levels.tobytes() for pair in made for levels in pair}) == 4


def test_a_batch_may_ask_for_a_domain_each(bundle: Bundle, image: Levels) -> None:
    domains = ["wild", "cat", "dog"]
    together = bundle.translate([image] * 3, domain=domains, seed=5, batch_size=3)
    alone = [bundle.translate(image, domain=domain, seed=5 + i) for i, domain in enumerate(domains)]
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_allclose(one.astype(int), other.astype(int), atol=1)


def test_at_psi_0_all_seeds_give_the_mean_look(bundle: Bundle, image: Levels) -> None:
    one, other = bundle.translate([image] * 2, domain="dog", psi=0.0, seed=0)
    np.testing.assert_allclose(one.astype(int), other.astype(int), atol=1)


def test_the_style_that_is_encoded_is_the_one_translate_like_uses(bundle: Bundle, image: Levels) -> None:
    reference = image[::-1].copy()
    like = bundle.translate_like(image, reference=reference, domain="cat", outputs="style")
    encoded = bundle.encode(reference, domain="cat", outputs="style")
    np.testing.assert_array_equal(np.asarray(like), np.asarray(encoded))


def test_a_style_that_was_encoded_takes_the_place_of_its_image(bundle: Bundle, image: Levels) -> None:
    reference = image[::-1].copy()
    style = np.asarray(bundle.encode(reference, domain="dog", outputs="style"))
    expected = bundle.translate_like(image, reference=reference, domain="dog")
    np.testing.assert_array_equal(bundle.translate_like(image, style=style), expected)
    np.testing.assert_array_equal(bundle.translate(image, style=style), expected)


@dataclass(frozen=True, slots=True)
class Animation:
    """What the first frame is made from, and what the last has instead; images are named by how they are turned."""

    operation: str
    start: Mapping[str, str | int]
    to: Mapping[str, str | int]


FILMS = [
    Animation("translate", {"domain": "cat", "seed": 1}, {"seed": 2}),
    Animation("translate", {"domain": "cat", "seed": 1}, {"domain": "wild"}),
    Animation("translate_like", {"domain": "cat", "reference": "upside down"}, {"reference": "mirrored"}),
    Animation(
        "translate_like", {"domain": "cat", "reference": "upside down"}, {"reference": "mirrored", "domain": "dog"}
    ),
]


@pytest.mark.parametrize("animation", FILMS, ids=lambda animation: f"{animation.operation}-{'-'.join(animation.to)}")
def test_styles_go_on_a_line_from_one_result_to_another(animation: Animation, bundle: Bundle, image: Levels) -> None:
    turned = {"upside down": image[::-1].copy(), "mirrored": image[:, ::-1].copy()}
    first, to = ({k: turned.get(str(v), v) for k, v in given.items()} for given in (animation.start, animation.to))
    operation = getattr(bundle, animation.operation)
    styles = [np.asarray(operation(image, **given, outputs="style")) for given in (first, first | to)]
    frames = operation.frames(image, **first, to=to, count=3)
    for frame, style in zip(frames, (styles[0], (styles[0] + styles[1]) / 2, styles[1]), strict=True):
        expected = operation(image, style=style)
        np.testing.assert_allclose(np.asarray(frame, int), np.asarray(expected, int), atol=1)
    assert np.abs(np.asarray(frames[0], int) - np.asarray(frames[2], int)).max() > 1


def test_a_look_that_many_images_share_is_read_once(
    bundle: Bundle, image: Levels, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs: Counter[str] = Counter()
    real = InferenceSession.run

    def counting(self: InferenceSession, outputs: list[str], feeds: Mapping[str, object]) -> object:
        runs.update(outputs)
        return real(self, outputs, feeds)

    monkeypatch.setattr(InferenceSession, "run", counting)
    bundle.translate_like([image, image[::-1].copy(), image[:, ::-1].copy()], reference=image, domain="cat")
    assert runs == {"style": 1, "translated": 3}


def test_a_reference_of_another_size_is_brought_to_the_encoders(bundle: Bundle, image: Levels) -> None:
    large = np.kron(image, np.ones((3, 2, 1), np.uint8))
    assert np.shape(bundle.translate_like(image, reference=large, domain="cat")) == (32, 32, 3)


def test_a_domain_that_there_is_not_is_refused_with_those_there_are(bundle: Bundle, image: Levels) -> None:
    with pytest.raises(OptionError, match="bird") as caught:
        bundle.translate(image, domain="bird")
    assert "cat" in caught.value.expected
    with pytest.raises(OptionError, match="missing"):
        bundle.translate(image)


@pytest.mark.parametrize("psi", [-0.1, 1.5])
def test_psi_outside_of_its_range_is_refused(bundle: Bundle, image: Levels, psi: float) -> None:
    with pytest.raises(OptionError, match="psi"):
        bundle.translate(image, domain="cat", psi=psi)


def test_a_label_beyond_the_domains_in_a_raw_array_is_refused(bundle: Bundle) -> None:
    image = np.zeros((1, 3, 32, 32), np.float32)
    with pytest.raises(I2IError):
        bundle.compute("encode", {"image": image, "domain": np.array([3])}, {}, ["style"])
