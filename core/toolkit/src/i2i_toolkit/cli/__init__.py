"""The commands of the toolkit: `train`, `save` and `measure`."""
