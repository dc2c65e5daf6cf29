"""The harness is data-driven: nothing is told from names, every option counts, and one bad file stops nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from .adapters import Adapter, adapter_for, check_file, find_adapters, is_missed
from .recording import Recording, read_metadata
from .table import main
from .test_parity import FOLDER, KNOWN, rows_of

Config = dict[str, object]

STRANGE = "an_option_of_tomorrow"


def one_of_each_kind() -> dict[str, tuple[Path, Adapter]]:
    """The smallest recording of every kind of every paper."""
    found: dict[str, tuple[Path, Adapter]] = {}
    for path, adapter in sorted(KNOWN, key=lambda known: known[0].stat().st_size):
        found.setdefault(f"{adapter.PAPER} {adapter.kind_of(Recording.read(path))}", (path, adapter))
    return found


KINDS = one_of_each_kind()
of_every_kind = pytest.mark.parametrize(("path", "adapter"), KINDS.values(), ids=KINDS.keys())
PAPERS = {adapter.PAPER: (path, adapter) for path, adapter in reversed(KINDS.values())}
of_every_paper = pytest.mark.parametrize(("path", "adapter"), PAPERS.values(), ids=PAPERS.keys())
with_recordings = pytest.mark.skipif(not KNOWN, reason=f"no recordings at {FOLDER}")


def contents(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a file."""
    with safe_open(path, "pt") as file:
        return {key: file.get_tensor(key) for key in file.keys()}, file.metadata()  # noqa: SIM118 - not a mapping


def with_strangers(config: Config) -> Config:
    """The options, with one more that nobody knows in every part that has options of its own."""
    parts = {
        key: with_strangers(cast("Config", part)) for key, part in config.items() if key in {"resolved", "computed"}
    }
    return {**config, **parts, STRANGE: 1}


@with_recordings
@of_every_paper
def test_a_name_tells_nothing_and_an_option_that_nobody_knows_is_a_miss(
    path: Path, adapter: Adapter, tmp_path: Path
) -> None:
    tensors, metadata = contents(path)
    config = with_strangers(json.loads(metadata["config"]))
    renamed = tmp_path / adapter.PAPER / "recorded_on_a_tuesday.safetensors"
    renamed.parent.mkdir()
    save_file(tensors, renamed, {**metadata, STRANGE: "yes", "config": json.dumps(config)})
    rows = check_file(renamed, find_adapters())
    assert rows is not None
    own = {(row.quantity, row.error) for row in rows_of(path)}
    new = {row.quantity for row in rows if (row.quantity, row.error) not in own}
    places = ["", *(f"{part}." for part in ("resolved", "computed") if part in config)]
    assert new == {f"config/{place}{STRANGE} (never used)" for place in places}
    assert len(rows) == len(rows_of(path)) + len(new)


def altered(value: object) -> object:
    """Another value of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return 2 * value + 1
    if isinstance(value, float):
        return 1.5 * value + 0.25
    if isinstance(value, str):
        return "tomorrow's " + value
    items = cast("list[object]", value)
    return [*items[:-1], altered(items[-1])]


def alterations(config: Mapping[str, object], place: str = "") -> Iterator[tuple[str, Config]]:
    """Every option altered by itself: its dotted name, and all options."""
    for name, value in config.items():
        if isinstance(value, dict):
            for inner, part in alterations(cast("Config", value), f"{place}{name}."):
                yield inner, {**config, name: part}
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            items = cast("list[Config]", value)
            for inner, part in alterations(items[0], f"{place}{name}."):
                yield inner, {**config, name: [part, *items[1:]]}
        elif value is not None and value != []:
            yield place + name, {**config, name: altered(value)}


@pytest.mark.slow
@with_recordings
@of_every_kind
def test_every_option_that_is_not_declared_irrelevant_decides(path: Path, adapter: Adapter) -> None:
    recording = Recording.read(path)
    list(adapter.check(recording))
    blind = [
        name
        for name, config in alterations(recording.config)
        if not recording.is_ignored(name) and not is_missed(adapter, Recording(recording.tensors, config))
    ]
    assert not blind


@with_recordings
@of_every_kind
def test_a_file_without_options_is_a_miss(path: Path, adapter: Adapter) -> None:
    assert is_missed(adapter, replace(Recording.read(path), config={}))


@with_recordings
def test_a_failing_file_is_a_row_and_the_table_goes_on(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path, adapter = min(KINDS.values(), key=lambda known: known[0].stat().st_size)
    tensors, metadata = contents(path)
    folder = tmp_path / adapter.PAPER
    folder.mkdir()
    (folder / "a_cut_off.safetensors").write_bytes(path.read_bytes()[:1000])
    (folder / "b_no_recording.safetensors").write_bytes(bytes(range(100)))
    save_file({}, folder / "c_empty.safetensors", metadata)
    save_file(tensors, folder / "d_no_json.safetensors", {**metadata, "config": "{"})
    save_file(tensors, folder / "e_no_options.safetensors", {**metadata, "config": "[1]"})
    save_file(tensors, folder / "f_whole.safetensors", metadata)
    assert main([str(tmp_path)]) == 1
    out = capfd.readouterr().out
    for name in ("a_cut_off", "b_no_recording", "c_empty", "d_no_json", "e_no_options"):
        lines = [line for line in out.splitlines() if line.startswith(f"{adapter.PAPER}/{name} ")]
        assert sum(line.endswith("MISS") for line in lines) == 1, out
    assert any(line.startswith(f"{adapter.PAPER}/f_whole ") and "MISS" not in line for line in out.splitlines())


def test_the_adapter_is_found_without_its_folder(tmp_path: Path) -> None:
    for path, adapter in KINDS.values():
        tensors, metadata = contents(path)
        save_file({key: tensors[key] for key in list(tensors)[:1]}, tmp_path / "x.safetensors", metadata)
        found = adapter_for(tmp_path / "x.safetensors", find_adapters())
        assert found is adapter
    assert all("source" in read_metadata(path) for path, _ in KINDS.values())
