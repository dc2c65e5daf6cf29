"""The adapters: one file per plugin that knows how its paper's recordings are computed with our code."""

from __future__ import annotations

import importlib.util
import math
import sys
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Protocol, cast

import torch
from safetensors import SafetensorError

from .comparison import Row
from .mutating import Mutation
from .recording import Recording, read_metadata

REPOSITORY = Path(__file__).resolve().parents[2]
DEFAULT_FOLDER = REPOSITORY.parent / "shared" / "parity"

MESSAGE = 200
"""letters of an exception that the table shows"""


class Adapter(Protocol):
    """The module plugins/<name>/tests/recorded.py.

    Where one repository holds the code of several papers, it may have MARK: an option that only its recordings have.
    """

    __file__: str
    PAPER: str
    SOURCE: str

    def kind_of(self, recording: Recording) -> str:
        """Which of the adapter's kinds of recordings it is, told from its keys and metadata."""
        ...

    def check(self, recording: Recording) -> Iterator[Row]:
        """Compute what was recorded and compare."""
        ...


class Mutations(Protocol):
    """The module plugins/<name>/tests/mutations.py."""

    MUTATIONS: Mapping[str, Mutation]


def find_adapters() -> list[Adapter]:
    """Every adapter below plugins/, imported."""
    return [cast("Adapter", _load(path)) for path in sorted(REPOSITORY.glob("plugins/*/tests/recorded.py"))]


def mutations_of(adapter: Adapter) -> Mapping[str, Mutation]:
    """The mutations beside an adapter; none where there is no such file."""
    path = Path(str(adapter.__file__)).with_name("mutations.py")
    return cast("Mutations", _load(path)).MUTATIONS if path.is_file() else {}


def adapter_for(path: Path, adapters: Sequence[Adapter]) -> Adapter | None:
    """The adapter of a recorded file: by its folder, or by the repository it was recorded from. Reads no tensor.

    The folder comes first, because one repository may hold the code of several papers; without it, MARK tells.
    """
    by_folder = next((a for a in adapters if path.parent.name == a.PAPER), None)
    if by_folder is not None:
        return by_folder
    try:
        metadata = read_metadata(path)
    except (OSError, SafetensorError):
        return None
    source = metadata.get("source", "").split("@")[0]
    of_source = [a for a in adapters if source == a.SOURCE]
    marked = (a for a in of_source if _mark(a) and f'"{_mark(a)}"' in metadata.get("config", ""))
    return next(marked, next((a for a in of_source if not _mark(a)), None))


def _mark(adapter: Adapter) -> str:
    return str(getattr(adapter, "MARK", ""))


def find_files(folder: Path) -> list[Path]:
    """Every recorded file below `folder`."""
    return sorted(folder.rglob("*.safetensors"))


def check_file(path: Path, adapters: Sequence[Adapter]) -> list[Row] | None:
    """All rows of one file, or None where no plugin has an adapter for it.

    A file that cannot be read or computed is one failing row more, which says why in the first line of the exception.
    """
    adapter = adapter_for(path, adapters)
    if adapter is None:
        return None
    label = f"{path.parent.name}/{path.stem}"
    rows: list[Row] = []
    try:
        recording = Recording.read(path)
        rows.extend(check_all(adapter, recording))
    except Exception as error:
        rows.append(failure(error))
    return [replace(row, file=label) for row in rows]


def check_all(adapter: Adapter, recording: Recording) -> Iterator[Row]:
    """All comparisons of one file, and a failing row for each tensor and each option that none of them covers."""
    with one_thread():
        yield from adapter.check(recording)
        yield from recording.left_over()


@contextmanager
def one_thread() -> Generator[None]:
    """Compute on one thread, as the recordings were: several sum in another order.

    What rounding turns round in one update moves the gradients of the next one, so a step of two updates would be off
    by a quarter of the learning rate.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def is_missed(adapter: Adapter, recording: Recording) -> bool:
    """Whether a recording has a failing row, of which an exception of any kind is one, as in the table."""
    try:
        return any(not row.ok for row in check_all(adapter, recording))
    except Exception:
        return True


def failure(error: Exception) -> Row:
    """The row of a file that ended in an exception."""
    said = str(error).strip().partition("\n")[0]
    return Row(f"{type(error).__name__}: {said}"[:MESSAGE], math.inf, 0.0)


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
