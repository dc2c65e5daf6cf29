"""The shipped StarGAN v2 weights, against what the drawer of their training images would have drawn."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import i2i_runtime
from i2i_registry.cli.program import run_program

ROOT = Path(__file__).resolve().parents[2]
SEASONS = ("summer", "autumn", "winter")


@pytest.fixture(scope="module")
def bundle(exported: Callable[[str], Path]) -> Path:
    return exported("stargan2-seasons")


@pytest.mark.parametrize("season", SEASONS)
def test_a_scene_becomes_what_would_have_been_drawn_in_the_season_and_hour_of_another(
    bundle: Path, season: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(ROOT)
    evidence = importlib.import_module("benchmarks.seasons_evidence")
    with i2i_runtime.load(bundle) as loaded:
        errors = evidence.measure(loaded, season, SEASONS, count=12, size=64)
    assert errors.translated < 0.5 * errors.untouched


def test_seeds_give_the_seasons_hours_of_their_own(bundle: Path) -> None:
    scene = ROOT / "examples" / "landscape" / "scene.png"
    with i2i_runtime.load(bundle) as loaded:
        winters = np.stack([np.asarray(each) for each in loaded.translate(scene, count=8, seed=0, domain="winter")])
        brightness = winters.mean(axis=(1, 2, 3))
    assert brightness.max() > 1.5 * brightness.min()  # day and night


def test_the_grid_of_a_scene_has_a_column_for_each_season(bundle: Path, tmp_path: Path) -> None:
    scene, out = ROOT / "examples" / "landscape" / "scene.png", tmp_path / "sheet.png"
    chosen = [part for season in SEASONS for part in ("--domain", season)]
    assert run_program(["grid", str(bundle), str(scene), "-o", str(out), "--count", "1", "--seed", "3", *chosen]) == 0
    sheet = np.asarray(Image.open(out).convert("RGB")).astype(int)
    assert sheet.shape[1] > 3 * sheet.shape[0]  # the scene itself, and three
