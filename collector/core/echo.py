"""How a message shows what a person wrote. People paste a secret into any option and any key of the config.

Owns that text is shown only if it has the shape of what is expected there.
"""

from __future__ import annotations

import re

# Short words and numbers between separators, as in globs of org names and in paths. Keys and tokens mix letters and
# digits, or have none of the separators.
_WORD = r"(?:(?:[A-Z]?[a-z]{1,15}|[A-Z]{1,8})[0-9]{0,4}|[0-9]{1,8})"
WORD = re.compile(r"[A-Za-z]{1,12}(?:[_-][A-Za-z]{1,12})?")  # one of those that an option or a key has
GLOB = re.compile(rf"(?=.{{1,80}}\Z)(?=.*[*?\[])[-_.*?!\[\]]*(?:{_WORD}(?:[-_.*?!\[\]]+|\Z))*", re.ASCII)
NAME = re.compile(rf"(?=.{{1,80}}\Z)(?:{_WORD}(?:[-_.]+|\Z))*", re.ASCII)
LABEL = re.compile(rf"(?=.{{1,80}}\Z)(?:{_WORD}(?:[-_.=]+|\Z))*", re.ASCII)
PATH = re.compile(rf"(?=.{{1,200}}\Z)[-_./]*(?:{_WORD}(?:[-_./]+|\Z))*", re.ASCII)


def echo(text: str, shape: re.Pattern[str] | None) -> str:
    """Return the text in quotes if it has that shape, else only its length."""
    if not text:
        return "empty text"
    return repr(text) if shape and shape.fullmatch(text) else f"text of {len(text)} character{'s' * (len(text) > 1)}"
