"""Which of the toolkit's layouts a folder or an image has, whoever is going to read it."""

from __future__ import annotations

from pathlib import Path

from i2i_registry.interfaces.data import DataLayout
from i2i_toolkit.data.attributes import AttributesLayout
from i2i_toolkit.data.domains import DomainsLayout
from i2i_toolkit.data.flat import FlatLayout
from i2i_toolkit.data.paired import PairedLayout
from i2i_toolkit.data.segmented import SegmentedLayout
from i2i_toolkit.data.single import SingleImageLayout
from i2i_toolkit.data.unpaired import UnpairedLayout

LAYOUTS: tuple[type[DataLayout], ...] = (
    PairedLayout,
    UnpairedLayout,
    DomainsLayout,
    SingleImageLayout,
    FlatLayout,
    SegmentedLayout,
    AttributesLayout,
)
"""the toolkit's own; a plugin may bring another"""


def recognise(root: Path) -> frozenset[type[DataLayout]]:
    """Return the toolkit's layouts that `root` has.

    Two images side by side are a pair below train/ only: alone in `root` itself, and given as a file, they are one
    image.
    """
    return frozenset(layout for layout in LAYOUTS if layout.recognises(root))
