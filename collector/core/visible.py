"""Text from outside in the JSON that we write: no character of it steers the terminal on which somebody reads the JSON.

JSON escapes the controls below U+0020 only. Names come from the API and from configs, and may contain others: DEL and
C1 controls (U+009B begins a terminal's command), marks that turn the direction of text, and line separators.
"""

from __future__ import annotations

import re

# U+007F to U+009F, U+061C, U+200E, U+200F, U+2028 to U+202E and U+2066 to U+2069 in UTF-8
_STEERING = re.compile(rb"\x7f|\xc2[\x80-\x9f]|\xd8\x9c|\xe2(?:\x80[\x8e\x8f\xa8-\xae]|\x81[\xa6-\xa9])")


def visible(encoded: bytes) -> bytes:
    r"""Return JSON in UTF-8 with these characters as escapes (`\u009b`): the value that a parser reads stays the same.

    Outside its texts, JSON is ASCII without DEL, so every such character stands in a text. A record of ASCII costs
    about 20 ns, any other 1 µs.
    """
    if encoded.isascii() and b"\x7f" not in encoded:
        return encoded
    return _STEERING.sub(lambda found: f"\\u{ord(found[0].decode()):04x}".encode(), encoded)
