"""Data sets in the layouts people already have on disk, as pure functions of the sample's position."""

from i2i_toolkit.data.paired import PairedFolders, write_paired_example
from i2i_toolkit.data.preparation import Preparation
from i2i_toolkit.data.unpaired import UnpairedFolders, write_unpaired_example

__all__ = ["PairedFolders", "Preparation", "UnpairedFolders", "write_paired_example", "write_unpaired_example"]
