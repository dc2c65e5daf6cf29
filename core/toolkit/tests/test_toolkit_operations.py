"""The shared builders make operations that hold together, for the papers that are here and for those like them."""

from __future__ import annotations

import pytest

from i2i_runtime.image.resizing import BICUBIC
from i2i_runtime.kinds.image import ImageInput
from i2i_runtime.kinds.label import LabelInput
from i2i_runtime.kinds.latent import LatentInput
from i2i_runtime.kinds.references import ReferencesInput
from i2i_runtime.kinds.size import SizeInput
from i2i_runtime.schema.operations import GraphCall, ImageOutput, Interpolation, VectorOutput
from i2i_toolkit.operations.inputs import graph_call, same_names, square_size, translated_image
from i2i_toolkit.operations.pyramid import NoisePyramid, noise_map
from i2i_toolkit.operations.styled import StyledTranslation
from i2i_toolkit.operations.two_way import two_way_translation

IMAGE = translated_image(square_size(256, 4, 16), BICUBIC)


@pytest.mark.parametrize(("size", "fit"), [(square_size(256, 4), "keep_aspect"), (square_size(64, 4), "native")])
def test_an_image_is_fed_at_the_scale_that_its_network_knows(size: object, fit: str) -> None:
    assert translated_image(size, BICUBIC).fit == fit  # pyright: ignore[reportArgumentType] - from the table


def test_each_direction_has_a_graph_and_the_second_is_the_default() -> None:
    operation = two_way_translation(("horse", "zebra"), IMAGE, {"made": ImageOutput(name="image")})
    assert operation.summary == "horse to zebra, and back"
    called = {name: [step.graph for step in operation.steps_for({"domain": name})] for name in ("horse", "zebra")}
    assert called == {"horse": ["b_to_a"], "zebra": ["a_to_b"]}
    (label,) = (value for value in operation.inputs if isinstance(value, LabelInput))
    assert label.default == "zebra"


def test_one_way_has_no_label() -> None:
    noise = LatentInput(name="noise", shape=(3,))
    operation = two_way_translation(
        ("a", "b"), IMAGE, {"made": ImageOutput(name="image")}, others=[noise], one_way=True
    )
    assert [value.name for value in operation.inputs] == ["image", "noise"]
    (step,) = operation.steps
    assert (step.graph, step.inputs, step.when) == ("a_to_b", same_names("image", "noise"), {})


def test_styles_of_two_domains_have_an_encoder_each() -> None:
    """MUNIT: a content of one domain and a style of the other; the label chooses among the networks of both."""
    label = LabelInput(name="domain", names=("a", "b"))
    generate = [
        call
        for source, target in (("b", "a"), ("a", "b"))
        for call in (
            GraphCall(
                graph=f"content_{source}",
                inputs=same_names("image"),
                outputs=same_names("content"),
                when={"domain": target},
            ),
            GraphCall(
                graph=f"decoder_{target}",
                inputs=same_names("content", "style"),
                outputs={"made": "image"},
                when={"domain": target},
            ),
        )
    ]
    styled = StyledTranslation(
        image=IMAGE,
        style=VectorOutput(name="style"),
        generate=generate,
        interpolation=Interpolation(value="style"),
        encoders={f"style_{name}": {"domain": name} for name in ("a", "b")},
    )
    reference = ImageInput(name="reference", size=square_size(256))
    like = styled.translate_like("in its style", reference, [label])
    assert [step.graph for step in like.steps_for({"domain": "b"})] == ["style_b", "content_a", "decoder_b"]
    encode = styled.encode("its style", reference.model_copy(update={"name": "image"}), [label])
    assert [step.inputs for step in encode.steps] == [{"image": "image"}] * 2
    drawn = styled.translate("in a drawn style", [LatentInput(name="style", shape=(8,)), label])
    assert [output.name for output in drawn.outputs] == ["image"]


def test_a_style_may_be_the_mean_of_several_images() -> None:
    """FUNIT: a class is shown by a few images, whose codes the encoder averages; the code can be kept and given."""
    styled = StyledTranslation(
        image=IMAGE,
        style=VectorOutput(name="code"),
        generate=[GraphCall(graph="decoder", inputs=same_names("image", "code"), outputs={"made": "image"})],
        interpolation=Interpolation(value="code"),
        encoders={"class_encoder": {}},
    )
    shown = ReferencesInput(name="references", height=128, width=128)
    like = styled.translate_like("into the class of these", shown)
    assert [step.inputs for step in like.steps] == [{"image": "references"}, same_names("image", "code")]
    assert like.intermediates == {"code"}
    encode = styled.encode("the code of a class", shown)
    assert (encode.main_image, [output.name for output in encode.outputs]) == (None, ["code"])
    given = styled.translate("into the class of a code", [LatentInput(name="code", shape=(64,))])
    assert given.forms["code"].lengths == (None, 64)


def test_a_pyramid_samples_reconstructs_and_walks() -> None:
    maps = [noise_map(0, (1, 20, 24), 0), noise_map(1, (3, 46, 54), 6)]
    pyramid = NoisePyramid("pyramid", "made", maps)
    size = SizeInput(height=40, width=48)
    sample, still = pyramid.sample(size), pyramid.reconstruct()
    assert sample.steps[0].constants == {"start_scale": 0.0, "anchor": 0.0}
    assert still.steps[0].constants == {"start_scale": 0.0, "anchor": 1.0}
    assert (maps[1].height, maps[1].width, maps[1].border) == (40, 48, 6)
    walk = pyramid.animate(0.05, pyramid.start("from here"), size)
    assert walk.steps[0].inputs == same_names("start_scale", "anchor", "noise_0", "noise_1")
    assert walk.walk is not None
    assert walk.walk.first == 0.05
    open_start = pyramid.sample(size, pyramid.start("from here", least=1, usual=1))
    assert open_start.steps[0].constants == {"anchor": 0.0}


def test_a_pyramid_says_the_size_of_its_samples() -> None:
    pyramid = NoisePyramid("pyramid", "made", [noise_map(0, (1, 20, 24), 0), noise_map(1, (3, 46, 54), 6)])
    size = pyramid.size(least=(8, 9), rounding="down")
    assert (size.height, size.width, size.minimum_height, size.minimum_width) == (40, 48, 8, 9)
    assert size.rounding == "down"


def test_a_call_passes_values_under_their_own_names() -> None:
    expected = GraphCall(graph="paint", inputs={"image": "image", "mask": "mask"}, outputs={"painted": "image"})
    assert graph_call("paint", "image", "mask", painted="image") == expected
