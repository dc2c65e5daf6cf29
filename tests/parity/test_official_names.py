"""The tables of names agree with the official code's own state dicts, name for name and shape for shape."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from i2i_conformance.releases import recorded, released
from i2i_registry import canonical_shapes, discover

FACTS = sorted(Path(__file__).parents[2].glob("plugins/*/tests/official_names.json"))
"""A file for each paper: names and shapes of the official code's own state dicts."""


@pytest.mark.parametrize(
    ("file", "checkpoint"),
    [(file, name) for file in FACTS for name in recorded(file)],
    ids=lambda each: Path(each).name,
)
def test_a_recorded_checkpoint_is_known_whole_and_written_with_the_same_names(file: Path, checkpoint: str) -> None:
    registry, name, shapes = discover(), file.parent.parent.name, recorded(file)[checkpoint]
    official = registry.official_format(name)
    assert official is not None
    assert official.may_be(shapes)
    config = official.infer_config(shapes)
    theirs = canonical_shapes(official, shapes)
    left_out = {key for key in theirs if any(re.fullmatch(pattern, key) for pattern, _ in official.left_out)}
    ours = released(official, registry.model_class(name), config)
    assert {key: shape for key, shape in theirs.items() if key in ours or key not in left_out} == ours
