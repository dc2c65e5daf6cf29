"""The commands of the toolkit: `train`, `keep` and `measure`."""
