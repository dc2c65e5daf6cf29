"""The frames of an animation: from one vector or size to another, or a random walk."""
