"""Writes a new plugin: a small paper that works, under a name of its own.

A template is a plugin like any other, called New Paper. It lies here as data: nothing imports it.
"""

from __future__ import annotations

import importlib.util
import keyword
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from i2i_registry.output_paths import check_new
from i2i_registry.plugins.discovery import Registry
from i2i_runtime.errors import UsageError, nearest
from i2i_runtime.files.atomic import atomic_folder

TEMPLATES = Path(__file__).parent / "templates"

LIKE: Mapping[str, str] = {
    "pix2pix": "learns from pairs of images, with a U-Net and a discriminator of pairs",
    "cyclegan": "two domains without pairs, with two generators, two discriminators and pools",
    "stargan2": "any number of domains, with a look from a latent or from an image",
    "singan": "learns from one image, with a generator and a critic for every scale",
}
"""name of a template -> what it does"""

_TITLE = re.compile(r"[A-Za-z][\w .+-]{0,39}")


@dataclass(frozen=True, slots=True)
class PluginNames:
    """How a plugin is called, in every place where it needs a name."""

    model: str
    """a Python identifier in lower case: "cut" """
    title: str
    """as people write it: "CUT" """

    @property
    def package(self) -> str:
        """The package that Python imports."""
        return f"i2i_plugin_{self.model}"

    @property
    def distribution(self) -> str:
        """The distribution that pip installs."""
        return self.package.replace("_", "-")

    @property
    def class_name(self) -> str:
        """The class of the model."""
        return re.sub(r"\W|_", "", self.title)

    def replaced_in(self, text: str) -> str:
        """Return the text of a template with these names in place of its own."""
        names = {
            "i2i-plugin-newpaper": self.distribution,
            "newpaper": self.model,
            "NewPaper": self.class_name,
            "New Paper": self.title,
        }
        return re.sub("|".join(names), lambda found: names[found[0]], text)


def check_like(name: str | None) -> str:
    """Return the name of a template. Raises UsageError, with the nearest, where there is none of this name."""
    if name is not None and name in LIKE:
        return name
    raise UsageError(
        found="--like is not given" if name is None else f"there is no plugin like {name!r} to begin from",
        expected=nearest(name or "", LIKE),
        fix=f"--like {next(iter(LIKE))}; `i2i-registry new-plugin --help` says what each does",
    )


def names_for(model: str, title: str | None, like: str, registry: Registry) -> PluginNames:
    """Derive the names of a new plugin, and check that they can be used in a template and beside what is installed.

    Raises UsageError for a name that is no identifier in lower case, is taken, or that the template uses itself.
    """
    if not _is_name(model):
        near = re.sub(r"[^a-z0-9]+", "_", model.lower()).strip("_")
        raise UsageError(
            found=f"{model!r} cannot name a model",
            expected="lower-case letters, digits and '_', with a letter first, and no word of Python's: my_paper",
            fix=f"call it {near}; how people write the name is its --title" if _is_name(near) else "",
        )
    names = PluginNames(model, title or model.replace("_", " ").capitalize())
    if model in registry.models or importlib.util.find_spec(names.package) is not None:
        raise UsageError(
            found=f"{model!r} is taken: a plugin with this name is installed",
            expected="a name that no installed plugin has",
            fix="choose another name, or uninstall that plugin: `i2i-registry plugins` lists them",
        )
    if not _TITLE.fullmatch(names.title) or not names.class_name.isidentifier():
        raise UsageError(
            found=f"{names.title!r} cannot be a title",
            expected="a letter, then up to 39 letters, digits, spaces, '.', '+' and '-': a class is named after it",
            fix="leave other characters away",
        )
    used = re.compile(rf"\b{names.class_name}\b")
    if any(used.search(text) for _, text in _files_of(like)):
        raise UsageError(
            found=f"the class would be called {names.class_name}, as something else in the plugin is",
            expected="a title of which no part of the plugin is called",
            fix=f"--title '{names.title} Model'",
        )
    return names


def _is_name(text: str) -> bool:
    return bool(re.fullmatch(r"[a-z][a-z0-9_]{0,39}", text)) and not keyword.iskeyword(text)


def write_plugin(folder: Path, names: PluginNames, like: str) -> None:
    """Write a plugin like a template into a new folder, whole or not at all.

    Raises UsageError when something is there already or nothing can be written there, OSError when the disk is full.
    """
    check_new(folder)
    with atomic_folder(folder) as partial:
        for place, text in _files_of(like):
            path = partial / names.replaced_in(place)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(names.replaced_in(text), encoding="utf-8")


def _files_of(like: str) -> Iterator[tuple[str, str]]:
    """The path below the plugin's folder, and the text of every file of a template."""
    template = TEMPLATES / like
    for path in sorted(template.rglob("*")):
        # An installer may have compiled what it took for modules.
        if path.is_file() and "__pycache__" not in path.parts:
            yield path.relative_to(template).as_posix(), path.read_text(encoding="utf-8")
