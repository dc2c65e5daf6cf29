"""The training engine: stages and phases, one optimizer step at a time, on any device, resumable bit for bit."""
