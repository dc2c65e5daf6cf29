"""Data sets in the layouts people already have on disk, as pure functions of the sample's position."""
