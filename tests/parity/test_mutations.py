from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from .adapters import Adapter, find_adapters, is_missed, mutations_of
from .mutating import Mutation
from .recording import Recording
from .test_parity import FOLDER, KNOWN

MUTATIONS = [(adapter, name) for adapter in find_adapters() for name in mutations_of(adapter)]


@pytest.mark.skipif(not KNOWN, reason=f"no recordings at {FOLDER}")
@pytest.mark.parametrize(("adapter", "name"), MUTATIONS, ids=[f"{a.PAPER}: {name}" for a, name in MUTATIONS])
def test_every_recording_of_the_kind_notices(adapter: Adapter, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    mutation = mutations_of(adapter)[name]
    concerned = list(concerned_by(mutation, adapter))
    if not concerned:
        pytest.skip(f"no recording of {' or '.join(mutation.kinds)} with options with which it shows")
    mutation.apply(monkeypatch)
    blind = [str(path) for path, recording in concerned if not is_missed(adapter, recording)]
    assert not blind


def concerned_by(mutation: Mutation, adapter: Adapter) -> Iterator[tuple[Path, Recording]]:
    """The recordings of an adapter that have to notice."""
    for path, owner in KNOWN:
        if owner is adapter:
            recording = Recording.read(path)
            if adapter.kind_of(recording) in mutation.kinds and mutation.shows(recording.config):
                yield path, recording
