"""Every status other than 200 that the documents name, or that gateways were seen to answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from tests.unit.answers.bodies import MARKER, error, page, success

Kind = Literal["refused", "retriable", "broken", "rejected"]


@dataclass(frozen=True, kw_only=True)
class Case:
    """A reply, and the failure that it has to be."""

    name: str
    status: int
    kind: Kind
    code: str
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    says: str = ""  # a part of the message
    retry_after_s: float | None = None


MESSAGES_400 = (
    "invalid or missing type (valid: [account-user service-user])",
    "from is required",
    "to is required",
    "to must be after from",
    "date range exceeds maximum allowed span of 90 days",
    "invalid timezone format: IST (expected +HH:MM or -HH:MM, e.g. +05:30)",
)
PERMISSION = (
    "access restricted: your role does not have the required permissions to access this resource. "
    "Required permissions to add: analytics:admin"
)
UNAUTHORIZED = "Invalid or missing Basic Auth credentials"


def _rejected(name: str, status: int, *, body: bytes = b"", says: str = "", code: str | None = None) -> Case:
    return Case(name=name, status=status, kind="rejected", code=code or f"http_{status}", body=body, says=says)


def _refused(name: str, status: int, code: str, *, body: bytes, says: str) -> Case:
    return Case(name=name, status=status, kind="refused", code=f"refused_{code}", body=body, says=says)


def _blocked(name: str, status: int, *, body: bytes, retry_after: str | None = None) -> Case:
    return Case(
        name=name,
        status=status,
        kind="retriable",
        code=f"http_{status}",
        body=body,
        says="a gateway may block",
        headers={} if retry_after is None else {"retry-after": retry_after},
        retry_after_s=None if retry_after is None else float(retry_after),
    )


def _retried(name: str, status: int, *, body: bytes = b"", code: str | None = None) -> Case:
    says = f"({status})" if status == 429 else f"answered {status}"
    return Case(name=name, status=status, kind="retriable", code=code or f"http_{status}", body=body, says=says)


def _limited(name: str, header: str | None, retry_after_s: float | None, *, status: int = 429) -> Case:
    return Case(
        name=f"{status} {name}",
        status=status,
        kind="retriable",
        code="rate_limited" if status == 429 else f"http_{status}",
        headers={} if header is None else {"retry-after": header},
        body=MARKER.encode(),
        retry_after_s=retry_after_s,
    )


DOCUMENTED = (
    *(
        _rejected(f"400 {text[:30]}", 400, body=error(text), says=text.split(" (")[0].split(" of ")[0].split(":")[0])
        for text in MESSAGES_400
    ),
    _refused("401 as documented", 401, "credential", body=error(UNAUTHORIZED), says="the access key"),
    _refused("403 no admin", 403, "not_admin", body=error("admin access required"), says="is not an admin"),
    _refused("403 no permission", 403, "permission", body=error(PERMISSION), says="analytics:admin"),
    _retried("500 as documented", 500, body=error("failed to resolve org users")),
)

UNDOCUMENTED = (
    *(
        _rejected(f"400 {text[:20]} and more", 400, body=error(f"{text} {MARKER}"), says="(400)")
        for text in MESSAGES_400
    ),
    _rejected("400 another message", 400, body=error(MARKER), says="report it to us"),
    _rejected("400 HTML", 400, body=page("400 Bad Request")),
    _rejected("400 empty", 400),
    _rejected("400 message that is no text", 400, body=f'{{"message": ["{MARKER}"]}}'.encode()),
    _rejected("400 cut off", 400, body=error(MARKER)[:-4]),
    _rejected("400 invalid UTF-8", 400, body=b'{"message": "\xff' + MARKER.encode() + b'"}'),
    _rejected("400 deep nesting", 400, body=b"[" * 100_000 + MARKER.encode()),
    _blocked("401 empty", 401, body=b""),
    _blocked("401 HTML", 401, body=page("401")),
    _blocked("401 of a gateway in JSON", 401, body=f'{{"message": "{MARKER}"}}'.encode()),
    _refused("401 that echoes the credential", 401, "credential", body=error(MARKER), says="(401)"),
    _refused(
        "403 no admin and more", 403, "not_admin", body=error(f"admin access required {MARKER}"), says="not an admin"
    ),
    _refused("403 no permission and more", 403, "permission", body=error(f"{PERMISSION} {MARKER}"), says="the role"),
    _blocked("403 WAF", 403, body=page("Access denied")),
    _blocked("403 of a gateway in JSON", 403, body=f'{{"message": "{MARKER}"}}'.encode()),
    _blocked("403 empty", 403, body=b""),
    _blocked("403 null", 403, body=b"null"),
    _blocked("403 another message", 403, body=error(f"{MARKER} admin access required")),
    _blocked("403 success inside", 403, body=success()),
    _rejected("404 HTML", 404, body=page("Not Found"), says="check base_url"),
    _rejected("404 empty", 404, says="check base_url"),
    _rejected("405", 405, body=page("Method Not Allowed"), says="not documented"),
    _rejected("407", 407, body=page("Proxy Authentication Required"), says="the proxy variables"),
    _rejected("409", 409),
    _rejected("410", 410, body=MARKER.encode()),
    _rejected("413", 413, body=MARKER.encode()),
    _rejected("418", 418, body=MARKER.encode(), says="not documented"),
    _rejected("422", 422, body=error(MARKER)),
    _rejected("425", 425),
    _rejected("451", 451, body=page("Unavailable For Legal Reasons")),
    _retried("408 empty", 408),
    _retried("408 text", 408, body=MARKER.encode()),
    _retried("429 JSON", 429, body=error(MARKER), code="rate_limited"),
    _retried("500 empty", 500),
    _retried("500 HTML", 500, body=page("Internal Server Error")),
    _retried("500 other message", 500, body=error(MARKER)),
    _retried("500 success inside", 500, body=success({"organization": {"id": MARKER, "name": MARKER}})),
    _retried("501", 501),
    _retried("502 HTML", 502, body=page("Bad Gateway")),
    _retried("502 empty", 502),
    _retried("503 text", 503, body=f"upstream connect error {MARKER}".encode()),
    _retried("504 HTML", 504, body=page("Gateway Time-out")),
    _retried("504 HTML that is cut off", 504, body=page("Gateway Time-out")[:-20]),
    _retried("507", 507),
    _retried("520 of a CDN", 520, body=page("Web server is returning an unknown error")),
    _retried("599", 599),
    _rejected("100", 100),
    _rejected("101", 101, body=MARKER.encode()),
    _rejected("103", 103),
    _rejected("201 with an answer", 201, body=success(), says="not documented"),
    _rejected("202", 202, body=MARKER.encode()),
    _rejected("203 with an answer", 203, body=success()),
    _rejected("204", 204, says="not documented"),
    _rejected("206 with half an answer", 206, body=success()[:100]),
    *(
        _rejected(f"{status} redirect", status, body=page("Moved"), says="never followed", code="redirect")
        for status in (300, 301, 302, 303, 304, 307, 308, 399)
    ),
    _rejected("600", 600),
    _rejected("999", 999, body=MARKER.encode()),
)

RETRY_AFTER = (
    _limited("without Retry-After", None, None),
    _limited("seconds", "17", 17.0),
    _limited("seconds with blanks", "  17 ", 17.0),
    _limited("seconds with leading zeros", "007", 7.0),
    _limited("a day", "86400", 86400.0),
    _limited("0", "0", 0.0),
    _limited("negative", "-5", None),
    _limited("plus", "+5", None),
    _limited("fraction", "1.5", None),
    _limited("exponent", "1e3", None),
    _limited("hexadecimal", "0x10", None),
    _limited("underscore", "1_0", None),
    _limited("other digits", "\u0661\u0662", None),
    _limited("superscript", "\u00b2", None),
    _limited("empty", "", None),
    _limited("blank", "   ", None),
    _limited("text", f"soon {MARKER}", None),
    _limited("list", "17, 18", None),
    _limited("nan", "nan", None),
    _limited("infinity", "inf", None),
    _limited("ISO date", "2026-06-24T10:21:00Z", None),
    _limited("date", "Wed, 24 Jun 2026 10:21:30 GMT", 90.0),
    _limited("date without zone", "Wed, 24 Jun 2026 10:21:30", 90.0),
    _limited("date with -0000", "Wed, 24 Jun 2026 10:21:30 -0000", 90.0),
    _limited("date with an offset", "Wed, 24 Jun 2026 12:21:30 +0200", 90.0),
    _limited("date by RFC 850", "Wednesday, 24-Jun-26 10:21:30 GMT", 90.0),
    _limited("date by asctime", "Wed Jun 24 10:21:30 2026", 90.0),
    _limited("past date", "Tue, 23 Jun 2026 10:21:30 GMT", 0.0),
    _limited("the present", "Wed, 24 Jun 2026 10:20:00 GMT", 0.0),
    _limited("date of no calendar", "Wed, 31 Jun 2026 10:21:30 GMT", None),
    _limited("date of the year 99999", "Wed, 24 Jun 99999 10:21:30 GMT", None),
    _limited("date with an impossible offset", "Wed, 24 Jun 2026 10:21:30 +9999", None),
    _limited("seconds", "30", 30.0, status=503),
    _limited("seconds", "30", 30.0, status=408),
    _limited("0", "0", 0.0, status=500),
    _blocked("401 with Retry-After", 401, body=error(UNAUTHORIZED), retry_after="5"),
    _blocked("403 with Retry-After", 403, body=error("admin access required"), retry_after="5"),
    _blocked("403 HTML with Retry-After", 403, body=page("Access denied"), retry_after="0"),
)

FAILING_STATUSES = (*DOCUMENTED, *UNDOCUMENTED, *RETRY_AFTER)
