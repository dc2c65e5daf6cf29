"""Names and texts that come from files, made safe to print."""

from __future__ import annotations

MOST_SHOWN = 200
"""Characters of an untrusted text that are shown, unless the caller says otherwise."""

_CUT = "..."
# Letters by their category, yet nothing is seen of them.
_INVISIBLE = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0") | frozenset(map(chr, range(0xFE00, 0xFE10)))


def printable(text: str, limit: int = MOST_SHOWN) -> str:
    r"""Return the text on one line, without anything that a terminal obeys, or that hides or turns what is beside it.

    Control characters, line breaks, terminal escapes, marks of direction, invisible characters, lone surrogates and
    characters that Unicode has not assigned are written as in Python source: "\x1b", "\n", "\u202e". Of more than
    `limit` characters the beginning and the end are kept, with "..." between them; an escaped character counts as one.
    """
    if len(text) > limit:
        kept = max(limit - len(_CUT), 2)
        text = text[: kept - kept // 2] + _CUT + text[-(kept // 2) :]
    return "".join(letter if _is_shown(letter) else _escaped(letter) for letter in text)


def _is_shown(letter: str) -> bool:
    return letter.isprintable() and letter not in _INVISIBLE


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape").decode("ascii")
