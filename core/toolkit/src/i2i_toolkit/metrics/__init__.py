"""How good results are: feature networks and measures."""
