"""Every error of the runtime; the other distributions derive theirs from `I2IError`.

I2IError                what was found, what was expected, what to do
├── UsageError          the caller asked for something that does not exist or does not fit
│   ├── OptionError     a value of an operation's input is unknown or out of range
│   │   └── UnknownOperationError   the bundle has no operation of that name
│   ├── DeviceError     a device or provider was asked for and is not usable here
│   └── ImageError    an image is missing, damaged, none at all, or of a size the model cannot take
├── StorageError        a file cannot be written or read for reasons of the machine: disk full, no permission
├── BundleError         a bundle is damaged, hostile, or newer than this runtime
└── RunError            onnxruntime failed, or a graph returned a wrong shape, or values that are not finite

All of them are raised on purpose; anything else that escapes is a defect.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import ClassVar

from i2i_runtime.untrusted_text import printable


class I2IError(Exception):
    """Base of all our errors: three sentences a person can act on.

    `exit_code` is what a command line returns for it: 1 for a failure, 2 for wrong usage.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, found: str, expected: str = "", fix: str = "") -> None:
        self.found = found
        self.expected = expected
        self.fix = fix
        parts = [found]
        if expected:
            parts.append(f"expected: {expected}")
        if fix:
            parts.append(f"fix: {fix}")
        super().__init__("\n".join(parts))

    def __reduce__(self) -> tuple[type[I2IError], tuple[str, str, str]]:
        # Errors cross process borders (pools of workers), where Exception's own pickling loses the parts.
        return type(self), (self.found, self.expected, self.fix)


class UsageError(I2IError):
    """The request itself is wrong: nothing was tried."""

    exit_code = 2


class OptionError(UsageError):
    """A value given for an input of an operation is unknown, missing or out of range."""


class UnknownOperationError(OptionError, AttributeError):
    """The bundle has no operation of that name; also what `bundle.<name>` raises, so that `hasattr` works."""


class DeviceError(UsageError):
    """The device asked for cannot be used here; the message names what is missing."""


class ImageError(UsageError):
    """An image that was given is missing, damaged or none at all, or has a size that the model cannot take.

    Of many images it concerns one: the others may be fine.
    """


class StorageError(I2IError):
    """The machine failed, not the request: a disk is full or broken, a folder takes no files, too many are open."""


class BundleError(I2IError):
    """A bundle is damaged, hostile, or written for a newer runtime."""


class RunError(I2IError):
    """A graph failed while it ran, or returned a wrong shape, or values that are not finite."""


_MOST_CHOICES, _COMPARED = 50, 1000


def nearest(name: str, choices: Iterable[str]) -> str:
    """Return the choices as one line, the ones closest to `name` first: "did you mean 'ugatit'? (also: ...)".

    They may come from a file of somebody else: each is shown without effect on a terminal, and not all of very many.
    """
    known = sorted(choices)
    if len(known) > _MOST_CHOICES:
        known = [*difflib.get_close_matches(name[:_COMPARED], known[:_COMPARED], n=_MOST_CHOICES, cutoff=0), "..."]
    known = [printable(choice) for choice in known]
    if not known:
        return "there are none"
    # In which case a name is written is no part of how near it is: papers write theirs in capitals.
    near = difflib.get_close_matches(name[:_COMPARED].lower(), [choice.lower() for choice in known], n=1, cutoff=0.5)
    if not near:
        return "one of: " + ", ".join(known)
    close = next(choice for choice in known if choice.lower() == near[0])
    others = [choice for choice in known if choice != close]
    return f"did you mean {close!r}?" + (f" (also: {', '.join(others)})" if others else "")
