"""One call of an operation: its arguments, how they are batched, its limits and its results."""
