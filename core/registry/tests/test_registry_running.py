"""Which output belongs to which input, and what happens to bad files."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from i2i_registry.actions.request import Request
from i2i_registry.actions.run import ImageJob, plan_jobs, run_jobs, suffix_of
from i2i_registry.sheets.sheet import check_shown
from i2i_runtime.bundle import load
from i2i_runtime.errors import OptionError, UsageError
from i2i_runtime.image.folders import Listing
from i2i_runtime.image.resizing import SizeRule
from i2i_runtime.kinds.image import ImageInput
from i2i_runtime.kinds.latent import LatentInput
from i2i_runtime.schema.operations import GraphCall, ImageOutput, Operation, VectorOutput

Write = Callable[..., Path]


def operation_of(channels: int | None) -> Operation:
    return Operation(
        name="translate",
        inputs=(ImageInput(name="image", channels=channels or 3, size=SizeRule(height=8, width=8)),),
        outputs=(ImageOutput(name="image", channels=channels),),
        steps=(GraphCall(graph="g", inputs={"x": "image"}, outputs={"y": "image"}),),
    )


CODES = Operation(
    name="encode",
    inputs=operation_of(3).inputs,
    outputs=(VectorOutput(name="code"),),
    steps=(GraphCall(graph="g", inputs={"x": "image"}, outputs={"y": "code"}),),
)
SAMPLES = Operation(
    name="sample",
    inputs=(LatentInput(name="z", shape=(4,)),),
    outputs=(ImageOutput(name="image"),),
    steps=(GraphCall(graph="g", inputs={"z": "z"}, outputs={"y": "image"}),),
)


def plan(given: list[Path], out: Path, count: int | None = None, operation: Operation | None = None) -> list[ImageJob]:
    return plan_jobs(Request(operation or operation_of(3)), given, out, count, lambda _listing: None)


def test_one_file_becomes_the_file_that_was_named(image: Write, tmp_path: Path) -> None:
    source = image("me.jpg")
    assert plan([source], tmp_path / "out.png") == [ImageJob(source, tmp_path / "out.png")]


def test_outputs_keep_the_whole_stem_and_their_place(image: Write, tmp_path: Path) -> None:
    image("in/a.b.jpg")
    image("in/deep/c.png")
    targets = [job.target.relative_to(tmp_path / "out") for job in plan([tmp_path / "in"], tmp_path / "out")]
    assert targets == [Path("a.b.png"), Path("deep/c.png")]


def test_inputs_that_differ_in_their_extension_keep_it(image: Write, tmp_path: Path) -> None:
    for name in ("in/x.jpg", "in/X.png", "in/y.png"):
        image(name)
    names = sorted(job.target.name for job in plan([tmp_path / "in"], tmp_path / "out"))
    assert names == ["X.png.png", "x.jpg.png", "y.png"]


def test_two_inputs_that_would_become_one_file_are_refused(image: Write, tmp_path: Path) -> None:
    first, second = image("a/x.png"), image("b/x.png")
    with pytest.raises(UsageError, match="would both become"):
        plan([first, second], tmp_path / "out")


@pytest.mark.parametrize("link", [False, True])
def test_an_input_is_never_overwritten(image: Write, tmp_path: Path, *, link: bool) -> None:
    source = image("in/x.png")
    out = source
    if link:
        out = tmp_path / "link.png"
        out.hardlink_to(source)
    with pytest.raises(UsageError, match="is an input"):
        plan([source], out)
    with pytest.raises(UsageError, match="is an input"):
        plan([source, image("in/y.png")], tmp_path / "in")


def test_results_inside_the_input_folder_are_no_inputs_of_the_next_run(image: Write, tmp_path: Path) -> None:
    source = image("in/x.png")
    image("in/results/x.png")
    assert [job.source for job in plan([tmp_path / "in"], tmp_path / "in" / "results")] == [source]


def test_several_inputs_need_a_folder(image: Write, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the inputs are several"):
        plan([image("a.png"), image("b.png")], tmp_path / "out.png")


def test_a_folder_without_images_is_wrong_usage(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "notes.txt").write_text("x")
    with pytest.raises(UsageError, match="holds no images"):
        plan([tmp_path / "in"], tmp_path / "out")


def test_an_unknown_extension_is_answered_with_the_nearest(image: Write, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"did you mean '\.jpeg'"):
        plan([image("a.png")], tmp_path / "out.jpegg")


def test_several_results_of_an_image_are_numbered_in_a_folder(image: Write, tmp_path: Path) -> None:
    (job,) = plan([image("a.png")], tmp_path / "out", count=10)
    assert [path.name for path in job.targets] == [f"a-{number:02}.png" for number in range(1, 11)]
    (job,) = plan([], tmp_path / "out", 2, SAMPLES)
    assert [path.name for path in job.targets] == ["sample-1.png", "sample-2.png"]
    with pytest.raises(UsageError, match="the results are several"):
        plan([image("a.png")], tmp_path / "out.png", count=1)
    with pytest.raises(UsageError, match="the results are several"):
        plan([], tmp_path / "out.png", 1, SAMPLES)


def test_numbered_results_never_overwrite_an_input(image: Write, tmp_path: Path) -> None:
    sources = [image("in/a.png"), image("in/a-1.png")]
    with pytest.raises(UsageError, match="is an input"):
        plan(sources, tmp_path / "in", count=2)


def test_results_that_are_numbers_are_arrays(image: Write, tmp_path: Path) -> None:
    source = image("a.png")
    assert [job.target.name for job in plan([source], tmp_path / "out", operation=CODES)] == ["a.npy"]
    with pytest.raises(UsageError, match=r"ends in '\.png'"):
        plan([source], tmp_path / "out.png", operation=CODES)


def test_several_results_of_several_images_are_all_written(bundle: Path, image: Write, tmp_path: Path) -> None:
    image("in/a.png")
    image("in/b.png")
    jobs = plan([tmp_path / "in"], tmp_path / "out", count=2)
    with load(bundle, device="cpu") as loaded:
        attempts = list(run_jobs(loaded, Request(loaded.operations["translate"], seed=5), jobs, ()))
    assert [path.name for attempt in attempts for path in attempt.result or ()] == [
        "a-1.png",
        "a-2.png",
        "b-1.png",
        "b-2.png",
    ]


def test_images_and_named_outputs_are_written(bundle: Path, image: Write, tmp_path: Path) -> None:
    jobs = plan([image("me.png", 200)], tmp_path / "out" / "me.png")
    with load(bundle, device="cpu") as loaded:
        request = Request(loaded.operations["translate"], {"style": "negative"})
        (attempt,) = run_jobs(loaded, request, jobs, ("bright",))
    assert attempt.result is not None
    written = attempt.result
    assert [path.name for path in written] == ["me.png", "me.bright.png"]
    # 200 of 255 is 0.569 in [-1, 1]; its negative is level 255 - 200.
    assert np.unique(np.asarray(Image.open(written[0]))).tolist() == [55]


def test_a_bad_file_is_an_outcome_and_the_others_are_done(bundle: Path, image: Write, tmp_path: Path) -> None:
    image("in/a.png")
    image("in/c.png")
    (tmp_path / "in/b.png").write_bytes(b"no image")
    with load(bundle, device="cpu") as loaded:
        jobs = plan([tmp_path / "in"], tmp_path / "out")
        attempts = list(run_jobs(loaded, Request(loaded.operations["translate"]), jobs, ()))
    assert [attempt.error is None for attempt in attempts] == [True, False, True]
    assert "b.png" in str(attempts[1].error)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.png", "c.png"]


def test_wrong_settings_end_the_run_at_once(bundle: Path, image: Write, tmp_path: Path) -> None:
    jobs = plan([image("a.png"), image("b.png")], tmp_path / "out")
    with load(bundle, device="cpu") as loaded, pytest.raises(OptionError, match="did you mean 'same'"):
        list(run_jobs(loaded, Request(loaded.operations["translate"], {"style": "sane"}), jobs, ()))
    assert not (tmp_path / "out").exists()


def test_several_images_of_one_place_are_one_input_and_none_of_them_is_overwritten(
    image: Write, tmp_path: Path
) -> None:
    photo, depth = image("in/photo.png"), image("in/depth.png")
    joined = Path(f"{photo}+{depth}")
    assert plan([joined], tmp_path / "out") == [ImageJob(joined, tmp_path / "out" / "photo+depth.png")]
    with pytest.raises(UsageError, match="is an input"):
        plan([joined], depth)
    with pytest.raises(UsageError, match="do not exist"):
        plan([Path(f"{photo}+{tmp_path / 'gone.png'}")], tmp_path / "out")


@pytest.mark.parametrize(("channels", "suffix"), [(None, ".png"), (1, ".png"), (4, ".png"), (2, ".tif"), (6, ".tif")])
def test_images_that_no_png_holds_become_pages_of_a_tiff(channels: int | None, suffix: str) -> None:
    assert suffix_of(operation_of(channels)) == suffix


def test_a_png_of_six_channels_is_refused_before_the_work(image: Write, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"out\.png ends in '\.png'.*\n.*\.tif"):
        plan([image("me.png")], tmp_path / "out.png", operation=operation_of(6))


def test_sheets_refuse_images_that_nobody_can_look_at() -> None:
    check_shown(operation_of(None))
    with pytest.raises(UsageError, match="6 channels"):
        check_shown(operation_of(6))


def test_what_a_folder_holds_beside_images_is_handed_on(image: Write, tmp_path: Path) -> None:
    image("in/a.png")
    (tmp_path / "in" / "notes.txt").touch()
    listings: list[Listing] = []
    plan_jobs(Request(operation_of(3)), [tmp_path / "in"], tmp_path / "out", None, listings.append)
    assert [listing.left_out_count for listing in listings] == [1]


def test_what_is_asked_for_knows_no_command_line() -> None:
    actions = ("animation", "collage", "compare", "grid", "request", "run", "side_by_side", "sources", "target")
    imports = "; ".join(f"import i2i_registry.actions.{name}" for name in actions)
    code = f"import sys; {imports}; print(*{{'click', 'torch', 'i2i_registry.cli'}} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == ""
