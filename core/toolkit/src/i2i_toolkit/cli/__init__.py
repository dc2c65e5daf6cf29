"""The commands of the toolkit: `train`, `save`, `measure` and `new-plugin`."""
