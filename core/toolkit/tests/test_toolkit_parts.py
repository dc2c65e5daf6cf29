"""The small parts of the toolkit, against closed forms."""

from __future__ import annotations

import hashlib
import io
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import get_origin

import pytest
import torch
from jaxtyping import TypeCheckError
from PIL import Image

import i2i_toolkit
from i2i_registry.errors import TrainingError
from i2i_toolkit import Cursor, PhaseReport, Snapshot, l1, sample_grid
from i2i_toolkit.data.batches import batches, split
from i2i_toolkit.engine.checkpoints import Checkpoints
from i2i_toolkit.seeds import derive
from i2i_toolkit.training.curves import save_curves
from i2i_toolkit.training.journal import Journal
from i2i_toolkit.training.previews import in_colour
from i2i_toolkit.training.progress import ProgressDisplay
from i2i_toolkit.training.run_folder import RunFolder
from i2i_toolkit.training.signals import stopping_on_signals


@pytest.mark.parametrize(("channels", "shown"), [(1, [0, 0, 0]), (2, [0, 1, 1]), (3, [0, 1, 2]), (6, [0, 1, 2])])
def test_images_of_any_number_of_channels_are_shown_in_colour(channels: int, shown: list[int]) -> None:
    images = torch.rand(2, channels, 4, 5)
    assert torch.equal(in_colour(images), images[:, shown])


def test_seeds_of_different_places_differ_and_repeat() -> None:
    places: list[tuple[int | str, ...]] = [(), ("a",), (1,), ("1",), (1, 1), (11,)]

    assert len({derive(seed, *place) for place in places for seed in (0, 1)}) == 2 * len(places)
    assert derive(5, 2, "x") == derive(5, 2, "x")


class Counting:
    """Sample i is the number i."""

    def draw(self, position: int) -> dict[str, torch.Tensor]:
        return {"x": torch.tensor([float(position)])}

    def preview(self, count: int) -> dict[str, torch.Tensor]:
        return {"x": torch.zeros(count, 1)}

    def describe(self) -> dict[str, int]:
        return {}


@pytest.mark.parametrize("workers", [0, 1])
def test_batches_come_in_the_order_of_their_positions(workers: int) -> None:
    found = batches(Counting(), first=4, stride=6, batch_size=2, count=3, workers=workers)

    assert [batch["x"].flatten().tolist() for batch in found] == [[4, 5], [10, 11], [16, 17]]


def test_a_batch_is_split_in_order() -> None:
    parts = split({"x": torch.arange(6)}, 3)

    assert [part["x"].tolist() for part in parts] == [[0, 1], [2, 3], [4, 5]]


def test_a_grid_has_a_column_for_each_title_and_a_row_for_each_sample() -> None:
    white, black = torch.ones(2, 3, 8, 8), -torch.ones(2, 3, 8, 8)
    sheet = sample_grid({"white": white, "black": black})

    middle = sheet.width // 4
    assert sheet.getpixel((middle, sheet.height - 20)) == (255, 255, 255)
    assert sheet.getpixel((3 * middle, sheet.height - 20)) == (0, 0, 0)
    assert sheet.size == (8 + 2 * (128 + 8), 8 + 18 + 2 * (128 + 8))  # gaps of 8, a line of titles of 18


def test_a_grid_of_many_large_images_stays_within_what_a_file_holds() -> None:
    sheet = sample_grid({"image": torch.zeros(20, 3, 64, 1024)})
    assert max(sheet.size) < 16_384


def test_curves_are_drawn_from_rows(tmp_path: Path) -> None:
    rows = [{"total_step": i, "seconds": 1.0, "critic/real": 1.0 / (i + 1), "rate/critic": 0.1} for i in range(900)]
    save_curves(rows, tmp_path / "curves.png")

    with Image.open(tmp_path / "curves.png") as image:
        assert image.format == "PNG"


def report(total_step: int, **values: float) -> PhaseReport:
    named = {name.replace("_", "/"): value for name, value in values.items()}
    return PhaseReport("paint", total_step, total_step, "critic", named, step_complete=True, stop=False)


def test_progress_without_a_terminal_is_lines_with_terms_and_time_left() -> None:
    stream, now = io.StringIO(), [0.0]
    progress = ProgressDisplay(100, 0, stream, clock=lambda: now[0])
    for step in range(1, 31):
        now[0] = 2.0 * step
        progress.phase(report(step, critic_real=0.25))

    lines = stream.getvalue().splitlines()
    assert lines[0] == "step 1/100  2.00 s/step  03:18 left  critic/real 0.25"
    assert [line.split()[1] for line in lines] == ["1/100", "11/100", "21/100"]


def test_progress_on_a_terminal_is_a_bar() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    progress = ProgressDisplay(10, 4, stream)
    progress.phase(report(5, critic_real=0.25))
    progress.close()

    assert "critic/real 0.25" in stream.getvalue()
    assert "5/10" in stream.getvalue()


def test_many_terms_are_shown_as_their_sums() -> None:
    stream = io.StringIO()
    ProgressDisplay(1, 0, stream).phase(report(1, **{f"critic_{i}": 1.0 for i in range(9)}))

    assert stream.getvalue().strip().endswith("critic 9")


def test_declared_shapes_and_types_are_checked_while_tests_run() -> None:
    with pytest.raises(TypeCheckError):
        l1(torch.zeros(2, dtype=torch.int64), torch.zeros(2))


def snapshot(value: float) -> Snapshot:
    tensors = {"network/a/w": torch.full((3,), value), "network/a/tied": torch.zeros(0)}
    return Snapshot(cursor=Cursor(stage=0, step=2, phase=1), optimizers={}, scaler={}, values={}, tensors=tensors)


def test_only_the_last_two_checkpoints_are_kept(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, {"seed": 1})
    for step in range(4):
        checkpoints.save(snapshot(step), total_step=step, seconds=0.0)

    assert [path.name for path in checkpoints.paths()] == ["step-000000003.1", "step-000000002.1"]
    newest = checkpoints.newest()
    assert newest is not None
    assert newest[1].tensors["network/a/w"].tolist() == [3.0, 3.0, 3.0]


@pytest.mark.parametrize("file", ["state.json", "state.safetensors"])
def test_a_checkpoint_with_a_changed_byte_is_damaged(tmp_path: Path, file: str) -> None:
    checkpoints = Checkpoints(tmp_path, {})
    path = checkpoints.save(snapshot(1), total_step=1, seconds=0.0) / file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)

    with pytest.raises(TrainingError, match=r"step-000000001\.1 is damaged"):
        checkpoints.newest()


def test_a_checkpoint_of_another_format_says_which_versions_can_go_on(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, {})
    file = checkpoints.save(snapshot(1), total_step=1, seconds=0.0) / "state.json"
    state = json.loads(json.loads(file.read_text("utf-8"))["state"])
    older = json.dumps({**state, "format": 1, "averages": []})
    file.write_text(json.dumps({"sha256": hashlib.sha256(older.encode()).hexdigest(), "state": older}), "utf-8")

    with pytest.raises(TrainingError, match=r"has the format 1\nexpected: format 2.*\nfix: go on with the versions"):
        checkpoints.newest()


def test_tensors_that_share_memory_are_saved_each_on_its_own(tmp_path: Path) -> None:
    base = torch.arange(4.0)
    tied = snapshot(0).model_copy(update={"tensors": {"a": base, "b": base[1:3], "c": base.view(2, 2).t()}})
    Checkpoints(tmp_path, {}).save(tied, total_step=0, seconds=0.0)

    newest = Checkpoints(tmp_path, {}).newest()
    assert newest is not None
    assert {name: t.tolist() for name, t in newest[1].tensors.items()} == {
        "a": [0, 1, 2, 3],
        "b": [1, 2],
        "c": [[0, 2], [1, 3]],
    }


def test_signals_are_handled_as_before_once_the_block_is_left() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with stopping_on_signals() as stop:
        signal.raise_signal(signal.SIGTERM)
        assert stop.raised
        assert stop.exit_code == 143
        assert signal.getsignal(signal.SIGTERM) is before  # a second one ends the program
    assert signal.getsignal(signal.SIGTERM) is before


def test_importing_the_toolkit_and_its_plugin_loads_no_torch() -> None:
    code = "import sys, i2i_toolkit, i2i_toolkit.plugin, i2i_toolkit.cli.train; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "False"


def test_every_public_name_is_there_and_documented() -> None:
    for name in dir(i2i_toolkit):
        value = getattr(i2i_toolkit, name)
        assert value.__doc__ or get_origin(value), name  # a type alias has no docstring that could be read here
    with pytest.raises(AttributeError, match="No i2i_toolkit attribute nothing"):
        getattr(i2i_toolkit, "nothing")  # noqa: B009 - a name that a type checker would refuse


def test_help_names_every_option_and_real_commands() -> None:
    code = "from i2i_toolkit.cli.train import train; train(['--help'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "i2i-registry train --resume runs/anime" in done.stdout
    assert json.dumps("--checkpoint-minutes").strip('"') in done.stdout


def test_samples_of_any_number_of_channels_are_drawn_in_colour(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    with Journal(folder, first_step=1) as journal:
        journal.sample({"grey": torch.zeros(1, 1, 128, 128), "colour": torch.ones(1, 3, 128, 128)}, total_step=7)
    with Image.open(folder.samples / "step-000000007.png") as drawn:
        assert drawn.mode == "RGB"
        assert {(128, 128, 128), (255, 255, 255)} <= {colour for _, colour in drawn.getcolors(1 << 20) or []}
