"""Measure the shape of the code on disk; docs/anatomy.md says what the figures mean.

make anatomy                             # one table
python benchmarks/anatomy.py --json      # the same for programs
python benchmarks/anatomy.py --root DIR  # of another checkout

The source is read, and nothing of it is imported or run. Packages are found, not listed, so the figures survive moves.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import statistics
import sys
import textwrap
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

from source_trees import (
    Function,
    Module,
    cycles,
    functions,
    import_graph,
    imports_in,
    methods,
    name_of,
    names_in,
    parameters,
    reachable,
    read_modules,
    with_helpers,
)

CORE = "core/*/src"
SOURCES = (CORE, "exporters/*/src", "plugins/*/src", "tests/conformance/src")
PAGES = (
    "*.md",
    "docs/**/*.md",
    "core/*/*.md",
    "exporters/*/*.md",
    "plugins/*/*.md",
    "tests/*/*.md",
    "examples/**/*.md",
)

_ROLES = {
    "paper": "networks layers losses critic discriminators generator geometry augment upsampling palette sampling "
    "applications face fan",
    "trainer": "trainer stage_training options cost",
    "wiring": "model wiring",
    "config": "config presets",
    "card": "__init__ card hooks",
    "official": "official",
    "data": "data",
}
OTHER = "other"
ROLE_OF: Mapping[str, str] = MappingProxyType({stem: role for role, stems in _ROLES.items() for stem in stems.split()})
"""first part of a module's name below the package of its plugin -> role; others have the role `other`"""

INTERFACE = "InputKind"
"""what every kind of input derives"""
WORD, NOUN = "kind", "noun"
"""the field of a kind that has its word in manifests, and the method that gives it"""

GROUP = ("run", "grid", "compare", "collage", "animation")
"""commands that run bundles on images"""

Cell: TypeAlias = str | int | float
Row: TypeAlias = tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """One figure, or several that are counted together."""

    key: str
    """its name for programs"""
    meaning: str
    """what is counted, in one sentence"""
    columns: tuple[str, ...]
    rows: Sequence[Row]


@dataclass(frozen=True)
class Code:
    """A checkout."""

    root: Path

    def modules_in(self, *patterns: str) -> list[Module]:
        """Return the modules of all folders that fit the patterns."""
        folders = [folder for pattern in patterns for folder in sorted(self.root.glob(pattern))]
        return [module for folder in folders for module in read_modules(folder)]

    @cached_property
    def core(self) -> list[Module]:
        """Of the packages that everything else uses."""
        return self.modules_in(CORE)

    @cached_property
    def modules(self) -> list[Module]:
        """Of all that is installed."""
        return self.modules_in(*SOURCES)

    @cached_property
    def plugins(self) -> dict[str, list[Module]]:
        """Name of a plugin's folder -> its modules."""
        return {folder.name: self.modules_in(f"plugins/{folder.name}/src") for folder in self._plugin_folders()}

    def _plugin_folders(self) -> list[Path]:
        return sorted(source.parent for source in self.root.glob("plugins/*/src"))

    def where(self, module: Module) -> str:
        """Return the path of a module from the root."""
        return module.path.relative_to(self.root).as_posix()


# --- Files and sub-packages -------------------------------------------------------------------------------------------


def flat_files(code: Code) -> Section:
    """Count the modules directly in the folder of a core package, and its sub-packages."""
    rows: list[Row] = []
    for face in (module for module in code.core if _is_face(module)):
        folder = face.path.parent
        flat = [path for path in folder.glob("*.py") if path != face.path]
        rows.append((face.name, len(flat), len(list(folder.glob("*/__init__.py")))))
    meaning = "Modules directly in the folder of a core package, without __init__.py; and its sub-packages."
    return Section("flat files", meaning, ("package", "flat files", "sub-packages"), rows)


def _is_face(module: Module) -> bool:
    return module.path.name == "__init__.py" and "." not in module.name


# --- Kinds of input ---------------------------------------------------------------------------------------------------


def kind_checks(code: Code) -> Section:
    """Count the lines that ask which kind of input something is, outside the files of the kinds."""
    homes = input_kinds(code.core)
    kinds = set(homes)
    words = {word for module in code.core if module.name in homes.values() for word in kind_words(module, kinds)}
    places = {
        code.where(module): lines
        for module in code.modules
        if module.name not in homes.values() and (lines := kind_check_lines(module.tree, kinds, words))
    }
    rows: list[Row] = [("lines", sum(map(len, places.values()))), ("files", len(places)), ("kinds", len(kinds))]
    rows += [(f"  {place}", len(lines)) for place, lines in sorted(places.items())]
    meaning = (
        "Lines with isinstance(..., kind), type(...) is kind, `case kind()` or .kind == its word, of kinds of input."
    )
    return Section("kinds", meaning, ("outside the kinds' own files", "count"), rows)


def input_kinds(modules: Iterable[Module]) -> dict[str, str]:
    """Find the kinds of input, which are the classes that derive `InputKind`, through others too: class -> module."""
    classes = {node.name: (node, module.name) for module in modules for node in _classes(module)}
    bases = {name: {name_of(base) for base in node.bases} & classes.keys() for name, (node, _) in classes.items()}
    return {
        name: home for name, (_, home) in classes.items() if name != INTERFACE and INTERFACE in reachable(bases, [name])
    }


def _classes(module: Module) -> list[ast.ClassDef]:
    return [node for node in module.tree.body if isinstance(node, ast.ClassDef)]


def kind_words(module: Module, kinds: Collection[str]) -> set[str]:
    """Words that manifests have for the kinds that a module defines."""
    fields = [node for each in _classes(module) if each.name in kinds for node in each.body]
    return {
        str(node.value.value)
        for node in fields
        if isinstance(node, ast.AnnAssign) and name_of(node.target) == WORD and isinstance(node.value, ast.Constant)
    }


def kind_check_lines(tree: ast.Module, kinds: Collection[str], words: Collection[str]) -> set[int]:
    """Numbers of the lines that ask for one of the kinds, by its class or its word."""
    lines: set[int] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id="isinstance" | "issubclass"), args=[_, asked]) if _has(asked, kinds):
                lines.add(node.lineno)
            case ast.match_case(pattern=pattern) if not _matched(pattern).isdisjoint(kinds):
                lines.add(pattern.lineno)
            case ast.Compare() if _compares(node, kinds, words):
                lines.add(node.lineno)
            case ast.Match(subject=subject, cases=cases) if _is_word(subject):
                lines |= {each.pattern.lineno for each in cases if not _texts(each.pattern).isdisjoint(words)}
            case _:
                pass
    return lines


def _has(node: ast.AST, kinds: Collection[str]) -> bool:
    return not names_in(node).isdisjoint(kinds)


def _compares(node: ast.Compare, kinds: Collection[str], words: Collection[str]) -> bool:
    """Whether a type is compared with a kind, or what a manifest calls something with the word of one."""
    sides = [node.left, *node.comparators]
    by_class = any(name_of(side) == "type" for side in sides) and any(_has(side, kinds) for side in sides)
    by_word = any(map(_is_word, sides)) and any(not _texts(side).isdisjoint(words) for side in sides)
    return by_class or by_word


def _is_word(node: ast.AST) -> bool:
    """Whether it is `x.kind` or `x.noun()`; a variable of that name may be anything."""
    return isinstance(node, (ast.Attribute, ast.Call)) and name_of(node) in {WORD, NOUN}


def _texts(node: ast.AST) -> set[str]:
    constants = [each.value for each in ast.walk(node) if isinstance(each, ast.Constant)]
    return {value for value in constants if isinstance(value, str)}


def _matched(pattern: ast.pattern) -> set[str]:
    return {name_of(each.cls) for each in ast.walk(pattern) if isinstance(each, ast.MatchClass)}


# --- Plugins ----------------------------------------------------------------------------------------------------------


def roles(code: Code) -> Section:
    """Count the lines of each plugin by their role."""
    names = [*_ROLES, OTHER]
    rows: list[Row] = []
    for plugin, modules in code.plugins.items():
        lines = Counter[str]()
        for module in modules:
            lines[role_of(module)] += len(module.code)
        rows.append((plugin, *(lines[role] for role in names), lines.total()))
    meaning = "Lines of code (no blank lines, comments, docstrings) of a plugin, by the names of its modules."
    return Section("roles", meaning, ("plugin", *names, "all"), _with_sums(rows))


def role_of(module: Module) -> str:
    """Role of a module of a plugin."""
    _, _, inner = module.name.partition(".")
    return ROLE_OF.get(inner.partition(".")[0] or "__init__", OTHER)


def overhead(code: Code) -> Section:
    """Count the lines of each plugin that are not its paper."""
    interface = trainer_interface(code.core)
    rows: list[Row] = []
    for plugin, modules in code.plugins.items():
        imports = sum(each.lines for module in modules for each in imports_in(module))
        rest = Counter[str]()
        for module in modules:
            rest[role_of(module)] += len(module.code) - sum(each.lines for each in imports_in(module))
        plumbing = _lines(_plumbing(modules, interface))
        examples = _lines(_examples(modules))
        parts = (imports, rest["card"], rest["wiring"], plumbing, examples)
        rows.append((plugin, *parts, sum(parts)))
    meaning = (
        "Lines of code of a plugin that are not its paper: imports, and without them card, wiring, the trainer's "
        "plumbing, and `example` of official formats with what only that calls."
    )
    return Section(
        "overhead", meaning, ("plugin", "imports", "card", "wiring", "plumbing", "example", "all"), _with_sums(rows)
    )


def trainers(code: Code) -> Section:
    """Count the lines of each training, those of them that are plumbing, and those of recordings."""
    interface = trainer_interface(code.core)
    rows: list[Row] = []
    for plugin, modules in code.plugins.items():
        training = [module for module in modules if role_of(module) == "trainer"]
        imports = sum(each.lines for module in training for each in imports_in(module))
        plumbing = imports + _lines(_plumbing(modules, interface))
        recorded = code.root / "plugins" / plugin / "tests" / "recorded.py"
        text = recorded.read_text(encoding="utf-8") if recorded.is_file() else ""
        lines = len(Module("recorded", recorded, text).code)
        rows.append((plugin, sum(len(module.code) for module in training), plumbing, lines))
    with_shares = [(plugin, all_, part, _percent(part, all_), lines) for plugin, all_, part, lines in _with_sums(rows)]
    meaning = (
        "Lines of code of modules with the role trainer; of these plumbing: imports, methods that the interface "
        "Trainer declares (but those that take a Step, and `stages`, which are the paper's updates), and functions "
        "that only plumbing calls. And those of tests/recorded.py."
    )
    return Section("trainers", meaning, ("plugin", "trainer", "plumbing", "%", "recorded"), with_shares)


def trainer_interface(modules: Iterable[Module]) -> set[str]:
    """Names of the methods of the class `Trainer` that are not the paper's algorithm.

    A loss takes a `Step`; `stages` says in which order what learns from which losses, by which optimizer and how fast.
    """
    owners = [node for module in modules for node in _classes(module) if node.name == "Trainer"]
    declared = [function for owner in owners for function in methods(owner)]
    return {function.name for function in declared if not _takes_step(function) and function.name != "stages"}


def _takes_step(function: Function) -> bool:
    return any(each.annotation and "Step" in names_in(each.annotation) for each in parameters(function))


Owned: TypeAlias = list[tuple[Module, Function]]


def _plumbing(modules: Iterable[Module], interface: Collection[str]) -> Owned:
    """Functions of a plugin's training that are there for the interface."""
    training = [module for module in modules if role_of(module) == "trainer"]
    classes = [node for module in training for node in _classes(module)]
    trainers = [node for node in classes if any(name_of(base).endswith("Trainer") for base in node.bases)]
    roots = {function for trainer in trainers for function in methods(trainer) if function.name in interface}
    return _owned(training, roots)


def _examples(modules: Iterable[Module]) -> Owned:
    """Functions of official formats that only make up an example."""
    official = [module for module in modules if role_of(module) == "official"]
    roots = {function for module in official for function in functions(module.tree) if function.name == "example"}
    return _owned(official, roots)


def _owned(modules: Collection[Module], roots: Iterable[Function]) -> Owned:
    owned = with_helpers(roots, [function for module in modules for function in functions(module.tree)])
    return [(module, function) for module in modules for function in functions(module.tree) if function in owned]


def _lines(owned: Owned) -> int:
    return sum(module.lines_of(function) for module, function in owned)


def _with_sums(rows: list[Row]) -> list[Row]:
    """Return the rows, and one below them with the sum of each column behind the first."""
    columns = list(zip(*rows, strict=True))[1:]
    return [*rows, ("all", *(sum(cell for cell in column if isinstance(cell, int)) for column in columns))]


def _percent(part: Cell, whole: Cell) -> float:
    return round(100 * float(part) / float(whole), 1) if whole else 0.0


# --- Imports ----------------------------------------------------------------------------------------------------------


def faces(code: Code) -> Section:
    """Count imports from the core packages themselves, and from modules inside them."""
    known = {module.name for module in code.core}
    groups = {
        "plugins": code.modules_in("plugins/*/src"),
        "tests of plugins": code.modules_in("plugins/*/tests"),
        "code blocks of pages": [block for page in _pages(code.root) for block in code_blocks(page)],
        "examples": code.modules_in("examples"),
        "templates of plugins": code.modules_in("core/*/src/*/authoring/templates"),
    }
    rows = [(name, *_sides(modules, known)) for name, modules in groups.items()]
    meaning = "Import statements that take from a core package itself, and from a module inside one."
    return Section("faces", meaning, ("imports in", "of faces", "of inner modules"), _with_sums(list(rows)))


def _sides(modules: Iterable[Module], known: Collection[str]) -> tuple[int, int]:
    """How many imports are of faces only, and how many of something inside."""
    named = [each.modules(known) for module in modules for each in imports_in(module)]
    inner = sum(any("." in name for name in names) for names in named)
    return sum(map(bool, named)) - inner, inner


def _pages(root: Path) -> list[Path]:
    return sorted({page for pattern in PAGES for page in root.glob(pattern)})


def code_blocks(page: Path) -> list[Module]:
    """Return the Python blocks of a page that are whole statements; blocks that are cut short are left out."""
    blocks: list[Module] = []
    for text in re.findall(r"^ *```python\n(.*?)^ *```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE):
        block = Module("", page, textwrap.dedent(text))
        try:
            ast.parse(block.text)
        except SyntaxError:
            continue
        blocks.append(block)
    return blocks


def import_cycles(code: Code) -> Section:
    """Find the core modules that import each other in a cycle."""
    at_load = cycles(import_graph(code.core, ["load"]))
    at_all = [cycle for cycle in cycles(import_graph(code.core, ["load", "call", "typing"])) if cycle not in at_load]
    rows: list[Row] = []
    for title, found in (("at import", at_load), ("also in functions and for types", at_all)):
        rows += [(title, len(found)), *((f"  {' '.join(cycle)}", len(cycle)) for cycle in found)]
    meaning = "Groups of core modules each of which imports all others of the group, directly or through others."
    return Section("cycles", meaning, ("cycles of imports", "count"), rows)


def command_modules(code: Code) -> Section:
    """Count the lines of modules that only the commands of the group lead to."""
    homes = command_homes(code.core)
    package = {homes[name].partition(".")[0] for name in GROUP if name in homes}
    modules = {module.name: module for module in code.core if module.name.partition(".")[0] in package}
    graph = import_graph(modules.values(), ["load", "call"])
    ours = reachable(graph, {homes[name] for name in GROUP if name in homes})
    others = {home for name, home in homes.items() if name not in GROUP and home in modules}
    alone = sorted(ours - reachable(graph, others))
    rows: list[Row] = [("lines of code", sum(len(modules[name].code) for name in alone)), ("modules", len(alone))]
    rows += [(f"  {name}", len(modules[name].code)) for name in alone]
    meaning = (
        f"Modules of their package that {', '.join(GROUP)} (those that are commands) lead to by imports, "
        "and no other command of it does."
    )
    return Section("commands", meaning, ("behind these commands only", "count"), rows)


def command_homes(modules: Iterable[Module]) -> dict[str, str]:
    """Find the functions that are decorated as commands: command -> module."""
    return {
        _command_name(decorator, function): module.name
        for module in modules
        for function in functions(module.tree)
        for decorator in function.decorator_list
        if isinstance(decorator, ast.Call) and name_of(decorator.func) == "command"
    }


def _command_name(decorator: ast.Call, function: Function) -> str:
    match decorator.args:
        case [ast.Constant(value=str(name)), *_]:
            return name
        case _:
            return function.name


# --- Names and functions ----------------------------------------------------------------------------------------------


def repeated_names(code: Code) -> Section:
    """Find the public names that several modules of the core define."""
    homes: defaultdict[str, list[str]] = defaultdict(list)
    for module in code.core:
        for name in public_names(module.tree):
            homes[name].append(module.name)
    repeated = {name: where for name, where in homes.items() if len(where) > 1}
    rows: list[Row] = [("names", len(repeated), "")]
    rows += [
        (f"  {name}", len(where), " ".join(where))
        for name, where in sorted(repeated.items(), key=lambda pair: (-len(pair[1]), pair[0]))
    ]
    meaning = "Names without underscore of classes, functions and type aliases that several core modules define."
    return Section("names", meaning, ("defined more than once", "count", "modules"), rows)


def public_names(tree: ast.Module) -> set[str]:
    """Classes, functions and type aliases that a module defines; an alias is capitalised, and no constant is.

    An implementation of a hook has the hook's name, and is left out.
    """
    names: set[str] = set()
    for node in tree.body:
        match node:
            case ast.FunctionDef(decorator_list=[ast.Name(id="hookimpl")]):
                pass
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
                is_type_variable = name_of(node.value) in {"TypeVar", "ParamSpec"} if node.value else False
                names |= {name} if name[:1].isupper() and not name.isupper() and not is_type_variable else set()
            case _:
                pass
    return {name for name in names if not name.startswith("_")}


def function_figures(code: Code) -> Section:
    """Measure length, annotations and docstrings of all functions, and count casts."""
    every = [(module, function) for module in code.modules for function in all_functions(module.tree)]
    lengths = sorted((module.lines_of(function), f"{module.name}.{function.name}") for module, function in every)
    sizes = [length for length, _ in lengths]
    longest, name = lengths[-1] if lengths else (0, "none")
    documented = [has for module in code.modules for has in docstrings(module)]
    rows: list[Row] = [
        ("functions and methods", len(every)),
        ("median of lines", statistics.median(sizes) if sizes else 0),
        ("90th percentile of lines", percentile(sizes, 90)),
        (f"longest: {name}", longest),
        ("% wholly annotated", _percent(sum(is_annotated(function) for _, function in every), len(every))),
        ("% of public things with a docstring", _percent(sum(documented), len(documented))),
        ("calls of cast", sum(is_cast(node) for module in code.modules for node in ast.walk(module.tree))),
    ]
    meaning = (
        "Functions and methods of all sources: lines of code from `def` on; annotations of the result and all "
        "parameters but self and cls; docstrings of public modules, classes, functions and methods."
    )
    return Section("functions", meaning, ("of all sources", "figure"), rows)


def all_functions(tree: ast.Module) -> list[Function]:
    """Functions and methods, those inside functions too."""
    return [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]


def percentile(ordered: Sequence[int], percent: int) -> int:
    """Return the smallest number that at least `percent` of the numbers, which are in order, do not exceed."""
    return ordered[max(-(-len(ordered) * percent // 100) - 1, 0)] if ordered else 0


def is_annotated(function: Function) -> bool:
    """Whether the result and all parameters have an annotation; self and cls need none."""
    open_ = [each.arg for each in parameters(function) if each.annotation is None]
    return function.returns is not None and open_ in ([], ["self"], ["cls"])


def is_cast(node: ast.AST) -> bool:
    """Whether it is a call of `cast` or `typing.cast`."""
    return isinstance(node, ast.Call) and ast.unparse(node.func) in {"cast", "typing.cast"}


def docstrings(module: Module) -> Iterator[bool]:
    """Tell of the module, if it is public, and of everything public in it whether it has a docstring."""
    if module.name.rpartition(".")[2].startswith("_"):
        return
    yield ast.get_docstring(module.tree) is not None
    for node in module.tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and _needs_docstring(node):
            yield ast.get_docstring(node) is not None
            inner = methods(node) if isinstance(node, ast.ClassDef) else []
            yield from (ast.get_docstring(each) is not None for each in inner if _needs_docstring(each))


def _needs_docstring(node: Function | ast.ClassDef) -> bool:
    overloads = {"overload", "setter"}
    if node.name.startswith("test_"):  # its name is a sentence
        return False
    return not node.name.startswith("_") and overloads.isdisjoint(map(name_of, node.decorator_list))


# --- The table --------------------------------------------------------------------------------------------------------

MEASURES = (
    flat_files,
    kind_checks,
    roles,
    overhead,
    trainers,
    faces,
    repeated_names,
    function_figures,
    import_cycles,
    command_modules,
)


def as_text(sections: Iterable[Section]) -> str:
    """Write each section: what is counted, then its rows."""
    return "\n".join(
        line for section in sections for line in (*textwrap.wrap(section.meaning, 118), *_table(section), "")
    )


def _table(section: Section) -> Iterator[str]:
    """Align columns of figures to the right, columns with words to the left."""
    columns = [[title, *map(_shown, cells)] for title, cells in _columns(section)]
    words = [any(isinstance(cell, str) and cell for cell in cells) for _, cells in _columns(section)]
    widths = [max(map(len, column)) for column in columns]
    for row in zip(*columns, strict=True):
        cells = zip(row, widths, words, strict=True)
        yield "    " + "  ".join(f"{cell:{'<' if left else '>'}{width}}" for cell, width, left in cells).rstrip()


def _columns(section: Section) -> list[tuple[str, list[Cell]]]:
    return [(title, [row[number] for row in section.rows]) for number, title in enumerate(section.columns)]


def _shown(cell: Cell) -> str:
    return f"{cell:,}" if isinstance(cell, int) else str(cell)


def as_data(sections: Iterable[Section]) -> dict[str, object]:
    """Map the key of each section to its meaning and its rows."""
    return {
        section.key: {
            "meaning": section.meaning,
            "rows": [dict(zip(section.columns, row, strict=True)) for row in section.rows],
        }
        for section in sections
    }


def main() -> None:
    """Measure everything and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parents[1])
    parser.add_argument("--json", action="store_true", dest="as_json")
    arguments = parser.parse_args()
    code = Code(arguments.root)
    if not code.core or not code.plugins:
        raise SystemExit(f"{arguments.root} is not a checkout: expected packages in {CORE} and plugins/*/src")
    sections = [measure(code) for measure in MEASURES]
    sys.stdout.write(json.dumps(as_data(sections), indent=2) + "\n" if arguments.as_json else as_text(sections))


if __name__ == "__main__":
    main()
