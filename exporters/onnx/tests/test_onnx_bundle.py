"""A bundle's folder appears whole, made by one process at a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from i2i_exporter_onnx.bundle import appearing
from i2i_registry.errors import ExportError
from i2i_runtime.errors import UsageError


def test_a_second_export_to_one_place_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    place = tmp_path / "new" / "bundle"
    with appearing(place) as folder:
        with pytest.raises(ExportError, match="another process is making"), appearing(place):
            pytest.fail("two at once")
        (folder / "x").write_text("whole")
    assert [path.name for path in place.iterdir()] == ["x"]
    with pytest.raises(UsageError, match="exists already"), appearing(place):
        pytest.fail("over what is there")
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
