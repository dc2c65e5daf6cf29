"""Weights by name: the catalogue, the local store, and loading into a model."""
