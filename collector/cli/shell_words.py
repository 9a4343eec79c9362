"""The words of a command line as a shell has it while somebody types it, and texts as that shell reads them back.

Pure: knows no command and no config.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

_PLAIN = re.compile(r"([^A-Za-z0-9_@%+=:,./\x80-\U0010ffff-])")  # what isn't plain gets a backslash
_IN_DOUBLE = '"\\$`'  # a backslash before any other character stays, between double quotes


@dataclass(slots=True)
class Typed:
    """What stands before the cursor: whole words, and the one that is being typed.

    `quote` is the quotation mark that is open, and `fixed` how much of the word readline leaves as it is: what stands
    before that mark, or before the last character of COMP_WORDBREAKS that isn't quoted.
    """

    words: list[str] = field(default_factory=list)
    word: str = ""
    quote: str = ""
    fixed: int = 0
    _before_quote: int = 0

    @classmethod
    def of(cls, line: str, *, breaks: str = "", is_fish: bool = False) -> Typed:
        """Read the beginning of a command line. In fish, a backslash counts also between single quotes."""
        typed, began = cls(), False
        characters = iter(line)
        for one in characters:
            if one.isspace() and not typed.quote:
                if began:
                    typed.words.append(typed.word)
                typed.word, typed.fixed, began = "", 0, False
                continue
            began = True
            typed._read(one, characters, breaks, is_fish=is_fish)
        return typed

    def _read(self, one: str, rest: Iterator[str], breaks: str, *, is_fish: bool) -> None:
        if one == "\\" and (self.quote != "'" or is_fish):
            escaped = next(rest, "")
            known = {"'": "'\\", '"': _IN_DOUBLE}.get(self.quote, escaped)
            self.word += escaped if escaped in known else one + escaped
        elif one == self.quote:
            self.quote, self.fixed = "", self._before_quote
        elif one in "'\"" and not self.quote:
            self._before_quote = self.fixed
            self.quote, self.fixed = one, len(self.word)
        else:
            self.word += one
            if not self.quote and one in breaks:
                self.fixed = len(self.word)


def for_bash(text: str, quote: str = "") -> str:
    """Return a text as bash reads it back, after an open quotation mark if there is one: readline closes it."""
    if quote == "'":
        return text.replace("'", "'\\''")
    if quote == '"':
        return re.sub(r'(["\\$`])', r"\\\1", text).replace("!", "\"'!'\"")
    return _PLAIN.sub(r"\\\1", text)
