"""Text for people: durations, counts, names, and text from outside that is made safe to print."""

from __future__ import annotations

import shlex
import unicodedata
from collections.abc import Sequence

_LONGEST = 80
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})  # controls, direction marks, line separators


def printable(text: str, longest: int = _LONGEST) -> str:
    """Return a text from outside with control characters escaped, shortened if it is longer than `longest`."""
    shown = "".join(
        character if unicodedata.category(character) not in _HIDDEN else f"\\u{ord(character):04x}"
        for character in text[: longest + 1]
    )
    return shown if len(text) <= longest else shown[:longest] + "…"


def duration(seconds: float) -> str:
    """Return a duration in its two largest units: `42 s`, `3 min 20 s`, `2 h 10 min`, `4 d 3 h`."""
    whole = round(seconds)
    if whole < 1:
        return "0 s" if seconds <= 0 else "1 s"
    parts: list[str] = []
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)):
        count, whole = divmod(whole, length)
        if count or parts:
            parts.append(f"{count} {unit}" if count else "")
        if len(parts) == 2:
            break
    return " ".join(filter(None, parts))


def count(number: int, noun: str) -> str:
    """Return a number with its noun: `1 org`, `2 orgs`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def some(names: Sequence[str], shown: int = 3) -> str:
    """Return the first names, and how many more there are: `a, b, c and 4 more`."""
    more = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {more} more" if more > 0 else "")


def shell_word(text: str) -> str:
    """Return a text as a shell reads it back; what would not be seen is spelled out (`$'…'`: bash and zsh know it)."""
    if printable(text, len(text)) == text:
        return shlex.quote(text)
    spelled = "".join(
        f"\\U{ord(character):08x}"
        if printable(character) != character
        else f"\\{character}"
        if character in "\\'"
        else character
        for character in text
    )
    return f"$'{spelled}'"
