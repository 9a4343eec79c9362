"""Whether a text shows a piece of a secret."""

from __future__ import annotations

from urllib.parse import unquote

LONGEST = 3  # characters: a longer piece is a find


def pieces_in(text: str, secret: str) -> list[str]:
    """Return the pieces of a secret, longer than three characters, that a text shows, escaped or not."""
    shown = text + unquote(text)
    pieces = {secret[at : at + LONGEST + 1] for at in range(len(secret) - LONGEST)}
    return sorted(piece for piece in pieces if piece in shown)
