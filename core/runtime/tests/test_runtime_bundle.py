"""Operations of a loaded bundle: kinds, sizes, labels, latents, branches, batches, threads, pickling."""

from __future__ import annotations

import copy
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, assert_type, cast

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import i2i_runtime as i2i
from i2i_runtime.archive.opening import open_bundle
from i2i_runtime.bundle import Bundle
from i2i_runtime.device.providers import Device
from i2i_runtime.device.sessions import Sessions
from i2i_runtime.image import heatmaps
from i2i_runtime.image import reading as images
from i2i_runtime.image.writing import encode, save_image

BAD = Path(__file__).parent / "data" / "bad"
EditManifest = Callable[[Path, Callable[[dict[str, Any]], None]], None]
RNG = np.random.default_rng(7)
LEVELS: NDArray[np.uint8] = RNG.integers(0, 256, (16, 16, 3), dtype=np.uint8)


@pytest.fixture
def bundle(tiny: Path) -> Bundle:
    return i2i.load(tiny, device="cpu", threads=1)


def test_every_kind_comes_back_as_it_went_in(bundle: Bundle, tmp_path: Path) -> None:
    path = save_image(Image.fromarray(LEVELS), tmp_path / "in.png")
    for source in (path, str(path), Image.fromarray(LEVELS)):
        np.testing.assert_array_equal(np.asarray(bundle.translate(source)), LEVELS)
    png = bundle.translate(path.read_bytes())
    assert png.startswith(b"\x89PNG")
    np.testing.assert_array_equal(np.asarray(images.read(png)), LEVELS)
    array = bundle.translate(LEVELS)
    assert array.dtype == np.uint8
    np.testing.assert_array_equal(array, LEVELS)
    unit = bundle.translate(LEVELS / 255)
    assert unit.dtype == np.float32
    np.testing.assert_allclose(unit, LEVELS / 255, atol=1e-6)
    both = bundle.translate([LEVELS, LEVELS])
    assert isinstance(both, list)
    assert len(both) == 2
    assert bundle.translate(cast("list[str]", [])) == []


def test_a_label_chooses_the_graph_and_the_default_is_the_manifest_s(bundle: Bundle) -> None:
    np.testing.assert_array_equal(bundle.translate(LEVELS, domain="negative"), 255 - LEVELS)
    np.testing.assert_array_equal(bundle.translate(LEVELS), bundle.translate(LEVELS, domain="same"))
    mixed = bundle.translate([LEVELS] * 3, domain=["same", "negative", "same"])
    for got, expected in zip(mixed, (LEVELS, 255 - LEVELS, LEVELS), strict=True):
        np.testing.assert_array_equal(got, expected)


def test_only_what_is_needed_is_loaded_and_computed(tiny: Path, edit_manifest: EditManifest) -> None:
    def break_two(manifest: dict[str, Any]) -> None:
        for key in ("file", "sha256", "size"):
            manifest["graphs"]["negate"][key] = manifest["graphs"]["sampler"][key]
            manifest["graphs"]["painter"][key] = manifest["graphs"]["sampler"][key]

    edit_manifest(tiny, break_two)
    bundle = i2i.load(tiny)
    assert (bundle.translate(LEVELS) == LEVELS).all()
    style = bundle.edit(LEVELS, outputs="style", domain="ten", latent=np.zeros(3))
    np.testing.assert_array_equal(cast("NDArray[np.float32]", style), [10, 10, 10])
    with pytest.raises(i2i.BundleError, match=r"has the inputs \['latent'\]"):
        bundle.translate(LEVELS, domain="negative")


@pytest.mark.parametrize("index", [-1, 2])
def test_a_label_index_that_names_no_class_is_refused(bundle: Bundle, index: int) -> None:
    values = {"latent": np.zeros((2, 3), np.float32), "domain": np.array([0, index])}
    with pytest.raises(i2i.OptionError, match=f"domain has the index {index}"):
        bundle.compute("edit", values, {}, ["style"])


def test_named_outputs_come_as_a_dictionary(bundle: Bundle) -> None:
    result = bundle.translate(LEVELS, outputs=["attention", "image"])
    assert isinstance(result, dict)
    assert list(result) == ["attention", "image"]
    many = bundle.translate([LEVELS, LEVELS], outputs=("image",))
    assert isinstance(many, list)
    assert [list(cast("dict[str, object]", one)) for one in many] == [["image"], ["image"]]


def test_a_heat_map_is_coloured_at_the_size_of_the_image(bundle: Bundle) -> None:
    got = cast("NDArray[np.uint8]", bundle.translate(LEVELS, outputs="attention"))
    blocks = LEVELS.mean(axis=2, dtype=np.float32).reshape(4, 4, 4, 4).mean(axis=(1, 3))
    assert got.shape == (16, 16, 3)
    # One level before JET is four after.
    assert np.abs(got.astype(int) - heatmaps.render_heatmap(blocks, 16, 16)).max() <= 4
    unit = cast("NDArray[np.float32]", bundle.translate(LEVELS / 255, outputs="attention"))
    np.testing.assert_allclose(unit, got / 255, atol=1e-6)


def test_the_size_of_the_result_follows_the_fit(bundle: Bundle) -> None:
    odd = BAD / "odd_size_97x61.png"
    assert bundle.translate(odd).size == (16, 16)
    assert bundle.translate(odd, fit="keep_aspect").size == (16, 10)
    native = bundle.translate(odd, fit="native")
    np.testing.assert_array_equal(np.asarray(native), np.asarray(images.read(odd)))
    overlay = cast("Image.Image", bundle.translate(odd, fit="native", outputs="attention"))
    assert overlay.size == (97, 61)


def test_images_of_different_sizes_share_a_call_and_keep_their_order(bundle: Bundle) -> None:
    sizes = [(16, 8), (8, 8), (12, 20), (8, 8), (16, 8)]
    arrays = [RNG.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]
    results = bundle.translate(arrays, fit="native", batch_size=2)
    for got, expected in zip(results, arrays, strict=True):
        np.testing.assert_array_equal(got, expected)


def test_a_size_the_graph_cannot_take_is_refused_with_the_rule(fixed: Path, bundle: Bundle) -> None:
    with pytest.raises(i2i.ImageError, match="exactly 16x16"):
        i2i.load(fixed).translate(np.zeros((16, 17, 3), np.uint8), fit="native")
    with pytest.raises(i2i.ImageError, match="at least 8"):
        bundle.translate(BAD / "one_by_one.png", fit="native")


def test_the_same_seed_gives_the_same_image_whatever_the_batch_size(bundle: Bundle) -> None:
    together = bundle.edit([LEVELS] * 5, seed=40, batch_size=5, domain="zero", strength=0.5)
    apart = bundle.edit([LEVELS] * 5, seed=40, batch_size=2, domain="zero", strength=0.5)
    alone = bundle.edit(LEVELS, seed=43, domain="zero", strength=0.5)
    for one, other in zip(together, apart, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(together[3], alone)
    assert (together[0] != together[1]).any()


def test_a_drawn_latent_is_numpy_s_generator(bundle: Bundle) -> None:
    style = bundle.edit(LEVELS, outputs="style", seed=5, domain="zero")
    expected = np.random.Generator(np.random.PCG64(5)).standard_normal(3, dtype=np.float32)
    np.testing.assert_array_equal(cast("NDArray[np.float32]", style), expected)
    uniform = np.random.Generator(np.random.PCG64(5)).uniform(-1, 1, 3)
    expected_colour = tuple(np.rint((uniform * 0.5 + 0.5) * 255).astype(int))
    assert bundle.sample(seed=5).getpixel((0, 0)) == expected_colour


def test_without_a_seed_every_call_differs(bundle: Bundle) -> None:
    drawn = [bundle.sample().getpixel((0, 0)) for _ in range(4)]
    assert len(set(drawn)) > 1


def test_sampling_gives_one_image_or_as_many_as_asked_for(bundle: Bundle) -> None:
    assert bundle.sample(seed=1).size == (8, 8)
    several = bundle.sample(seed=1, count=3)
    assert isinstance(several, list)
    assert len(several) == 3
    red = bundle.sample(latent=[1, -1, -1])
    assert red.getpixel((0, 0)) == (255, 0, 0)


def test_a_given_latent_serves_all_items_or_one_each(bundle: Bundle) -> None:
    each = np.array([[1, 2, 3], [4, 5, 6]], dtype=np.float64)
    styles = bundle.edit([LEVELS, LEVELS], outputs="style", domain="zero", latent=each)
    np.testing.assert_array_equal(np.array(styles), each)
    styles = bundle.edit([LEVELS, LEVELS], outputs="style", domain=["zero", "ten"], latent=each[0])
    np.testing.assert_array_equal(np.array(styles), [[1, 2, 3], [11, 12, 13]])


def test_a_second_image_serves_all_items_or_one_each(bundle: Bundle) -> None:
    red, blue = Image.new("RGB", (30, 20), (255, 0, 0)), Image.new("RGB", (8, 8), (0, 0, 255))
    assert (bundle.translate_like(LEVELS, reference=red) == (255, 0, 0)).all()
    results = bundle.translate_like([LEVELS, LEVELS], reference=[red, blue])
    assert [tuple(result[5, 5]) for result in results] == [(255, 0, 0), (0, 0, 255)]
    with pytest.raises(i2i.OptionError, match="'reference' is missing"):
        bundle.translate_like(LEVELS)
    with pytest.raises(i2i.OptionError, match="2 images for 'reference'"):
        bundle.translate_like(LEVELS, reference=[red, blue])
    with pytest.raises(i2i.OptionError, match="the image 'image' is the first argument"):
        bundle.translate_like(LEVELS, image=red)


def test_a_graph_of_one_channel_gives_grey_images(bundle: Bundle) -> None:
    level = Image.new("RGB", (8, 8), (90, 90, 90))
    result = bundle.enhance(level)
    assert (result.mode, result.getpixel((0, 0))) == ("L", 90)
    assert bundle.enhance(np.asarray(level)).shape == (8, 8, 1)


def test_an_input_may_not_be_called_like_an_argument_of_every_call() -> None:
    with pytest.raises(ValueError, match=r"may not be called \['seed'\]"):
        i2i.Operation(
            name="sample",
            inputs=(i2i.LatentInput(name="seed", shape=(1,)),),
            outputs=(i2i.VectorOutput(name="out"),),
            steps=(i2i.GraphCall(graph="g", inputs={"z": "seed"}, outputs={"y": "out"}),),
        )


def test_a_scalar_reaches_the_graph(bundle: Bundle) -> None:
    got = bundle.edit(LEVELS, domain="zero", latent=np.zeros(3), strength=0)
    assert (got == 128).all()  # 0 in [-1, 1] is 127.5, and halves round to even


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"domian": "zero"}, "did you mean 'domain'"),
        ({"domain": "tan"}, "did you mean 'ten'"),
        ({}, "'domain' is missing"),
        ({"domain": ["zero", "ten"]}, "2 values for 'domain'"),
        ({"domain": "zero", "strength": 2.5}, "from 0 to 2"),
        ({"domain": "zero", "strength": "much"}, "a number"),
        ({"domain": "zero", "strength": float("nan")}, "from 0 to 2"),
        ({"domain": "zero", "latent": [1, 2]}, r"\[3\]"),
        ({"domain": "zero", "latent": ["a", "b", "c"]}, r"float \[3\]"),
        ({"domain": "zero", "latent": [1, 2, np.inf]}, "not finite"),
        ({"domain": "zero", "latent": [[1, 2, 3], [1]]}, "lists of different lengths"),
        ({"domain": "zero", "latent": np.array([1j, 0, 0])}, "complex128 of shape"),
        ({"domain": "zero", "seed": -1}, "seed=-1"),
        ({"domain": "zero", "batch_size": 0}, "batch_size=0"),
        ({"domain": "zero", "fit": "resiz"}, "did you mean 'resize'"),
        ({"domain": "zero", "outputs": "imag"}, "did you mean 'image'"),
        ({"domain": "zero", "outputs": []}, "no outputs"),
        ({"domain": "zero", "count": 0}, "count=0"),
    ],
)
def test_a_wrong_option_is_refused_by_name(bundle: Bundle, options: dict[str, object], reason: str) -> None:
    edit: Any = bundle.edit  # the mistakes under test are those that types tell as well
    with pytest.raises(i2i.OptionError, match=reason):
        edit(LEVELS, **options)


def test_an_operation_needs_its_image_and_a_sampler_takes_none(bundle: Bundle) -> None:
    with pytest.raises(i2i.OptionError, match="got no image"):
        bundle.translate()
    with pytest.raises(i2i.OptionError, match="starts from nothing"):
        bundle.sample(LEVELS)
    with pytest.raises(i2i.OptionError, match="count=0"):
        bundle.sample(count=0)
    with pytest.raises(i2i.ImageError, match="given as int"):
        bundle.run("translate", 5)  # pyright: ignore[reportArgumentType] - the mistake under test


def test_an_unknown_operation_is_refused_with_the_nearest_one(bundle: Bundle) -> None:
    with pytest.raises(i2i.OptionError, match="did you mean 'translate'"):
        bundle.transalte(LEVELS)
    with pytest.raises(i2i.UnknownOperationError, match="did you mean 'sample'"):
        bundle.sampel()
    assert hasattr(bundle, "translate")
    assert not hasattr(bundle, "animate")
    assert "translate" in dir(bundle)


def test_values_that_are_not_finite_are_an_error_that_says_where(logarithm: Path) -> None:
    dark = np.zeros((16, 16, 3), np.uint8)
    with pytest.raises(i2i.RunError, match="output 'result' of graph 'log' has 768 of 768 values"):
        i2i.load(logarithm).translate(dark)
    bright = np.full((16, 16, 3), 255, np.uint8)
    assert (i2i.load(logarithm).translate(bright) == 128).all()  # log(1) = 0


def test_compute_takes_and_gives_tensors(bundle: Bundle) -> None:
    image = RNG.uniform(-1, 1, (3, 3, 8, 12)).astype(np.float32)
    values = bundle.compute("translate", {"image": image}, {"domain": "negative"}, ["image", "attention"])
    np.testing.assert_array_equal(values["image"], -image)
    assert values["attention"].shape == (3, 1, 2, 3)


def test_a_tensor_the_graph_cannot_take_is_a_run_error(bundle: Bundle) -> None:
    with pytest.raises(i2i.RunError, match="graph 'keep' failed on image float32"):
        bundle.compute("translate", {"image": np.zeros((1, 3, 8), np.float32)}, {"domain": "same"}, ["image"])


def test_threads_may_share_a_bundle(bundle: Bundle) -> None:
    def work(index: int) -> bool:
        level = np.full((16, 16, 3), index, np.uint8)
        kept = (bundle.translate(level) == index).all()
        return bool(kept and (bundle.translate(level, domain="negative") == 255 - index).all())

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(64)))


def test_a_bundle_and_its_errors_travel_to_another_process(bundle: Bundle) -> None:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        (result,) = pool.submit(bundle.run, "translate", LEVELS, {"domain": "negative"}).result()
        error = pool.submit(bundle.run, "transalte", LEVELS).exception()
    np.testing.assert_array_equal(np.asarray(result["image"]), 255 - LEVELS)
    assert isinstance(error, i2i.UnknownOperationError)
    assert "did you mean 'translate'" in error.expected


def test_a_copy_opens_the_bundle_again(bundle: Bundle) -> None:
    again = copy.copy(bundle)
    bundle.close()
    assert (again.path, again.threads, again.device) == (bundle.path, 1, "cpu")
    assert (again.translate(LEVELS) == LEVELS).all()


def test_a_closed_bundle_says_so(tiny: Path) -> None:
    with i2i.load(tiny) as bundle:
        bundle.translate(LEVELS)
    bundle.close()
    with pytest.raises(i2i.UsageError, match="closed"):
        bundle.translate(LEVELS)


def test_the_report_tells_device_threads_and_reason(tiny: Path) -> None:
    bundle = i2i.load(tiny, threads=2)
    assert bundle.device in {"cpu", "cuda:0"}
    assert bundle.report.startswith(f"tiny on {bundle.device}, 2 threads a session; auto took")


def test_spinning_is_off_where_several_graphs_share_the_cpus(tiny: Path, logarithm: Path) -> None:
    entry = "session.intra_op.allow_spinning"
    made: list[Any] = []  # onnxruntime declares no type for its options
    for folder, graph in ((tiny, "keep"), (logarithm, "log")):
        opened = open_bundle(folder)
        sessions = Sessions(opened.manifest, opened.graphs, Device("cpu", 0, ""), threads=1)
        made.append(sessions.session(graph).get_session_options())
    assert made[0].get_session_config_entry(entry) == "0"
    with pytest.raises(RuntimeError, match="allow_spinning"):
        made[1].get_session_config_entry(entry)
    assert [options.intra_op_num_threads for options in made] == [1, 1]


def test_what_comes_out_is_typed_by_what_goes_in(bundle: Bundle) -> None:
    """Held by the type checker; here, that the types are true."""
    image = Image.fromarray(LEVELS)
    made = [
        assert_type(bundle.translate(image), Image.Image),
        assert_type(bundle.sample(seed=1), Image.Image),
        *assert_type(bundle.sample(count=2), list[Image.Image]),
        *assert_type(bundle.translate([image, image]), list[Image.Image]),
    ]
    assert all(isinstance(each, Image.Image) for each in made)
    assert isinstance(assert_type(bundle.translate(encode(LEVELS)), bytes), bytes)
    levels = [
        assert_type(bundle.translate(LEVELS), NDArray[np.uint8]),
        *assert_type(bundle.translate([LEVELS]), list[NDArray[np.uint8]]),
        *assert_type(bundle.translate(LEVELS, count=2), list[NDArray[np.uint8]]),
    ]
    assert {each.dtype for each in levels} == {np.dtype(np.uint8)}
    assert assert_type(bundle.translate(LEVELS / 255), NDArray[np.floating]).dtype == np.float32
