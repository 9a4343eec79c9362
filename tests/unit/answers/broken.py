"""Every 200 that is not the documented answer to what was asked."""

from __future__ import annotations

import json
from typing import Any

from tests.unit.answers.bodies import ABSENT, MARKER, PRODUCTS, changed, counts, error, hostile, page, success
from tests.unit.answers.statuses import Case


def _case(name: str, code: str, body: bytes, says: str) -> Case:
    return Case(name=name, status=200, kind="broken", code=code, body=body, says=says)


def _not_json(name: str, body: bytes) -> Case:
    return _case(name, "not_json", body, "not JSON")


def _shape(name: str, body: bytes, says: str) -> Case:
    return _case(name, "shape", body, says)


def _metadata(name: str, key: str, value: Any, says: str | None = None) -> Case:
    return _shape(name, hostile({key: value}), says or f"data.metadata.{key}")


def _echo(name: str, key: str, value: str) -> Case:
    return _case(name, "echo", hostile({key: value}), f"another `{key}`")


def _count(name: str, text: str) -> Case:
    return _shape(f"count {name}", counts(text), "data.products.*.totalTests")


def _product(name: str, value: Any, says: str) -> Case:
    return _shape(name, hostile(products=PRODUCTS | {"new-one": value}), says)


def _organization(**changes: Any) -> dict[str, Any]:
    merged = {"id": "12345", "name": MARKER} | changes
    return {"organization": {key: value for key, value in merged.items() if value is not ABSENT}}


NOT_JSON = (
    _not_json("empty", b""),
    _not_json("blank", b" \r\n"),
    _not_json("HTML", page("Sign in")),
    _not_json("plain text", f"OK {MARKER}".encode()),
    _not_json("cut off", hostile()[:-30]),
    _not_json("cut off in the middle of a key", hostile()[:40]),
    _not_json("two answers", hostile() + hostile()),
    _not_json("something behind", hostile() + b"x"),
    _not_json("two BOMs", b"\xef\xbb\xbf\xef\xbb\xbf" + hostile()),
    _not_json("UTF-16", hostile().decode().encode("utf-16")),
    _not_json("invalid UTF-8", hostile().replace(b"automation", b"automat\xff\xfeion")),
    _not_json("NUL inside", hostile().replace(b"8450", b"84\x0050")),
    _not_json("NUL behind", hostile() + b"\0"),
    _not_json("only NUL", b"\0" * 64),
    _not_json("raw line break in a text", hostile().replace(MARKER.encode(), MARKER.encode() + b"\n")),
    _shape("deep nesting of arrays", b"[" * 20_000, "the body"),
    _not_json("deep nesting of objects", b'{"data":' * 20_000),
    _not_json("deep nesting in an ignored key", hostile(deep="@").replace(b'"@"', b"[" * 9_000 + b"]" * 9_000)),
    _not_json("NaN in an ignored key", hostile(load=float("nan"))),
    _not_json("single quotes", hostile().replace(b'"', b"'")),
    _not_json("trailing comma", hostile()[:-1] + b",}"),
    _not_json("comment", b"/* " + MARKER.encode() + b" */" + hostile()),
    _not_json("event stream", b"data: " + hostile()),
    _not_json("count with a leading zero", counts("08450")),
    _not_json("count in hexadecimal", counts("0x2102")),
    _not_json("count with a plus", counts("+8450")),
    _not_json("count of half an exponent", counts("1e")),
)

NOT_THE_SHAPE = (
    _shape("array", json.dumps([MARKER]).encode(), "the body"),
    _shape("null", b"null", "the body"),
    _shape("string", json.dumps(MARKER).encode(), "the body"),
    _shape("number", b"200", "the body"),
    _shape("empty object", b"{}", "at status"),
    _shape("an answer in an array", b"[" + hostile() + b"]", "the body"),
    _shape("status error", error(MARKER), "at status"),
    _shape("status error beside an answer", hostile(status="error"), "at status"),
    _shape("status in capitals", hostile(status="Success"), "at status"),
    _shape("status absent", hostile(status=ABSENT), "at status"),
    _shape("status null", hostile(status=None), "at status"),
    _shape("status true", hostile(status=True), "at status"),
    _shape("data absent", hostile(data=ABSENT), "at data"),
    _shape("data null", hostile(data=None), "at data"),
    _shape("data an array", hostile(data=[MARKER]), "at data"),
    _shape("data text", hostile(data=MARKER), "at data"),
    _shape("metadata absent", hostile(data={"products": PRODUCTS}), "data.metadata"),
    _shape("metadata null", hostile(data={"products": PRODUCTS, "metadata": None}), "data.metadata"),
    _shape("products absent", hostile(products=ABSENT), "data.products"),
    _shape("products null", hostile(products=None), "data.products"),
    _shape("products an array", hostile(products=[MARKER]), "data.products"),
    _metadata("type absent", "type", ABSENT),
    _metadata("type null", "type", None),
    _metadata("type a list", "type", ["account-user"]),
    _metadata("from absent", "from", ABSENT),
    _metadata("from a number", "from", 1782172800),
    _metadata("to absent", "to", ABSENT),
    _metadata("to empty", "to", ""),
    _metadata("timezone absent", "timezone", ABSENT),
    _metadata("timezone null", "timezone", None),
    _metadata("timezone as minutes", "timezone", 0),
    _metadata("timezone endless", "timezone", MARKER * 100),
    _metadata("users absent", "totalUsers", ABSENT),
    _metadata("users null", "totalUsers", None),
    _metadata("users negative", "totalUsers", -1),
    _metadata("users fractional", "totalUsers", 1.5),
    _metadata("users as text", "totalUsers", "12"),
    _metadata("users true", "totalUsers", True),
    _metadata("users over 64 bit", "totalUsers", 2**63),
    _metadata("organization absent", "organization", ABSENT),
    _metadata("organization null", "organization", None),
    _metadata("organization as text", "organization", MARKER),
    _metadata("partial 1", "partial", 1),
    _metadata("partial 0", "partial", 0),
    _metadata("partial null", "partial", None),
    _metadata("partial text", "partial", "true"),
    _metadata("partial empty text", "partial", ""),
    _metadata("partial a list", "partial", ["automation"]),
    _shape("org id absent", hostile(_organization(id=ABSENT)), "organization.id"),
    _shape("org id a number", hostile(_organization(id=12345)), "organization.id"),
    _shape("org id null", hostile(_organization(id=None)), "organization.id"),
    _shape("org id empty", hostile(_organization(id="")), "organization.id"),
    _shape("org id true", hostile(_organization(id=True)), "organization.id"),
    _shape("org id too long", hostile(_organization(id="1" * 257)), "organization.id"),
    _shape("products endless", hostile(products={f"p{n}": {"n": 1} for n in range(1001)}), "data.products"),
    _shape("org name absent", hostile(_organization(name=ABSENT) | {"x": MARKER}), "organization.name"),
    _shape("org name null", hostile(_organization(name=None)), "organization.name"),
    _shape("org name a number", hostile(_organization(name=5)), "organization.name"),
)

COUNTS = (
    _count("negative", "-1"),
    _count("fractional", "8450.5"),
    _count("1.0", "8450.0"),
    _count("1e3", "1e3"),
    _count("text", '"8450"'),
    _count("empty text", '""'),
    _count("true", "true"),
    _count("false", "false"),
    _count("null", "null"),
    _count("list", "[8450]"),
    _count("object", '{"total": 8450}'),
    _count("2^63", str(2**63)),
    _count("2^64", str(2**64)),
    _count("of 400 digits", "9" * 400),
    *(_not_json(f"count {name}", counts(name)) for name in ("NaN", "Infinity", "-Infinity")),
    _shape("count beyond floating point", counts("1e999"), "data.products.*"),
    _shape("smartui's count null", hostile(products=changed("smartui", totalScreenshots=None)), "*.totalScreenshots"),
    _shape("duration null", hostile(products=changed("realtime", totalDuration=None)), "*.totalDuration"),
    _shape("realtime without tests", hostile(products=changed("realtime", totalTests=ABSENT)), "has no totalTests"),
    _shape(
        "hyperexecute without anything",
        hostile(products=PRODUCTS | {"hyperexecute": {}}),
        "`hyperexecute` has no totalTests and no totalDuration",
    ),
    _shape(
        "automation with screenshots alone",
        hostile(products=PRODUCTS | {"automation": {"totalScreenshots": 1}}),
        "`automation` has no totalTests and no totalDuration",
    ),
    _shape(
        "smartui with tests alone",
        hostile(products=PRODUCTS | {"smartui": {"totalTests": 1, "totalDuration": 1}}),
        "`smartui` has no totalScreenshots",
    ),
)

TWICE = "a key stands twice"


def _twice(name: str, once: bytes, twice: bytes, *, marked: bool = False) -> Case:
    body = hostile() if marked else success()
    assert body.count(once) == 1
    return _shape(f"{name} twice", body.replace(once, twice), TWICE)


REPEATED = (
    _twice("count", b'"totalTests": 8450', b'"totalTests": 1, "totalTests": 8450'),
    _twice("equal count", b'"totalTests": 8450', b'"totalTests": 8450, "totalTests": 8450'),
    _twice("count with a space", b'"totalTests": 8450', b'"totalTests" :1, "totalTests"\n:8450'),
    _twice("count with an escape", b'"totalTests": 8450', b'"totalTests": 1, "total\\u0054ests": 8450'),
    _twice("product", b'"realtime": {', b'"realtime": {"totalTests": 1, "totalDuration": 1}, "realtime": {'),
    _twice("all products", b'"products": {', b'"products": {}, "products": {'),
    _twice("users", b'"totalUsers": 12', b'"totalUsers": 13, "totalUsers": 12'),
    _twice("echo", b'"timezone": "+00:00"', b'"timezone": "+05:30", "timezone": "+00:00"'),
    _twice("organization's id", b'"id": "12345"', b'"id": "99", "id": "12345"'),
    _twice("status", b'"status": "success"', b'"status": "success", "status": "success"'),
    _twice("partial", b'"totalUsers": 12', b'"totalUsers": 12, "partial": true, "partial": false'),
    _twice("new metric", b'"totalTests": 8450', b'"totalTests": 8450, "n": 1, "n": 2'),
    _twice("key in a new metric", b'"totalTests": 8450', b'"totalTests": 8450, "n": [{"a": 1, "a": 2}]'),
    _twice("ignored key", b'"totalUsers": 12', b'"totalUsers": 12, "x": {"y": 1, "y": 1}', marked=True),
    _shape(
        "keys that are one after they are made storable",
        hostile(products={"p\0": {"n": 1}, "p\\u0000": {"n": 2}}),
        TWICE,
    ),
    _shape(
        "count twice, beside a text with an escaped colon",
        success({"organization": {"id": "12345", "name": "@"}})
        .replace(b"@", b"\\u003a")
        .replace(b'"totalTests": 8450', b'"totalTests": 1, "totalTests": 8450'),
        TWICE,
    ),
)
TOO_MUCH = (
    _product("101 new metrics", {f"m{n}": n for n in range(101)}, "more than 100 undocumented metrics"),
    _product("new metric that is long", {"n": "x" * 16_384}, "more than 16,384 bytes"),
    _shape(
        "new metrics of all products that are long",
        hostile(products={f"p{n}": {"n": "x" * 1000} for n in range(17)}),
        "more than 16,384 bytes",
    ),
    _product("new metric of many values", {"n": [[]] * 20_000}, "more than 20,000 values"),
    _shape(
        "45,000 new metrics", hostile(products={"p": {f"m{n}": n for n in range(45_000)}}), "more than 20,000 values"
    ),
    _shape("many ignored values", hostile(deep=[{}] * 20_000), "more than 20,000 values"),
    _shape("nesting of 100,000 arrays", b" " + b"[" * 100_000, "more than 20,000 values"),
    _not_json("long page with many commas", page("x,{[" * 10_000)),
)

NEW_PRODUCTS = (
    _product("new product null", None, "data.products.*"),
    _product("new product a number", 5, "data.products.*"),
    _product("new product a list", [MARKER], "data.products.*"),
    _product("new product without a metric", {}, "no metric at all"),
    _product("new product with a negative count", {"totalTests": -1}, "*.totalTests"),
    _product("new metric over 64 bit", {"sessions": 2**64}, "not a 64-bit number"),
    _product("new metric of 400 digits", {"sessions": 10**400}, "not a 64-bit number"),
    _not_json("new metric NaN", hostile(products=PRODUCTS | {"x": {"sessions": float("nan")}})),
    _not_json("new metric Infinity", hostile(products=PRODUCTS | {"x": {"sessions": float("-inf")}})),
    _not_json("new metric with NaN inside", hostile(products=PRODUCTS | {"x": {"sessions": [{"a": float("nan")}]}})),
    _shape("product without a name", hostile(products=PRODUCTS | {"": {"totalTests": 1}}), "data.products"),
    _shape("product with an endless name", hostile(products={MARKER * 100: {"totalTests": 1}}), "data.products"),
)

ECHOES = (
    _echo("echo of the other type", "type", "service-user"),
    _echo("echo of no type", "type", MARKER),
    _echo("echo of another from", "from", "2026-06-22 00:00:00"),
    _echo("echo of from as ISO", "from", "2026-06-23T00:00:00"),
    _echo("echo of from without time", "from", "2026-06-23"),
    _echo("echo of another to", "to", "2026-06-24 00:00:00"),
    _echo("echo of to with a blank", "to", "2026-06-23 23:59:59 "),
    _echo("echo of Z", "timezone", "Z"),
    _echo("echo of raw minutes", "timezone", "0"),
    _echo("echo of -00:00", "timezone", "-00:00"),
    _echo("echo of +0000", "timezone", "+0000"),
    _echo("echo of the guide's default", "timezone", "+05:30"),
    _echo("echo of a zone's name", "timezone", "UTC"),
    _echo("echo of anything", "timezone", MARKER),
)

BROKEN = (*NOT_JSON, *REPEATED, *TOO_MUCH, *NOT_THE_SHAPE, *COUNTS, *NEW_PRODUCTS, *ECHOES)
