"""The device asked for is the device used, or an error that says what is missing."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import onnx
import pytest

import i2i_runtime as i2i
from i2i_runtime.device import providers as devices
from i2i_runtime.device.doctor import diagnose, too_old
from i2i_runtime.device.probe import conv_model
from i2i_runtime.device.providers import Device

without_gpu = pytest.mark.skipif(not devices.missing_libraries("cuda"), reason="CUDA works here")


def in_a_world_with(
    tmp_path: Path, code: str, packages: tuple[str, ...] = (), wheels: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    """Run code in an interpreter that sees i2i_runtime, its dependencies, these packages and records of wheels."""
    world = tmp_path / "world"
    world.mkdir()
    site = Path(np.__file__).parent.parent
    names = ("lazy_loader", "numpy", "numpy.libs", "PIL", "pillow.libs", "pydantic", "pydantic_core", "annotated_types")
    names += ("typing_extensions.py", "typing_inspection", *packages)
    for name in names:
        if (site / name).exists():
            (world / name).symlink_to(site / name)
    (world / "i2i_runtime").symlink_to(Path(i2i.__file__).parent)
    for wheel in wheels:
        record = world / f"{wheel.replace('-', '_')}-1.31.1.dist-info"
        record.mkdir()
        (record / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {wheel}\nVersion: 1.31.1\n")
    start = f"import sys; sys.path.insert(0, {str(world)!r})\n"
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    return subprocess.run(
        [sys.executable, "-I", "-S", "-W", "error", "-c", start + code],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )


EXPLAIN = (
    "from i2i_runtime.device import providers as devices\n"
    "from i2i_runtime.errors import DeviceError\n"
    "try: devices.resolve('auto')\n"
    "except DeviceError as error: print(error)\n"
)


def test_no_wheel_is_explained_with_both_choices(tmp_path: Path) -> None:
    done = in_a_world_with(tmp_path, EXPLAIN)
    assert "onnxruntime is not installed" in done.stdout, done.stderr
    assert 'pip install "i2i-runtime[cpu]"' in done.stdout
    assert 'pip install "i2i-runtime[gpu]"' in done.stdout


def test_a_broken_pair_of_wheels_is_explained(tmp_path: Path) -> None:
    done = in_a_world_with(tmp_path, EXPLAIN, wheels=("onnxruntime", "onnxruntime-gpu"))
    assert "overwrite each other's files" in done.stdout, done.stderr
    assert "pip uninstall -y onnxruntime onnxruntime-gpu" in done.stdout


def test_an_empty_folder_left_by_a_removed_wheel_is_explained(tmp_path: Path) -> None:
    code = f"import os; os.mkdir({str(tmp_path / 'world' / 'onnxruntime')!r})\n" + EXPLAIN
    done = in_a_world_with(tmp_path, code, wheels=("onnxruntime",))
    assert "its files are missing" in done.stdout, done.stderr
    assert "onnxruntime 1.31.1 is recorded as installed" in done.stdout


def test_the_doctor_reports_two_wheels_that_work_by_chance(tmp_path: Path) -> None:
    code = "from i2i_runtime import diagnose; print(diagnose().model_dump_json())"
    done = in_a_world_with(
        tmp_path, code, packages=("onnxruntime", "flatbuffers", "google"), wheels=("onnxruntime", "onnxruntime-gpu")
    )
    assert "are both installed" in done.stdout, done.stderr


def test_the_doctor_speaks_where_nothing_is_installed(tmp_path: Path) -> None:
    code = "from i2i_runtime import diagnose; d = diagnose(); print(d.healthy, d.auto, d.problems[0].fix)"
    done = in_a_world_with(tmp_path, code)
    assert done.stdout.startswith("False nothing: onnxruntime is not installed"), done.stderr


def test_bundles_run_with_the_runtime_s_own_dependencies_only(tmp_path: Path, tiny: Path) -> None:
    code = (
        "import i2i_runtime as i2i, numpy as np\n"
        f"b = i2i.load({str(tiny)!r})\n"
        "print(b.translate(np.zeros((16, 16, 3), np.uint8), domain='negative').mean(), 'onnx' in sys.modules)\n"
    )
    done = in_a_world_with(tmp_path, code, packages=("onnxruntime", "flatbuffers", "google"))
    assert done.stdout.strip() == "255.0 False", done.stderr


@without_gpu
@pytest.mark.parametrize("device", ["cuda", "cuda:1", "tensorrt"])
def test_a_device_that_is_not_here_is_an_error_that_names_what_is_missing(tiny: Path, device: str) -> None:
    with pytest.raises(i2i.DeviceError) as caught:
        i2i.load(tiny, device=device)
    kind = "tensorrt" if device == "tensorrt" else "cuda"
    if devices.PROVIDERS[kind] in devices.built_in_providers():
        missing = devices.missing_libraries(kind)
        assert missing
        assert all(name in caught.value.found for name in missing)
    else:
        assert "is built without" in caught.value.found
    assert caught.value.fix


@without_gpu
def test_auto_falls_back_and_says_why(tiny: Path) -> None:
    bundle = i2i.load(tiny)
    assert bundle.device == "cpu"
    assert "auto took the CPU: " in bundle.report


@without_gpu
def test_asking_for_cuda_prints_nothing_of_onnxruntime_s_own(tiny: Path) -> None:
    code = (
        "import sys, i2i_runtime as i2i\n"
        "try: i2i.load(sys.argv[1], device='cuda')\n"
        "except i2i.DeviceError: print('refused')\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tiny)], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("refused\n", "")


@pytest.mark.parametrize("text", ["gpu", "cuda:", "cuda:x", "cpu:0", "", "CUDA", "cuda:-1"])
def test_an_unknown_device_is_refused_with_the_choices(text: str) -> None:
    with pytest.raises(i2i.DeviceError, match="unknown device") as caught:
        devices.resolve(text)
    assert "cpu" in caught.value.expected


def test_a_session_on_another_provider_than_asked_for_is_refused() -> None:
    devices.check_took(Device("cuda", 0, ""), ["CUDAExecutionProvider", "CPUExecutionProvider"])
    with pytest.raises(i2i.DeviceError, match="fell back to CPUExecutionProvider although cuda:3"):
        devices.check_took(Device("cuda", 3, ""), ["CPUExecutionProvider"])


def test_providers_are_ordered_and_the_cpu_comes_last(tmp_path: Path) -> None:
    chain = devices.providers(Device("tensorrt", 2, ""), fixed_size=True, cache=tmp_path)
    assert [name for name, _ in chain] == list(devices.PROVIDERS.values())[::-1]
    assert chain[0][1]["trt_engine_cache_path"] == str(tmp_path)
    assert {options["device_id"] for _, options in chain[:2]} == {"2"}


def test_the_exhaustive_search_is_for_fixed_sizes_only() -> None:
    cuda = Device("cuda", 0, "")
    search = [devices.providers(cuda, fixed_size=fixed)[0][1]["cudnn_conv_algo_search"] for fixed in (True, False)]
    assert search == ["EXHAUSTIVE", "HEURISTIC"]


def test_the_probe_is_a_valid_model_that_averages() -> None:
    data = conv_model(4)
    onnx.checker.check_model(onnx.load_from_string(data), full_check=True)
    session = devices.onnxruntime().InferenceSession(data, providers=["CPUExecutionProvider"])
    (result,) = session.run(None, {"x": np.full((1, 4, 5, 6), 3, np.float32)})
    np.testing.assert_allclose(np.asarray(result)[0, :, 1:-1, 1:-1], 3, rtol=1e-6)


def test_the_doctor_finds_a_usable_cpu_and_times_it() -> None:
    found = diagnose()
    cpu = found.providers[0]
    assert (cpu.name, cpu.built_in, cpu.usable) == ("CPUExecutionProvider", True, True)
    assert found.onnxruntime == devices.onnxruntime().__version__
    assert found.probe_milliseconds
    assert found.threads >= 1
    assert list(found.wheels.values()) == [found.onnxruntime]


def test_an_onnxruntime_that_is_too_old_is_told_and_not_installed() -> None:
    oldest = ".".join(map(str, devices.OLDEST))
    (problem,) = too_old("1.25.1")
    assert f"older than {oldest}" in problem.what
    assert f">={oldest}" in problem.fix
    assert too_old(f"{oldest}.0") == too_old("2.0.0") == ()
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    for extra in project["optional-dependencies"].values():
        assert [text.endswith(f">={oldest}") for text in extra] == [True]


def test_the_doctor_reports_a_wrong_thread_setting_instead_of_failing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("I2I_THREADS", "lots")
    found = diagnose()
    assert any("I2I_THREADS" in problem.what for problem in found.problems)
    assert not found.healthy
