"""What a new run is made of: presets of Config and Options, what was asked for, and what the data decide."""

from __future__ import annotations

from pathlib import Path

import pytest
from sized_toy import sized_registry
from toolkit_toy import toy_registry, write_data

from i2i_registry.cli.program import run_program
from i2i_registry.cli.session import Session
from i2i_registry.errors import UnknownName
from i2i_registry.interfaces.cards import Trained, WeightsCard
from i2i_registry.plugins.discovery import Registry
from i2i_registry.weights.store import Store
from i2i_runtime.attribution import Licence
from i2i_toolkit import TrainingSettings, new_record
from i2i_toolkit.training.run_folder import RunRecord


@pytest.fixture
def registry() -> Registry:
    return sized_registry()


def record(registry: Registry, *values: str, preset: str | None = None, init: WeightsCard | None = None) -> RunRecord:
    return new_record(
        registry,
        model="toy",
        name="mine",
        preset=preset,
        values=values,
        settings=TrainingSettings(),
        data=Path("data"),
        init=init,
        command="none",
    )


@pytest.mark.parametrize(
    ("preset", "config", "options"),
    [
        (None, {"channels": 4, "height": 100, "width": 4}, {"steps": 4, "max_size": 250}),
        ("quick", {"channels": 2, "height": 64, "width": 2}, {"steps": 1, "max_size": 64}),
    ],
)
def test_a_preset_is_of_config_and_options(
    registry: Registry, preset: str | None, config: dict[str, int], options: dict[str, int]
) -> None:
    made = record(registry, preset=preset)
    assert made.config == config
    assert {name: made.options[name] for name in options} == options


def test_the_data_decide_by_what_was_asked_for(registry: Registry) -> None:
    """`config_for` sees values of both records, before it says what follows from them."""
    made = record(registry, "max_size=48", "channels=6")
    assert made.config == {"channels": 6, "height": 48, "width": 6}


def test_what_was_asked_for_goes_before_what_the_data_decide(registry: Registry) -> None:
    made = record(registry, "height=17", preset="quick")
    assert made.config == {"channels": 2, "height": 17, "width": 2}


def test_weights_keep_their_config(registry: Registry) -> None:
    card = WeightsCard(
        name="old",
        model="toy",
        config={"channels": 5, "height": 7, "width": 9},
        licence=Licence(spdx="CC0-1.0"),
        provenance=Trained(data="nothing", command="none", seed=0, steps=0),
        plugin="toy 0",
        sha256="0" * 64,
        size=1,
    )
    made = record(registry, "height=8", init=card, preset="quick")
    assert made.config == {"channels": 5, "height": 8, "width": 9}
    assert made.options["steps"] == 1


def test_a_preset_that_only_options_would_have_is_none(registry: Registry) -> None:
    with pytest.raises(UnknownName, match="no preset named 'slow'"):
        record(registry, preset="slow")


# --- The command ------------------------------------------------------------------------------------------------------


def train(tmp_path: Path, registry: Registry, *words: str) -> int:
    write_data(tmp_path / "data")
    arguments = ["train", "toy", "--data", str(tmp_path / "data"), "--out", str(tmp_path / "run"), "--threads", "1"]
    return run_program([*arguments, "--device", "cpu", *words], Session(registry, Store(tmp_path / "store")))


def test_quick_and_max_size_are_short_for_what_they_say(tmp_path: Path, registry: Registry) -> None:
    assert train(tmp_path, registry, "--quick", "--max-size", "32") == 0
    made = RunRecord.model_validate_json((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    assert (made.preset, made.options["steps"], made.options["max_size"]) == ("quick", 1, 32)
    assert made.config == {"channels": 2, "height": 32, "width": 2}


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--quick", "--preset", "whole"], "--quick is --preset quick"),
        (["--max-size", "0"], "0 is not in the range"),
        (["--set", "max_size=wide"], "max_size"),
    ],
)
def test_shortcuts_that_make_no_sense_are_wrong_usage(
    *, tmp_path: Path, registry: Registry, capsys: pytest.CaptureFixture[str], words: list[str], reason: str
) -> None:
    assert train(tmp_path, registry, *words) == 2
    stderr = capsys.readouterr().err
    assert reason in stderr
    assert "Traceback" not in stderr


@pytest.mark.parametrize(
    ("words", "reason"),
    [(["--quick"], "no preset named 'quick'"), (["--max-size", "64"], "no option named 'max_size'")],
)
def test_a_model_without_them_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], reason: str
) -> None:
    assert train(tmp_path, toy_registry(), *words) == 2
    assert reason in capsys.readouterr().err
