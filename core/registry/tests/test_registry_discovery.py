"""Plugins are found without trusting them."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from i2i_registry.errors import PluginError, UnknownName
from i2i_registry.interfaces.cards import INTERFACE_VERSION, CommandCard, ModelCard
from i2i_registry.interfaces.model import Model
from i2i_registry.plugins.discovery import Registry, build_registry, discover, import_attribute, import_class
from i2i_registry.plugins.hooks import hookimpl


def _module(name: str, *cards: ModelCard) -> ModuleType:
    module = ModuleType(name)

    @hookimpl
    def i2i_models() -> tuple[ModelCard, ...]:
        return cards

    vars(module)["i2i_models"] = i2i_models
    return module


def _install(site: Path, name: str, source: str) -> None:
    """A distribution as pip would leave it: a module, and the metadata that names its entry point."""
    (site / f"{name}.py").write_text(source)
    info = site / f"i2i_plugin_{name}-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: i2i-plugin-{name}\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(f"[i2i]\n{name} = {name}\n")


def test_a_plugin_brings_its_cards(registry: Registry) -> None:
    assert list(registry.models) == ["toy"]
    assert list(registry.exporters) == ["onnx"]
    assert registry.sources["toy"].distribution == "i2i-plugin-toy"
    assert registry.broken == ()


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("raise RuntimeError('boom\\nand more')", "RuntimeError: boom"),
        ("import sys; sys.exit('bye')", "SystemExit: bye"),
        ("import no_such_package_anywhere", "no_such_package_anywhere"),
        ("syntax error", "SyntaxError"),
        ("class Odd(BaseException): pass\nraise Odd('odd')", None),
    ],
)
def test_a_plugin_that_fails_on_import_becomes_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, reason: str | None
) -> None:
    _install(tmp_path, "brokenone", source)
    monkeypatch.syspath_prepend(str(tmp_path))
    if reason is None:
        # What is no error at all (a debugger's exit, Ctrl-C) is not for discovery to swallow.
        with pytest.raises(BaseException, match="odd"):
            discover()
        return

    found = discover()

    (broken,) = [plugin for plugin in found.broken if plugin.name == "brokenone"]
    assert (broken.distribution, broken.version) == ("i2i-plugin-brokenone", "1.2")
    assert reason in broken.reason
    assert "\n" not in broken.reason
    assert "i2i-plugin-brokenone" in broken.fix


def test_strict_discovery_raises_at_a_broken_plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _install(tmp_path, "brokentwo", "raise RuntimeError('boom')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("I2I_STRICT", "1")
    with pytest.raises(PluginError, match="boom"):
        discover()


def test_two_plugins_with_one_model_name_are_both_broken_and_others_go_on(toy: ModuleType) -> None:
    other = toy.CARD.model_copy(update={"name": "other"})
    found = build_registry(
        [("first", _module("a", toy.CARD)), ("second", _module("b", toy.CARD)), ("third", _module("c", other))],
        strict=False,
    )
    assert list(found.models) == ["other"]
    assert [plugin.distribution for plugin in found.broken] == ["first", "second"]
    assert all("first and second" in plugin.reason for plugin in found.broken)


@pytest.mark.parametrize(("shift", "word"), [(1, "newer"), (-1, "older")])
def test_an_interface_version_that_differs_is_named(toy: ModuleType, shift: int, word: str) -> None:
    card = toy.CARD.model_copy(update={"interface": INTERFACE_VERSION + shift})
    (broken,) = build_registry([("dist", _module("a", card))], strict=False).broken
    assert word in broken.reason
    assert f"interface {INTERFACE_VERSION + shift}" in broken.reason
    assert "--upgrade" in broken.fix


def test_an_unknown_hook_is_refused() -> None:
    module = ModuleType("typo")

    @hookimpl
    def i2i_modells() -> tuple[ModelCard, ...]:
        return ()

    vars(module)["i2i_modells"] = i2i_modells
    (broken,) = build_registry([("dist", module)], strict=False).broken
    assert "i2i_modells" in broken.reason


def test_a_hook_that_raises_breaks_only_its_own_plugin(toy: ModuleType) -> None:
    module = ModuleType("raising")

    @hookimpl
    def i2i_commands() -> tuple[CommandCard, ...]:
        raise ValueError("not today")

    vars(module)["i2i_commands"] = i2i_commands
    found = build_registry([("bad", module), ("good", toy)], strict=False)
    assert list(found.models) == ["toy"]
    assert found.broken[0].reason == "ValueError: not today"


def test_registering_a_module_does_not_set_off_its_lazy_attributes(toy: ModuleType) -> None:
    module = _module("lazy", toy.CARD)
    touched: list[str] = []
    vars(module)["__dir__"] = lambda: [*vars(module), "heavy"]
    vars(module)["__getattr__"] = touched.append
    build_registry([("dist", module)])
    assert touched == []


def test_an_unknown_model_is_answered_with_the_nearest(registry: Registry) -> None:
    with pytest.raises(UnknownName, match="did you mean 'toy'"):
        registry.model_card("toyy")


def test_a_name_that_a_broken_plugin_would_bring_names_that_plugin() -> None:
    module = ModuleType("i2i_plugin_funit")
    vars(module)["i2i_models"] = hookimpl(lambda: 3)
    found = build_registry([("i2i-plugin-funit", module)], strict=False)
    with pytest.raises(UnknownName, match="i2i-plugin-funit is installed but broken"):
        found.model_card("funit")


@pytest.mark.parametrize("attribute", ["no_such_module:x", "json:no_such_name"])
def test_what_a_card_points_at_must_exist(attribute: str) -> None:
    with pytest.raises(PluginError, match="cannot be loaded"):
        import_attribute(attribute)


@pytest.mark.parametrize("attribute", ["json:loads", "json:JSONDecoder"])
def test_what_a_card_points_at_must_be_of_its_kind(attribute: str) -> None:
    with pytest.raises(PluginError, match="a class derived from Model"):
        import_class(attribute, Model)


def test_discovery_loads_nothing_heavy() -> None:
    code = (
        "import sys; from i2i_registry import discover; import i2i_registry.cli; discover();"
        "print(*{'torch', 'numpy', 'PIL', 'onnxruntime'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == ""


BAD_CARD = """
from i2i_registry.interfaces.cards import ModelCard
from i2i_registry.plugins.hooks import hookimpl

@hookimpl
def i2i_models():
    return [ModelCard(name="No Name", summary="x", licenses=1, operations=(), presets=(), model="a.b:C")]
"""


def test_a_bad_card_names_its_fields_what_each_should_be_and_the_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bad_card_plugin.py").write_text(BAD_CARD)
    monkeypatch.syspath_prepend(str(tmp_path))
    plugin = importlib.import_module("bad_card_plugin")
    (broken,) = build_registry([("dist", plugin)], strict=False).broken
    assert broken.reason == (
        "its ModelCard has 'name' = 'No Name'; lacks the field 'paper'; lacks the field 'licence'; "
        "has a field 'licenses', which there is none of"
    )
    assert 'name = "cyclegan": String should match pattern' in broken.expected
    assert 'paper = Paper(title="...", authors="...", year=2026); licence = Licence(' in broken.expected
    assert "instead of 'licenses' did you mean 'licence'" in broken.expected
    assert f"{tmp_path / 'bad_card_plugin.py'}, line 7, which the entry point 'dist'" in broken.fix
    with pytest.raises(PluginError) as caught:
        build_registry([("dist", plugin)], strict=True)
    assert caught.value.found == f"dist 0: {broken.reason}"
    assert (caught.value.expected, caught.value.fix) == (broken.expected, broken.fix)


NO_YEAR = """
from i2i_registry import CommandCard, hookimpl
from i2i_runtime import Paper

PAPER = Paper(title="A paper", authors="Somebody")
"""


def test_a_record_inside_a_card_that_lacks_a_field_is_told_with_the_entry_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _install(tmp_path, "noyear", NO_YEAR)
    monkeypatch.syspath_prepend(str(tmp_path))
    (broken,) = [plugin for plugin in discover(strict=False).broken if plugin.name == "noyear"]
    assert (broken.reason, broken.expected) == ("its Paper lacks the field 'year'", "year = int")
    assert broken.fix.endswith("noyear.py, line 5, which the entry point 'noyear = noyear' leads to")
