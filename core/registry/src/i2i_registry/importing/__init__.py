"""Checkpoints of official implementations become weights: detected, their Config inferred, renamed, compared."""
