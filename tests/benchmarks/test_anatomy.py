"""`make anatomy` gives the known figures of small sources."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from types import ModuleType

    from benchmarks.anatomy import Section

ROOT = Path(__file__).resolve().parents[2]

KINDS = """
class Record: ...

class InputKind(Record): ...

class Sized(InputKind): ...

class ImageInput(InputKind):
    kind: Literal["image"] = "image"

class SizeInput(Sized):
    kind: Literal["size"] = "size"

class GraphInput(Record):
    name: str

class KeyInput:
    kind: Literal["key"] = "key"

def own(value): return isinstance(value, ImageInput)
"""

USER = """
def told(value):
    match value:
        case kinds.ImageInput():
            return 1
        case SizeInput() | GraphInput():
            return 2
        case GraphInput():
            return 3
    return isinstance(value, (int, SizeInput)) or isinstance(value, GraphInput)
"""

BY_WORD = """
def told(value, case):
    if value.kind == "image" or case.kind == "images":
        return 1
    if case.kind == "key":
        return 2
    if "size" != value.noun():
        return 3
    if value.kind in {"image", "size"}:
        return 4
    if type(value) is kinds.SizeInput:
        return 5
    kind = value.name
    if value.name == "image" or kind == "image":
        return 6
    match value.kind:
        case "image" | "images":
            return 7
        case "images":
            return 8
"""

TRAINER = '''"""Not a line of code."""
from toy import (
    model,
)

# nor is this


class Options:
    rate: float = 0.1
    """nor this"""


class ToyTrainer(Trainer[Options]):
    def __init__(self, model):
        check(model)

    def stages(self):
        return shared()

    def preview(self):
        return make(self.losses, shared)

    def rate(self, step: Step):
        return shared() + step

    def losses(self, step):
        return step


def check(model):
    return shared()


def make(*parts):

    return parts


def shared():
    return 1
'''


@pytest.fixture
def anatomy(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("anatomy")


def write(root: Path, files: dict[str, str]) -> Path:
    for place, text in files.items():
        path = root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def figures(section: Section) -> dict[str, tuple[object, ...]]:
    """First cell of each row -> the others."""
    return {str(first).strip(): tuple(rest) for first, *rest in section.rows}


def test_flat_files_and_sub_packages_of_every_core_package(anatomy: ModuleType, tmp_path: Path) -> None:
    low, high = "core/low/src/low", "core/high/src/high"
    write(
        tmp_path,
        {
            f"{low}/__init__.py": "",
            f"{low}/a.py": "",
            f"{low}/b.py": "",
            f"{low}/room/__init__.py": "",
            f"{low}/room/inner/__init__.py": "",
            f"{low}/data/not_a_room.txt": "",
            f"{high}/__init__.py": "",
        },
    )
    assert figures(anatomy.flat_files(anatomy.Code(tmp_path))) == {"low": (2, 1), "high": (0, 0)}


def test_kinds_are_told_apart_outside_their_own_files(anatomy: ModuleType, tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "core/low/src/low/__init__.py": "",
            "core/low/src/low/kinds.py": KINDS,
            "core/low/src/low/user.py": USER,
            "core/low/src/low/by_word.py": BY_WORD,
            "plugins/toy/src/toy/model.py": "found = [v for v in x if isinstance(v, ImageInput)]\n",
            "plugins/toy/tests/test_toy.py": "isinstance(v, ImageInput)\n",
        },
    )
    found = figures(anatomy.kind_checks(anatomy.Code(tmp_path)))
    assert (found["lines"], found["files"], found["kinds"]) == ((9,), (3,), (3,))
    assert found["core/low/src/low/user.py"] == (3,)
    assert found["core/low/src/low/by_word.py"] == (5,)


def test_lines_of_plugins_by_role_and_plumbing(anatomy: ModuleType, tmp_path: Path) -> None:
    interface = (
        "class Trainer:\n    def __init__(self): ...\n    def stages(self): ...\n    def preview(self): ...\n"
        "    def rate(self, s: Step): ...\n"
    )
    write(
        tmp_path,
        {
            "core/low/src/low/trainer.py": interface,
            "plugins/toy/src/toy/__init__.py": "import low\nCARD = 1\n",
            "plugins/toy/src/toy/trainer.py": TRAINER,
            "plugins/toy/src/toy/networks/deep/one.py": "x = '''a\nb'''\n",
            "plugins/toy/src/toy/model.py": "import low\n\n\ndef graphs():\n    '''Text.'''\n    return {\n\n    }\n",
            "plugins/toy/src/toy/official.py": (
                "class Format:\n    def example(self): return key()\n    def read(self): return 1\n"
                "def key():\n    pass\n"
            ),
            "plugins/toy/src/toy/strange.py": "y = 1\n",
            "plugins/toy/tests/recorded.py": "# text\nz = 1\n",
        },
    )
    code = anatomy.Code(tmp_path)
    by_role = anatomy.roles(code)
    assert by_role.columns == (
        "plugin",
        "paper",
        "trainer",
        "wiring",
        "config",
        "card",
        "official",
        "data",
        "other",
        "all",
    )
    assert figures(by_role)["toy"] == (2, 22, 4, 0, 2, 5, 0, 1, 36)
    # 22 lines: 3 of the import; __init__, preview, check and make have 2 each; the rest is the paper's or shared.
    assert figures(anatomy.trainers(code)) == {"toy": (22, 11, 50.0, 1), "all": (22, 11, 50.0, 1)}
    # imports 1 + 3 + 1, card 1, wiring 3, plumbing 8, example 1 + 2
    assert figures(anatomy.overhead(code))["toy"] == (5, 1, 3, 8, 3, 20)


def test_imports_of_faces_and_of_what_is_inside(anatomy: ModuleType, tmp_path: Path) -> None:
    page = "Text\n\n```python\nfrom low import name\nimport low.inner\n```\n\n```python\nfrom low import (\n```\n"
    write(
        tmp_path,
        {
            "core/low/src/low/__init__.py": "",
            "core/low/src/low/inner.py": "",
            "plugins/toy/src/toy/model.py": (
                "import os\nimport low\nfrom low import Name\nfrom low import Name, inner\nfrom low.inner import x\n"
                "if TYPE_CHECKING:\n    from low import inner as other\ndef f():\n    import low.inner as i\n"
            ),
            "docs/deep/page.md": page,
            "examples/a.py": "import lower\n",
            "core/low/src/low/authoring/templates/paper/model.py": "from low import Name\nimport low.inner\n",
        },
    )
    found = figures(anatomy.faces(anatomy.Code(tmp_path)))
    assert found == {
        "plugins": (2, 4),
        "tests of plugins": (0, 0),
        "code blocks of pages": (1, 1),
        "examples": (0, 0),
        "templates of plugins": (1, 1),
        "all": (4, 6),
    }


def test_whatever_an_author_reads_imports_from_faces_only(anatomy: ModuleType) -> None:
    """Types too, and tests, pages and templates, none of which import-linter sees."""
    found = figures(anatomy.faces(anatomy.Code(ROOT)))
    assert {name: inner for name, (_, inner) in found.items() if inner} == {}
    assert all(of_faces for of_faces, _ in found.values())


def test_names_that_several_modules_define(anatomy: ModuleType, tmp_path: Path) -> None:
    one = (
        "from x import Again\nclass Twice: ...\ndef thrice(): ...\nAlias = dict[str, int]\nLIMIT = 1\ndef _own(): ...\n"
    )
    two = "class Again: ...\nTwice: TypeAlias = int\ndef thrice(): ...\nLIMIT = 1\nT = TypeVar('T')\ndef _own(): ...\n"
    two += "@hookimpl\ndef hook(): ...\n"
    one += "def hook(): ...\n"
    three = "Alias = 1\nItem = TypeVar('Item')\ndef thrice(): ...\nclass Owner:\n    def once(self): ...\n"
    write(
        tmp_path,
        {"core/a/src/a/one.py": one, "core/a/src/a/two.py": two, "core/b/src/b/three.py": three + "T = TypeVar('T')\n"},
    )
    assert figures(anatomy.repeated_names(anatomy.Code(tmp_path))) == {
        "names": (3, ""),
        "thrice": (3, "a.one a.two b.three"),
        "Alias": (2, "a.one b.three"),
        "Twice": (2, "a.one a.two"),
    }


def test_functions_annotations_docstrings_and_casts(anatomy: ModuleType, tmp_path: Path) -> None:
    text = '''"""A module."""

class Public:
    """Text."""

    def method(self, a: int) -> int:
        """Text.

        More.
        """
        # a comment
        return cast("int", a)

    def bare(self, a) -> None: ...

    def _own(self): ...


def test_that_it_holds() -> None: ...


@overload
def several(a: int) -> int: ...
def several(a: int, *rest: int) -> int:
    """Text."""
    def inner(b: int): return (
        b.cast(),
        typing.cast("int", b),
    )
    return inner(a)
'''
    write(tmp_path, {"core/a/src/a/one.py": text, "core/a/src/a/_own.py": "def f() -> None: ...\n"})
    found = figures(anatomy.function_figures(anatomy.Code(tmp_path)))
    assert found == {
        "functions and methods": (8,),
        "median of lines": (1,),  # 1 1 1 1 1 2 4 6
        "90th percentile of lines": (6,),
        "longest: a.one.several": (6,),
        "% wholly annotated": (62.5,),  # all but bare, _own and inner
        "% of public things with a docstring": (80.0,),  # all but bare: module, class, two methods, several; no test
        "calls of cast": (2,),
    }


@pytest.mark.parametrize(("count", "expected"), [(0, 0), (1, 1), (9, 9), (10, 9), (11, 10), (100, 90)])
def test_the_percentile_is_the_nearest_rank(anatomy: ModuleType, count: int, expected: int) -> None:
    assert anatomy.percentile(range(1, count + 1), 90) == expected


def test_cycles_of_imports(anatomy: ModuleType, tmp_path: Path) -> None:
    source = "core/a/src/a"
    write(
        tmp_path,
        {
            f"{source}/__init__.py": "if TYPE_CHECKING:\n    from a.one import x\n",
            f"{source}/one.py": "from . import two\n",
            f"{source}/two.py": "from .deep.three import x\n",
            f"{source}/deep/three.py": "from ..one import y\nimport a.four\n",
            f"{source}/four.py": "def f():\n    from a.five import x\n",
            f"{source}/five.py": "class C:\n    import a.four\nif TYPE_CHECKING:\n    from a import five\n",
        },
    )
    assert figures(anatomy.import_cycles(anatomy.Code(tmp_path))) == {
        "at import": (1,),
        "a.deep.three a.one a.two": (3,),
        "also in functions and for types": (1,),
        "a.five a.four": (2,),
    }


def test_what_only_some_commands_lead_to(anatomy: ModuleType, tmp_path: Path) -> None:
    source = "core/a/src/a"
    write(
        tmp_path,
        {
            f"{source}/cli/run.py": "from a import work, shared\n@click.command(cls=X)\ndef run():\n    pass\n",
            f"{source}/cli/sheets.py": "@click.command('grid')\ndef of_many():\n    import a.late\n",
            f"{source}/cli/export.py": "from a.shared import x\n@command()\ndef export(): ...\n",
            f"{source}/work.py": "x = 1\nfrom a.shared import y\n",
            f"{source}/late.py": "x = 1\n",
            f"{source}/shared.py": "x = 1\n",
            f"{source}/alone.py": "x = 1\n",
            "core/b/src/b/cli.py": "import a.late\n@click.command()\ndef train(): ...\n",
        },
    )
    assert figures(anatomy.command_modules(anatomy.Code(tmp_path))) == {
        "lines of code": (10,),
        "modules": (4,),
        "a.cli.run": (4,),
        "a.cli.sheets": (3,),
        "a.late": (1,),
        "a.work": (2,),
    }


def test_the_table_aligns_figures_right_and_words_left(anatomy: ModuleType) -> None:
    rows = [("a", 1234, ""), ("long", 5, "words")]
    section = anatomy.Section(key="k", meaning="What it is.", columns=("name", "count", "notes"), rows=rows)
    assert anatomy.as_text([section]) == (
        "What it is.\n    name  count  notes\n    a     1,234\n    long      5  words\n"
    )
    assert anatomy.as_data([section])["k"]["rows"][0] == {"name": "a", "count": 1234, "notes": ""}


def test_every_figure_of_this_checkout_can_be_measured(
    anatomy: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["anatomy.py"])
    anatomy.main()
    text = capsys.readouterr().out
    assert all(name in text for name in ("i2i_runtime", "stargan2", "calls of cast"))


def test_a_folder_that_is_not_a_checkout_is_refused(
    anatomy: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("sys.argv", ["anatomy.py", "--root", str(tmp_path)])
    with pytest.raises(SystemExit, match="not a checkout"):
        anatomy.main()


def test_nobody_outside_the_kinds_of_input_asks_which_kind_it_has(anatomy: ModuleType) -> None:
    counted = {str(row[0]): row[1] for row in anatomy.kind_checks(anatomy.Code(ROOT)).rows}
    assert counted["lines"] == 0
    assert counted["kinds"] > 8, "the kinds are not found"
