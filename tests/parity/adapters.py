"""The adapters: one file per plugin that knows how its paper's recordings are computed with our code."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Protocol, cast

import pytest

from .judging import Row
from .recording import Recording, read_metadata

REPOSITORY = Path(__file__).resolve().parents[2]
DEFAULT_FOLDER = REPOSITORY.parent / "shared" / "parity"


class Adapter(Protocol):
    """The module plugins/<name>/tests/recorded.py."""

    __file__: str
    PAPER: str
    SOURCE: str

    def check(self, recording: Recording) -> Iterator[Row]:
        """Compute what was recorded and compare."""
        ...


class Mutations(Protocol):
    """The module plugins/<name>/tests/mutations.py."""

    MUTATIONS: Mapping[str, Callable[[pytest.MonkeyPatch], None]]


def find_adapters() -> list[Adapter]:
    """Every adapter below plugins/, imported."""
    return [cast("Adapter", _load(path)) for path in sorted(REPOSITORY.glob("plugins/*/tests/recorded.py"))]


def mutations_of(adapter: Adapter) -> Mapping[str, Callable[[pytest.MonkeyPatch], None]]:
    """The mutations beside an adapter; none where there is no such file."""
    path = Path(str(adapter.__file__)).with_name("mutations.py")
    return cast("Mutations", _load(path)).MUTATIONS if path.is_file() else {}


def adapter_for(path: Path, adapters: Sequence[Adapter]) -> Adapter | None:
    """The adapter of a recorded file: by its folder, or by the repository it was recorded from. Reads no tensor.

    The folder comes first, because one repository may hold the code of several papers.
    """
    source = read_metadata(path).get("source", "").split("@")[0]
    by_folder = (a for a in adapters if path.parent.name == a.PAPER)
    by_source = (a for a in adapters if source == a.SOURCE)
    return next(by_folder, next(by_source, None))


def find_files(folder: Path) -> list[Path]:
    """Every recorded file below `folder`."""
    return sorted(folder.rglob("*.safetensors"))


def check_all(adapter: Adapter, recording: Recording) -> list[Row]:
    """All comparisons of one file, and a failing row for each tensor that none of them covers."""
    return [*adapter.check(recording), *recording.left_over()]


def _load(path: Path) -> ModuleType:
    """Import one file once, under a name made of the plugin's and its own."""
    name = f"{path.parent.parent.name}_{path.stem}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
