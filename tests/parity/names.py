"""Our names of recorded tensors, by a format's table."""

from __future__ import annotations

from i2i_registry import NameTable, rename


def our_name(table: NameTable, key: str, network: str = "") -> str:
    """Our name, inside `network`, of an official tensor. Raises LookupError for one that the table has no row for."""
    name = rename(table, key)
    if name is None:
        raise LookupError(f"the table has no row for {key}")
    return name.removeprefix(f"{network}.")
