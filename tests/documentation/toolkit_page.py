"""Print docs/toolkit.md: python -m tests.documentation.toolkit_page > docs/toolkit.md.

Every public name of `i2i_toolkit` with the first sentence of its own documentation, read from the source.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

SOURCE = Path(__file__).resolve().parents[2] / "core" / "toolkit" / "src" / "i2i_toolkit"

HEAD = """\
# Parts of the toolkit

What a plugin need not write. Everything here is imported from `i2i_toolkit`; its docstring says shapes, units, ranges,
errors and the source. A part is here when three papers use it, those to come counted; what one paper alone needs stays
in its plugin.

This page is printed from the source: `python -m tests.documentation.toolkit_page > docs/toolkit.md`.
"""


_END = r"(?<=[.])(?<! al\.)\s"
"""between two sentences; "et al." ends none"""


class Section(NamedTuple):
    """A heading of the page, and the modules whose names stand under it."""

    title: str
    modules: tuple[str, ...]
    text: str = ""


SECTIONS = (
    Section(
        "Data layouts",
        ("data",),
        "A trainer names a layout's class (`Layout = PairedLayout`) and gives an instance (`layout`). It recognises a\n"
        "folder, opens it, completes the Config from it (names of domains, attributes) and draws an example for tests.",
    ),
    Section("Losses", ("losses",), "Pure functions that compute in fp32 and return a scalar."),
    Section("Layers and initial weights", ("layers",)),
    Section("Networks", ("networks",), "Generators and discriminators of pix2pix and CycleGAN, which others reuse."),
    Section("Operations and graphs", ("operations",), "Declarations that several papers share."),
    Section(
        "Options and schedules",
        ("options",),
        "A trainer's Options derive from those that fit, give the fields the paper's values, and add their own.\n"
        "`Phase.learning_rate` is any function of the step; `Phase.every` runs a phase every so many steps.",
    ),
    Section(
        "Pools and EMA",
        ("image_pool",),
        "Options that derive from `EMAOptions` give the model's networks an exponential moving average. `Trainer.ema`\n"
        "names others, each with its decay, a number or a function of the step; samples and weights are made of them.",
    ),
    Section("Metrics", ("metrics",)),
    Section(
        "Engine and runs",
        ("engine", "training", "seeds"),
        "For programs that train; `train` uses no other.",
    ),
)


class Part(NamedTuple):
    """One public name."""

    name: str
    module: str
    sentence: str


def parts() -> Iterator[Part]:
    """The names that the face exports, in its order."""
    for node in ast.parse((SOURCE / "__init__.pyi").read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                yield Part(alias.name, node.module, _sentence(node.module, alias.name))


def _sentence(module: str, name: str) -> str:
    """The first sentence of a name's documentation. Raises ValueError when it has none."""
    file = SOURCE.joinpath(*module.split("."))
    tree = ast.parse((file / "__init__.py" if file.is_dir() else file.with_suffix(".py")).read_text(encoding="utf-8"))
    for node, following in zip(tree.body, [*tree.body[1:], None], strict=True):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            text = ast.get_docstring(node)
        elif name in _assigned(node):
            text = _literal(following)
        else:
            continue
        if text:
            first = re.split(_END, " ".join(text.split("\n\n")[0].split()), maxsplit=1)[0]
            return first if first.endswith(".") else f"{first}."
    raise ValueError(f"i2i_toolkit.{name} ({module}) has no documentation")


def _assigned(node: ast.stmt) -> set[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return {target.id for target in targets if isinstance(target, ast.Name)}


def _literal(node: ast.stmt | None) -> str:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return node.value.value
    return ""


def page() -> str:
    """The whole page. Raises ValueError for a name whose module belongs to no section."""
    everything = list(parts())
    lines = [HEAD]
    for section in SECTIONS:
        own = [part for part in everything if part.module.split(".")[0] in section.modules]
        everything = [part for part in everything if part not in own]
        if own:
            lines += [f"## {section.title}\n", *([section.text + "\n"] if section.text else []), "| | |\n| --- | --- |"]
            cells = [(f"`{part.name}`", part.sentence.replace("|", "\\|")) for part in sorted(own, key=_order)]
            lines += [f"| {name} | {sentence} |" for name, sentence in cells]
            lines.append("")
    if everything:
        raise ValueError(f"say in SECTIONS where these belong: {', '.join(part.name for part in everything)}")
    return "\n".join(lines)


def _order(part: Part) -> tuple[str, str]:
    return part.module, part.name.lower()


if __name__ == "__main__":
    sys.stdout.write(page())
