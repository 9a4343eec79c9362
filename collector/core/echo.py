"""How a message shows what a person wrote. People paste a secret into any option and any key of the config.

Owns that text is shown only if it has the shape of what is expected there.
"""

from __future__ import annotations

import re


def echo(text: str, shape: re.Pattern[str] | None) -> str:
    """Return the text in quotes if it has that shape, else only its length."""
    if not text:
        return "empty text"
    return repr(text) if shape and shape.fullmatch(text) else f"text of {len(text)} character{'s' * (len(text) > 1)}"
