"""Every 200 that is an answer, and what it says."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from collector.model import Answer, ProductUsage
from tests.unit.answers.bodies import ANSWER, PRODUCTS, USAGES, changed, counts, success

MOST = 2**63 - 1
DOCUMENTED_EXAMPLE = b"""{"status": "success", "data": {
  "metadata": {"type": "account-user", "totalUsers": 12, "from": "2026-06-23 00:00:00", "to": "2026-06-23 23:59:59",
               "timezone": "+00:00", "organization": {"id": "12345", "name": "Acme Corp"}, "partial": true},
  "products": {"automation": {"totalTests": 8450, "totalDuration": 312540},
               "app-automation": {"totalTests": 1200, "totalDuration": 98400},
               "hyperexecute": {"totalTests": 3100, "totalDuration": 210000},
               "realtime": {"totalTests": 540, "totalDuration": 43200},
               "realdevice": {"totalTests": 275, "totalDuration": 22000}, "smartui": {"totalScreenshots": 0}}}}"""


@dataclass(frozen=True, kw_only=True)
class Good:
    """A body, and the answer that it is."""

    name: str
    body: bytes
    answer: Answer
    pinned: str | None = None


def _new(name: str, value: dict[str, Any], usage: ProductUsage) -> Good:
    return Good(
        name=name,
        body=success(products=PRODUCTS | {"new-one": value}),
        answer=replace(ANSWER, products=USAGES | {"new-one": usage}),
    )


def _extra(name: str, value: object) -> Good:
    usage = replace(USAGES["automation"], extra={"sessions": value})
    return Good(
        name=f"new metric {name}",
        body=success(products=changed("automation", sessions=value)),
        answer=replace(ANSWER, products=USAGES | {"automation": usage}),
    )


def _tests(name: str, text: str, value: int) -> Good:
    products = USAGES | {"automation": ProductUsage(total_tests=value, total_duration=312540)}
    body = counts(text).replace(b"xK9-hostile-marker", b"m")
    products |= {"m": ProductUsage(extra={"m": "m"})}
    return Good(name=f"count {name}", body=body, answer=replace(ANSWER, org_name="m", products=products))


def _org(name: str, org_id: str, org_name: str, *, pinned: str | None = None, shown: str | None = None) -> Good:
    return Good(
        name=name,
        body=success({"organization": {"id": org_id, "name": org_name}}),
        answer=replace(ANSWER, org_id=shown or org_id, org_name=org_name),
        pinned=pinned,
    )


def _escaped(name: str, org_name: str, shown: str) -> Good:
    return Good(
        name=f"org name with {name}",
        body=success({"organization": {"id": "12345", "name": org_name}}),
        answer=replace(ANSWER, org_name=shown),
    )


def _without(product: str) -> dict[str, Any]:
    return {name: metrics for name, metrics in PRODUCTS.items() if name != product}


GOOD = (
    Good(name="the documented example", body=DOCUMENTED_EXAMPLE, answer=replace(ANSWER, partial=True)),
    Good(name="not partial", body=success(), answer=ANSWER),
    Good(name="partial false", body=success({"partial": False}), answer=ANSWER),
    Good(name="partial true", body=success({"partial": True}), answer=replace(ANSWER, partial=True)),
    Good(name="blanks around", body=b"\r\n\t " + success() + b"\n", answer=ANSWER),
    Good(name="no blanks", body=json.dumps(json.loads(success()), separators=(",", ":")).encode(), answer=ANSWER),
    Good(name="keys in another order", body=json.dumps(json.loads(success()), sort_keys=True).encode(), answer=ANSWER),
    Good(name="escaped keys", body=success().replace(b"automation", b"autom\\u0061tion"), answer=ANSWER),
    Good(
        name="colons in every text and equal keys in different objects",
        body=success(
            {"organization": {"id": "12:345", "name": 'a": "b'}, "region": ":"},
            changed("automation", totalUsers=1, id=":") | {"p:q": {"n": {"n": {"n": ":"}}}},
            status2=":",
        ),
        answer=replace(
            ANSWER,
            org_id="12:345",
            org_name='a": "b',
            products=USAGES
            | {
                "automation": replace(USAGES["automation"], extra={"totalUsers": 1, "id": ":"}),
                "p:q": ProductUsage(extra={"n": {"n": {"n": ":"}}}),
            },
        ),
    ),
    Good(
        name="as much as is accepted",
        body=success(
            products=PRODUCTS
            | {f"p{n}": {"n": 1} for n in range(993)}
            | {"new": {f"m{n:02}": "x" * 40 for n in range(100)}}
        ),
        answer=replace(
            ANSWER,
            products=USAGES
            | {f"p{n}": ProductUsage(extra={"n": 1}) for n in range(993)}
            | {"new": ProductUsage(extra={f"m{n:02}": "x" * 40 for n in range(100)})},
        ),
    ),
    Good(name="unknown key beside data", body=success(requestId="r", data2={"a": [1]}), answer=ANSWER),
    Good(name="unknown key in metadata", body=success({"generatedAt": "x", "region": None}), answer=ANSWER),
    Good(
        name="unknown key in the organization",
        body=success({"organization": {"id": "12345", "name": "Acme Corp", "plan": {"tier": 3}}}),
        answer=ANSWER,
    ),
    Good(
        name="nesting in an ignored key",
        body=success(deep="@").replace(b'"@"', b"[" * 300 + b"]" * 300),
        answer=ANSWER,
    ),
    Good(name="no users", body=success({"totalUsers": 0}), answer=replace(ANSWER, users=0)),
    Good(name="most users", body=success({"totalUsers": MOST}), answer=replace(ANSWER, users=MOST)),
    Good(name="no products at all", body=success(products={}), answer=replace(ANSWER, products={})),
    *(
        Good(
            name=f"{product} missing",
            body=success(products=_without(product)),
            answer=replace(ANSWER, products={name: usage for name, usage in USAGES.items() if name != product}),
        )
        for product in PRODUCTS
    ),
    _tests("0", "0", 0),
    _tests("-0", "-0", 0),
    _tests("1", "1", 1),
    _tests("2^53 + 1", str(2**53 + 1), 2**53 + 1),
    _tests("2^63 - 1", str(MOST), MOST),
    _new("new product", {"totalTests": 5, "totalDuration": 7}, ProductUsage(total_tests=5, total_duration=7)),
    _new("new product with tests alone", {"totalTests": 5}, ProductUsage(total_tests=5)),
    _new("new product with a new metric alone", {"sessions": 5}, ProductUsage(extra={"sessions": 5})),
    _extra("a number", 5),
    _extra("negative", -5),
    _extra("fractional", 0.25),
    _extra("2^64 - 1", 2**64 - 1),
    _extra("text", "\U0001f680 \u202e\"'"),
    _extra("true", True),
    _extra("null", None),
    _extra("nested", {"chrome": {"v1": [1, 2.5, "x", None, False]}, "": {}}),
    Good(
        name="smartui with tests too",
        body=success(products=changed("smartui", totalTests=3)),
        answer=replace(ANSWER, products=USAGES | {"smartui": ProductUsage(total_tests=3, total_screenshots=0)}),
    ),
    _org("org id with zeros in front", "000123", "Acme Corp"),
    _org("longest org id", "9" * 256, "Acme Corp"),
    _org("org id like a UUID", "1b4e28ba-2fa1-11d2-883f-0016d3cca427", "Acme Corp"),
    _org("org id that is pinned", "12345", "Acme Corp", pinned="12345"),
    _org("org name empty", "12345", ""),
    _org("org name with quotes", "12345", 'The "Acme" \\ O\'Corp'),
    _org("org name from right to left", "12345", "\u202e\u05d0\u05e7\u05de\u05d4 \u0634\u0631\u0643\u0629"),
    _org("org name with emoji", "12345", "Acme \U0001f469\u200d\U0001f680"),
    _org("org name with controls", "12345", "\u001b[31mAcme\r\n"),
    _escaped("NUL", "Acme\0Corp", "Acme\\u0000Corp"),
    _escaped("first half of a surrogate pair", "Acme \ud83d", "Acme \\ud83d"),
    _escaped("second half of a surrogate pair", "\udc69Acme", "\\udc69Acme"),
    _escaped("surrogates in the wrong order", "\udc69\ud83d", "\\udc69\\ud83d"),
    _escaped("half a surrogate pair before a whole one", "\ud83d\U0001f680", "\\ud83d\U0001f680"),
    _escaped("a backslash before what looks like an escape", "\\ud83d \\u0000", "\\ud83d \\u0000"),
    _escaped("a backslash before NUL", "\\\0", "\\\\u0000"),
    _escaped("a BOM", "\ufeffAcme", "\ufeffAcme"),
    Good(name="BOM before the body", body=b"\xef\xbb\xbf" + success(), answer=ANSWER),
    Good(
        name="products that differ in what can't be stored",
        body=success(products={"p\0": {"n": 1}, "p\ud800": {"n": 2}, "p\ud801": {"n": "\0"}}),  # noqa: F601 - ruff takes both for one
        answer=replace(
            ANSWER,
            products={
                "p\\u0000": ProductUsage(extra={"n": 1}),
                "p\\ud800": ProductUsage(extra={"n": 2}),
                "p\\ud801": ProductUsage(extra={"n": "\\u0000"}),
            },
        ),
    ),
    _org("org id with NUL", "1\u00002", "Acme Corp", shown="1\\u00002"),
    Good(
        name="endless org name",
        body=success({"organization": {"id": "12345", "name": "A" * 500_000}}),
        answer=replace(ANSWER, org_name="A" * 1024),
    ),
    _org("org name with markup", "12345", "<script>alert(1)</script>[bold]"),
    _org("org name of the greatest length", "12345", "A" * 1024),
)
