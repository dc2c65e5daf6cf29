from __future__ import annotations

import pytest

from .adapters import Adapter, find_adapters, mutations_of
from .recording import Recording
from .test_parity import FOLDER, KNOWN

MUTATIONS = [(adapter, name) for adapter in find_adapters() for name in mutations_of(adapter)]


@pytest.mark.skipif(not KNOWN, reason=f"no recordings at {FOLDER}")
@pytest.mark.parametrize(("adapter", "name"), MUTATIONS, ids=[f"{a.PAPER}: {name}" for a, name in MUTATIONS])
def test_the_recordings_notice(adapter: Adapter, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [path for path, owner in KNOWN if owner is adapter]
    mutations_of(adapter)[name](monkeypatch)
    assert any(not row.ok for path in paths for row in adapter.check(Recording.read(path)))
