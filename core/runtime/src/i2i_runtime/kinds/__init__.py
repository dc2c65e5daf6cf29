"""The kinds of input that an operation may have, one file each."""
