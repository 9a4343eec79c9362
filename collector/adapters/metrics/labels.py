"""Values of labels: closed sets, and texts from outside with a bound on how many there can be."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from collector.errors import REFUSED_CODES

OTHER = "other"
_LONGEST = 100

# What becomes of a request, or why it is made again. Failures' codes carry the API's status, which could be any.
ANSWERED = ("ok", "partial")
_BROKEN = ("echo", "not_json", "shape")
_RETRIABLE = (
    *("rate_limited", "http_408", "http_500", "http_502", "http_503", "http_504", "http_5xx"),
    *("timeout", "connect", "connection_lost", "dns", "tls", "proxy", "truncated", "not_http"),
)
_REJECTED = (
    *("http_400", "http_404", "http_407", "http_413", "http_422", "http_4xx"),
    *("redirect", "tls_certificate", "too_large", "url", "client"),
)
_OURS = ("api_down", "busy", "clock", "defect", "ledger", "lost", "reloaded", "stopped", "window")
WORDS = frozenset({*ANSWERED, *_BROKEN, *_RETRIABLE, *_REJECTED, *_OURS, *REFUSED_CODES, OTHER})


def word_of(code: str) -> str:
    """Return the result or reason that a code counts as: one of `WORDS`, whatever the code is."""
    if code in WORDS:
        return code
    family = f"{code[:6]}xx"
    return family if code.startswith("http_") and family in WORDS else OTHER


@dataclass(slots=True)
class Bounded:
    """Lets the first few distinct texts be labels; all others are one. Remembers which, so that series stay."""

    limit: int
    _known: dict[str, None] = field(default_factory=dict)

    @classmethod
    def of(cls, limit: int, known: Iterable[str] = ()) -> Bounded:
        """Begin with texts that have their place for sure."""
        return cls(limit, dict.fromkeys(known))

    def label(self, text: str) -> str:
        """Return the text, cut where it is endless; or `other`."""
        text = text[:_LONGEST]
        if text not in self._known:
            if len(self._known) >= self.limit:
                return OTHER
            self._known[text] = None
        return text
