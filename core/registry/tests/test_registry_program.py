"""The program as a process: exit codes, signals, pipes, locales, and what it imports."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from i2i_registry.cli.program import run_program
from i2i_registry.cli.session import Session
from i2i_registry.weights.store import Store

Program = Callable[..., "subprocess.CompletedProcess[str]"]

HEAVY = "{'torch', 'numpy', 'PIL', 'onnxruntime'} & set(sys.modules)"
REPORT_IMPORTS = (
    "import sys\nfrom i2i_registry.cli import run_program\ncode = run_program(sys.argv[1:])\n"
    f"print(*{HEAVY}, file=sys.stderr)\nsys.exit(code)"
)


@pytest.mark.parametrize("arguments", [["list"], ["--help"], ["plugins", "--json"], ["list", "--json"]])
def test_looking_around_loads_nothing_heavy(program: Program, arguments: list[str]) -> None:
    result = program(arguments, code=REPORT_IMPORTS)
    assert result.returncode == 0
    assert result.stderr.splitlines()[-1].strip() == ""


def test_help_lists_the_commands_of_plugins_without_importing_them(program: Program, tmp_path: Path) -> None:
    _install(tmp_path, "raise RuntimeError('imported')")
    result = program(["--help"], PYTHONPATH=str(tmp_path))
    assert result.returncode == 0
    assert "polish" in result.stdout


def _install(site: Path, command_source: str) -> None:
    """A distribution with a command, as pip would leave it."""
    (site / "polishing.py").write_text(
        "from i2i_registry.plugins.hooks import hookimpl\nfrom i2i_registry.interfaces.cards import CommandCard\n"
        "@hookimpl\ndef i2i_commands():\n"
        "    return [CommandCard(name='polish', summary='Polish', command='polish_command:polish')]\n"
    )
    (site / "polish_command.py").write_text(command_source)
    info = site / "polishing-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: polishing\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[i2i]\npolishing = polishing\n")


COMMAND = """
import os, signal, time, click
@click.command()
@click.argument("what")
def polish(what):
    print("started", flush=True)
    if what == "wait": time.sleep(30)
    if what == "crash": raise ZeroDivisionError("at the bottom")
    if what == "full": raise OSError(28, "No space left on device", "weights.safetensors")
    if what == "memory":
        import torch
        torch.empty(10**16)
    if what == "print": print("fl\\u00e4che \\u2192")
"""


def test_an_unexpected_error_is_told_without_a_traceback(program: Program, tmp_path: Path) -> None:
    _install(tmp_path, COMMAND)
    result = program(["polish", "crash"], PYTHONPATH=str(tmp_path))
    assert result.returncode == 1
    assert "ZeroDivisionError: at the bottom" in result.stderr
    assert "this is a fault of i2i-registry or of a plugin" in result.stderr
    assert "Traceback" not in result.stderr
    with_debug = program(["polish", "crash", "--debug"], PYTHONPATH=str(tmp_path))
    assert with_debug.returncode == 1
    assert "Traceback" in with_debug.stderr


def test_a_full_disk_names_the_file(program: Program, tmp_path: Path) -> None:
    _install(tmp_path, COMMAND)
    result = program(["polish", "full"], PYTHONPATH=str(tmp_path))
    assert result.returncode == 1
    assert "No space left on device: weights.safetensors" in result.stderr


def test_too_little_memory_is_no_fault_of_a_program(program: Program, tmp_path: Path) -> None:
    """torch says it with a RuntimeError; no machine has so much."""
    _install(tmp_path, COMMAND)
    result = program(["polish", "memory"], PYTHONPATH=str(tmp_path))
    assert result.returncode == 1
    assert "the memory of this machine is not enough" in result.stderr
    assert "fault" not in result.stderr


def test_a_broken_command_of_a_plugin_is_told(program: Program, tmp_path: Path) -> None:
    _install(tmp_path, "raise RuntimeError('boom')")
    result = program(["polish", "x"], PYTHONPATH=str(tmp_path))
    assert result.returncode == 1
    assert "boom" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_terminal_that_lacks_a_character_gets_an_escape(program: Program, tmp_path: Path) -> None:
    _install(tmp_path, COMMAND)
    result = program(["polish", "print"], PYTHONPATH=str(tmp_path), PYTHONIOENCODING="ascii", LC_ALL="C")
    assert result.returncode == 0
    assert "fl\\xe4che \\u2192" in result.stdout


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for other processes")
def test_ctrl_c_exits_with_130(tmp_path: Path) -> None:
    _install(tmp_path, COMMAND)
    process = subprocess.Popen(
        [sys.executable, "-c", "from i2i_registry.cli import main; main()", "polish", "wait"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in err


@pytest.mark.skipif(os.name == "nt", reason="a POSIX pipe")
def test_a_reader_that_goes_away_is_no_traceback(tmp_path: Path) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    result = subprocess.run(
        [sys.executable, "-c", "from i2i_registry.cli import main; main()", "list", "--json"],
        env={**os.environ, "I2I_HOME": str(tmp_path)},
        stdout=write_end,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(write_end)
    assert result.returncode == 1
    assert result.stderr == ""


def test_usage_and_failure_have_their_exit_codes(program: Program, tmp_path: Path) -> None:
    (tmp_path / "x.pth").write_bytes(b"no checkpoint")
    assert program(["lst"]).returncode == 2
    assert program(["list", "--jsn"]).returncode == 2
    assert program(["info"]).returncode == 2
    assert program(["inspect", tmp_path / "x.pth"]).returncode == 1
    assert program(["--version"]).returncode == 0


STRIKE = """
import os, signal, sys

class Striker:
    def find_spec(self, name, path=None, target=None):
        if name == os.environ.get("STRIKE"):
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Striker())
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for other processes")
@pytest.mark.parametrize(
    "module",
    [
        "click",
        "pydantic",
        "i2i_registry.plugins.discovery",
        "i2i_plugin_ugatit",
        "i2i_registry.checkpoints.reader",
        "torch",
        "numpy",
    ],
)
def test_ctrl_c_in_any_import_is_130_without_a_traceback(program: Program, tmp_path: Path, module: str) -> None:
    (tmp_path / "sitecustomize.py").write_text(STRIKE)
    (tmp_path / "x.pth").write_bytes(b"no checkpoint")
    loads_torch = module in {"torch", "numpy", "i2i_registry.checkpoints.reader"}
    arguments = ["inspect", tmp_path / "x.pth"] if loads_torch else ["list"]
    result = program(arguments, PYTHONPATH=str(tmp_path), STRIKE=module)
    assert (result.returncode, result.stderr) == (130, "interrupted\n")


def _redirected(how: str, *arguments: str, home: Path, before: str = "") -> subprocess.CompletedProcess[str]:
    code = "from i2i_registry.cli import main; main()"
    return subprocess.run(
        ["/bin/sh", "-c", f'{before} exec "$@" {how}', "sh", sys.executable, "-c", code, *arguments],
        env={**os.environ, "I2I_HOME": str(home)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full")
@pytest.mark.parametrize("command", [["list"], ["list", "--json"], ["--help"], ["plugins"]])
@pytest.mark.parametrize(("how", "reason"), [(">&-", "Bad file descriptor"), (">/dev/full", "No space left")])
def test_results_that_nobody_can_take_are_a_failure(tmp_path: Path, how: str, reason: str, command: list[str]) -> None:
    result = _redirected(how, *command, home=tmp_path)
    assert result.returncode == 1
    assert result.stderr.startswith(f"error: the results cannot be written to stdout: {reason}")
    assert result.stderr.count("\n") == 3


@pytest.mark.skipif(os.name == "nt", reason="a POSIX shell")
@pytest.mark.parametrize("how", ["2>&-", "2>/dev/full", "<&- 2>&-"])
def test_messages_that_nobody_can_take_change_nothing(tmp_path: Path, how: str) -> None:
    if "full" in how and sys.platform != "linux":
        pytest.skip("/dev/full")
    result = _redirected(how, "list", home=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert "ugatit" in result.stdout


@pytest.mark.skipif(os.name == "nt", reason="a POSIX shell")
def test_a_current_folder_that_is_gone_is_no_traceback(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    before = f"mkdir {gone} && cd {gone} && rmdir {gone} &&"
    for arguments, code in ((["list"], 0), (["run", "ugatit", "me.jpg", "-o", "x.png"], 2), (["inspect", "x"], 2)):
        result = _redirected("", *arguments, home=tmp_path / "home", before=before)
        assert (result.returncode, "Traceback" in result.stderr) == (code, False), result.stderr


LONG = "x" * 5000


@pytest.mark.parametrize(
    "arguments",
    [
        ["info", LONG],
        ["inspect", LONG],
        ["inspect", f"./{LONG}"],
        ["verify", LONG],
        ["run", LONG, "a.png", "-o", "b.png"],
        ["run", f"./{LONG}", "a.png", "-o", "b.png"],
        ["export", LONG, "--onnx"],
        ["export", "ugatit", "--onnx", "-o", LONG],
        ["import", LONG, "--as", "x"],
        ["import", "a.pth", "--as", LONG],
        ["rename", LONG, "--as", "x"],
        ["train", "ugatit", "--data", LONG],
        ["train", "ugatit", "--data", ".", "--as", LONG],
        ["train", "--resume", LONG],
        ["save", LONG],
        [LONG],
        ["list", f"--{LONG}"],
        ["inspect", os.fsdecode(b"no-utf8-\xff.pth")],
        ["run", "ugatit", os.fsdecode(b"no-utf8-\xff.png"), "-o", "x.png"],
        ["info", "evil\x1b[2Jname"],
        ["inspect", "evil\x1b[2J\nname"],
    ],
)
def test_strange_names_are_errors_of_ours_and_shown_without_effect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    code = run_program(arguments, Session(store=Store(tmp_path / "home")))
    out, err = capsys.readouterr()
    assert code in {1, 2}
    assert err.startswith(("error: ", "Usage: "))
    assert "this is a fault of" not in err
    assert len(err) < 15_000
    assert not {letter for letter in out + err if not letter.isprintable()} - {"\n"}
    assert not list(tmp_path.rglob("*.json"))


@pytest.mark.skipif(os.name == "nt", reason="HOME is called otherwise there")
@pytest.mark.parametrize(
    "arguments", [["list"], ["doctor"], ["info", "ugatit"], ["inspect", "x.pth"], ["train", "--help"]]
)
def test_an_empty_home_stays_empty(tmp_path: Path, arguments: list[str]) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "x.pth").write_bytes(b"no checkpoint")
    result = subprocess.run(
        [sys.executable, "-c", "from i2i_registry.cli import main; main()", *arguments],
        env={"HOME": str(home), "PATH": os.environ["PATH"]},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert result.returncode in {0, 1}, result.stderr
    assert list(home.rglob("*")) == []
