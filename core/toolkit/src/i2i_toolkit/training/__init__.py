"""A training as a person runs it: the run folder, progress, curves, samples, costs, and saving its weights."""
