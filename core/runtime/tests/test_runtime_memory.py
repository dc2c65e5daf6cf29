"""A call that would take more memory than there is, or than was allowed, is refused before it starts."""

from __future__ import annotations

import re
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest

import i2i_runtime as i2i
from i2i_runtime.archive.opening import open_bundle
from i2i_runtime.call.memory_use import COPIES, REACH, bytes_per_pixel
from i2i_runtime.device.memory import as_bytes, free_bytes
from i2i_runtime.image.resizing import SizeRule
from i2i_runtime.schema.operations import GraphCall, ImageOutput, Operation

from .conftest import FLOAT, IMAGE, TinyGraph, image_input, node, write_bundle
from .spatial_toys import write_spatial

WIDE = 64
"""channels between the two convolutions"""


@pytest.fixture
def wide(tmp_path: Path) -> Path:
    """A bundle that holds 3 + 64 + 64 + 3 channels: two convolutions of one pixel with a sine between them."""
    graph = TinyGraph(
        nodes=[node("Conv", "image w", "a"), node("Sin", "a", "b"), node("Conv", "b v", "result")],
        inputs={"image": (FLOAT, IMAGE)},
        outputs={"result": IMAGE},
        constants={
            "w": np.full((WIDE, 3, 1, 1), 0.1, np.float32),
            "v": np.full((3, WIDE, 1, 1), 0.1, np.float32),
        },
    )
    operation = Operation(
        name="translate",
        inputs=(image_input(SizeRule(height=16, width=16, dynamic=True, multiple=8)),),
        outputs=(ImageOutput(name="image"),),
        steps=(GraphCall(graph="g", inputs={"image": "image"}, outputs={"result": "image"}),),
    )
    return write_bundle(tmp_path / "wide", (operation,), {"g": graph})


def test_bytes_a_pixel_follow_from_the_values_that_live_together(wide: Path) -> None:
    """The most is held while the sine is computed: its input, its output, the image, and the result to come."""
    opened = open_bundle(wide)
    rate = bytes_per_pixel(opened.manifest.operations[0], opened.manifest, opened.graphs)
    assert rate == pytest.approx(REACH * 4 * (3 + WIDE + WIDE + 3) + COPIES, rel=1e-3)


def test_an_image_that_takes_too_much_is_refused_and_the_size_that_would_do_does(wide: Path) -> None:
    bundle = i2i.load(wide, memory="1GB")
    with pytest.raises(
        i2i.ImageError, match=r"1000x2000 takes about 3\.\d GB[\s\S]*1\.0 GB that memory= allows"
    ) as caught:
        bundle.translate(np.zeros((2000, 1000, 3), np.uint8), fit="native")
    width, height = map(int, re.findall(r"(\d+)x(\d+) would do", str(caught.value))[0])
    assert bundle.translate(np.zeros((height, width, 3), np.uint8), fit="native").shape == (height, width, 3)
    assert "fit='resize'" in caught.value.fix
    assert bundle.translate(np.zeros((2000, 1000, 3), np.uint8), fit="resize").shape[2] == 3


def test_images_that_run_together_count_together(wide: Path) -> None:
    bundle = i2i.load(wide, memory="100MB")
    several = [np.zeros((200, 200, 3), np.uint8)] * 4
    with pytest.raises(i2i.ImageError, match="4 together") as caught:
        bundle.translate(several, fit="native", batch_size=4)
    assert "batch_size=1" in caught.value.fix
    assert len(bundle.translate(several, fit="native", batch_size=1)) == 4


def test_a_number_of_pixels_is_a_limit_too(wide: Path) -> None:
    bundle = i2i.load(wide, max_pixels=10_000)
    with pytest.raises(i2i.ImageError, match=r"has 121,600 pixels[\s\S]*at most 10,000.*: 96x64 would do"):
        bundle.translate(np.zeros((300, 400, 3), np.uint8), fit="native")
    assert bundle.translate(np.zeros((64, 96, 3), np.uint8), fit="native").shape == (64, 96, 3)


def test_the_size_of_a_result_is_refused_before_its_noise_is_drawn(tmp_path: Path) -> None:
    bundle = i2i.load(write_spatial(tmp_path / "spatial"), max_pixels=10_000)
    with pytest.raises(i2i.ImageError, match="4000x4000 has 16,000,000 pixels") as caught:
        bundle.sample(size=(4000, 4000), seed=1)
    assert "size=" in caught.value.fix
    assert bundle.sample(size=(40, 60), seed=1).size == (60, 40)


def test_a_model_whose_own_size_takes_too_much_is_refused(tmp_path: Path) -> None:
    shape = ("n", 3, 10_000, 10_000)
    graph = TinyGraph(
        nodes=[node("Neg", "image", "result")], inputs={"image": (FLOAT, shape)}, outputs={"result": shape}
    )
    operation = Operation(
        name="translate",
        inputs=(image_input(SizeRule(height=10_000, width=10_000)),),
        outputs=(ImageOutput(name="image"),),
        steps=(GraphCall(graph="g", inputs={"image": "image"}, outputs={"result": "image"}),),
    )
    bundle = i2i.load(write_bundle(tmp_path / "large", (operation,), {"g": graph}), memory="1GB")
    with pytest.raises(i2i.ImageError, match=r"10000x10000 takes about .* GB[\s\S]*the model's own size"):
        bundle.translate(np.zeros((8, 8, 3), np.uint8))


def test_limits_travel_with_the_bundle(wide: Path) -> None:
    copy = deepcopy(i2i.load(wide, max_pixels=100, memory="1GB"))
    with pytest.raises(i2i.ImageError, match="at most 100,"):
        copy.translate(np.zeros((64, 64, 3), np.uint8), fit="native")


def test_onnxruntime_s_lack_of_memory_is_an_error_of_ours(wide: Path) -> None:
    """In a process that may not take what the call needs, though the caller allowed it."""
    code = (
        "import resource, sys, numpy, i2i_runtime as i2i\n"
        "bundle = i2i.load(sys.argv[1], threads=1, memory='1TB')\n"
        "bundle.translate(numpy.zeros((8, 8, 3), 'uint8'))\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 400_000_000,) * 2)\n"
        "try: bundle.translate(numpy.zeros((1600, 1600, 3), 'uint8'), fit='native')\n"
        "except i2i.RunError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(wide)], capture_output=True, text=True, check=True)
    assert "not enough memory for graph 'g'" in done.stdout
    assert "batch_size=1" in done.stdout


@pytest.mark.parametrize(
    ("text", "size"), [(5, 5), ("500MB", 500_000_000), ("4GB", 4 * 10**9), ("2.5 GiB", 5 * 2**29), ("1k", 1000)]
)
def test_sizes_are_read_as_people_write_them(text: int | str, size: int) -> None:
    assert as_bytes(text) == size


@pytest.mark.parametrize("text", ["", "lots", "-1", "0", "4XB", "1e9", "nan"])
def test_what_is_no_limit_is_refused(wide: Path, text: str) -> None:
    with pytest.raises(i2i.UsageError, match="memory="):
        i2i.load(wide, memory=text)
    with pytest.raises(i2i.UsageError, match="max_pixels=0"):
        i2i.load(wide, max_pixels=0)


def test_free_memory_is_the_machine_s_or_the_group_s(tmp_path: Path) -> None:
    def write(name: str, text: str) -> None:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    assert free_bytes(tmp_path) is None
    write("proc/meminfo", "MemTotal: 9000 kB\nMemAvailable:    8000 kB\n")
    assert free_bytes(tmp_path) == 8000 * 1024
    write("proc/self/cgroup", "0::/app/worker\n")
    write("sys/fs/cgroup/memory.max", "max\n")
    write("sys/fs/cgroup/memory.current", "77\n")
    assert free_bytes(tmp_path) == 8000 * 1024
    write("sys/fs/cgroup/app/memory.max", "5000000\n")
    write("sys/fs/cgroup/app/memory.current", "3000000\n")
    write("sys/fs/cgroup/app/memory.stat", "anon 1\ninactive_file 1000000\n")
    assert free_bytes(tmp_path) == 3_000_000
    write("proc/self/cgroup", "4:cpu,memory:/job\n")
    write("sys/fs/cgroup/memory/job/memory.limit_in_bytes", "2000000\n")
    write("sys/fs/cgroup/memory/job/memory.usage_in_bytes", "1500000\n")
    assert free_bytes(tmp_path) == 500_000
