"""Label values: closed sets, and texts from outside with a limit on their number."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from collector.errors import REFUSED_CODES

OTHER = "other"
_LONGEST = 100

# Results of requests and reasons of retries. A failure's code contains the HTTP status, which may be any number.
ANSWERED = ("ok", "partial")
_BROKEN = ("echo", "not_json", "shape")
_RETRIABLE = (
    *("rate_limited", "http_408", "http_500", "http_502", "http_503", "http_504", "http_5xx"),
    *("timeout", "connect", "connection_lost", "dns", "tls", "proxy", "truncated", "not_http", "headers"),
)
_REJECTED = (
    *("http_400", "http_404", "http_407", "http_413", "http_422", "http_4xx"),
    *("redirect", "tls_certificate", "too_large", "url", "client"),
)
_OURS = (
    *("api_down", "busy", "clock", "defect", "gave_way", "ledger", "lost", "reloaded", "restored", "stopped", "window"),
    *("maybe_deleted", "not_additive", "not_compared", "not_located", "product_missing"),
)
CODES = frozenset({*ANSWERED, *_BROKEN, *_RETRIABLE, *_REJECTED, *_OURS, *REFUSED_CODES, OTHER})


def code_label(code: str) -> str:
    """Return the label value of a result or failure code: always one of `CODES`."""
    if code in CODES:
        return code
    family = f"{code[:6]}xx"
    return family if code.startswith("http_") and family in CODES else OTHER


@dataclass(slots=True)
class Bounded:
    """Keeps the first `limit` distinct texts as label values, for as long as it lives; any other becomes `other`."""

    limit: int
    _known: dict[str, None] = field(default_factory=dict)

    @classmethod
    def of(cls, limit: int, known: Iterable[str] = ()) -> Bounded:
        """Return one in which some texts are already known."""
        return cls(limit, dict.fromkeys(known))

    def label(self, text: str) -> str:
        """Return the text, shortened if it is too long, or `other`."""
        text = text[:_LONGEST]
        if text not in self._known:
            if len(self._known) >= self.limit:
                return OTHER
            self._known[text] = None
        return text
