"""Python source as syntax trees: modules, lines of code, imports, and which function calls which; for `anatomy.py`."""

from __future__ import annotations

import ast
import io
import tokenize
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, TypeAlias

Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef
Graph: TypeAlias = Mapping[str, Collection[str]]
"""module -> modules it imports"""

Moment: TypeAlias = Literal["load", "call", "typing"]
"""
load      when the module is imported
call      inside a function
typing    under `if TYPE_CHECKING`
"""

_LAYOUT = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)


@dataclass(frozen=True)
class Module:
    """One file."""

    name: str
    """as it is imported: `package.part`, `package` for its `__init__.py`"""
    path: Path
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        """Its syntax tree."""
        return ast.parse(self.text, str(self.path))

    @cached_property
    def code(self) -> frozenset[int]:
        """Numbers of its lines of code."""
        return code_lines(self.text, self.tree)

    @property
    def place(self) -> str:
        """The package whose names a relative import of one dot starts from."""
        return self.name if self.path.name == "__init__.py" else self.name.rpartition(".")[0]

    def lines_of(self, node: ast.stmt) -> int:
        """Lines of code of a statement."""
        return sum(line in self.code for line in range(node.lineno, (node.end_lineno or node.lineno) + 1))


def read_modules(folder: Path) -> list[Module]:
    """Every module below a folder from which packages are imported, in the order of their names.

    What lies in a folder `templates` is data: new plugins begin with it, and nothing imports it.
    """
    modules: list[Module] = []
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        if "templates" in parts:
            continue
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        modules.append(Module(name, path, path.read_text(encoding="utf-8")))
    return sorted(modules, key=lambda module: module.name)


def code_lines(text: str, tree: ast.Module) -> frozenset[int]:
    """Numbers of the lines that hold code: no blank lines, no comments, no docstrings (of attributes neither)."""
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in _LAYOUT:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines.difference_update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return frozenset(lines)


# --- Names ------------------------------------------------------------------------------------------------------------


def name_of(node: ast.AST) -> str:
    """Return the last name of `name`, `module.name` and `name[...]`; empty for what has none."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Subscript(value=value) | ast.Call(func=value):
            return name_of(value)
        case _:
            return ""


def names_in(node: ast.AST) -> set[str]:
    """All names that occur below a node."""
    return {name_of(each) for each in ast.walk(node) if isinstance(each, (ast.Name, ast.Attribute))}


def calls_in(node: ast.AST) -> list[str]:
    """Names of what is called below a node, once for each call."""
    return [name_of(each) for each in ast.walk(node) if isinstance(each, ast.Call)]


def parameters(function: Function) -> list[ast.arg]:
    """All parameters."""
    given = function.args
    starred = [each for each in (given.vararg, given.kwarg) if each]
    return [*given.posonlyargs, *given.args, *given.kwonlyargs, *starred]


def methods(owner: ast.ClassDef) -> list[Function]:
    """Return the functions in the body of a class."""
    return [each for each in owner.body if isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef))]


def functions(tree: ast.Module) -> list[Function]:
    """Functions of a module and methods of its classes; not those inside functions."""
    found: list[Function] = []
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            found.append(node)
        elif isinstance(node, ast.ClassDef):
            found += methods(node)
    return found


def with_helpers(roots: Iterable[Function], others: Iterable[Function]) -> set[Function]:
    """Return some functions, and those of the others that they call and nobody else mentions.

    Names decide, whatever class they are of; so special methods, which have the same in every class, are no helpers.
    """
    owned, rest = set(roots), set(others)
    rest -= owned
    while True:
        called = {name for function in owned for name in calls_in(function)}
        candidates = {function for function in rest if function.name in called and not function.name.startswith("__")}
        helpers = {
            function
            for function in candidates
            if not any(function.name in names_in(other) for other in rest - {function})
        }
        if not helpers:
            return owned
        owned |= helpers
        rest -= helpers


# --- Imports ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Import:
    """One import statement."""

    base: str
    """`a.b` of `from a.b import c`; empty for `import a.b`"""
    names: tuple[str, ...]
    moment: Moment
    lines: int

    def modules(self, known: Collection[str]) -> set[str]:
        """Which of the known modules it names."""
        named = {(f"{self.base}.{name}", self.base) if self.base else (name, "") for name in self.names}
        return {full if full in known else base for full, base in named} & set(known)


def imports_in(module: Module) -> list[Import]:
    """All import statements of a module."""
    return list(_imports(module.tree, "load", module))


def _imports(node: ast.AST, moment: Moment, module: Module) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.Import(names=aliases):
                yield Import("", tuple(alias.name for alias in aliases), moment, module.lines_of(child))
            case ast.ImportFrom(names=aliases):
                names = tuple(alias.name for alias in aliases)
                yield Import(_base(child, module), names, moment, module.lines_of(child))
            case ast.FunctionDef() | ast.AsyncFunctionDef() if moment == "load":
                yield from _imports(child, "call", module)
            case ast.If(test=test) if name_of(test) == "TYPE_CHECKING":
                yield from _imports(child, "typing", module)
            case _:
                yield from _imports(child, moment, module)


def _base(statement: ast.ImportFrom, module: Module) -> str:
    """Return what a from-import takes from, relative ones resolved."""
    if not statement.level:
        return statement.module or ""
    parts = module.place.split(".")
    above = parts[: len(parts) - statement.level + 1]
    return ".".join([*above, *([statement.module] if statement.module else [])])


def import_graph(modules: Collection[Module], moments: Collection[Moment]) -> dict[str, set[str]]:
    """Which of these modules import which others of them, at these moments."""
    known = {module.name for module in modules}
    graph: dict[str, set[str]] = {}
    for module in modules:
        statements = [each for each in imports_in(module) if each.moment in moments]
        graph[module.name] = {name for each in statements for name in each.modules(known)} - {module.name}
    return graph


def reachable(graph: Graph, starts: Iterable[str]) -> set[str]:
    """Return the starts, and everything they lead to."""
    found: set[str] = set()
    waiting = list(starts)
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting += graph[node]
    return found


def cycles(graph: Graph) -> list[tuple[str, ...]]:
    """Return the groups of modules each of which leads to all others of the group."""
    reached = {node: reachable(graph, graph[node]) for node in graph}
    return sorted({tuple(sorted(other for other in reached[node] if node in reached[other])) for node in graph} - {()})
