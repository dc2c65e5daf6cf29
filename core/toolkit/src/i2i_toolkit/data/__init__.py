"""Data sets in the layouts people already have on disk, as pure functions of the sample's position."""

from i2i_toolkit.data.augment import augment, to_tensor
from i2i_toolkit.data.unpaired import UnpairedFolders, write_unpaired_example

__all__ = ["UnpairedFolders", "augment", "to_tensor", "write_unpaired_example"]
