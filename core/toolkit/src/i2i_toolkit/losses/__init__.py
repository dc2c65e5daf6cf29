"""Losses that more than one paper uses, as pure functions; all compute in fp32 and return a scalar."""
