"""The answer in the body of a 200: the documented shape, for the values of the request, and nothing more.

A body can come from a gateway or an attacker: it is never parsed without validation, and never quoted. Texts that not
every ledger or output can store are spelled as the escapes that they came as.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import orjson
from msgspec import UNSET, DecodeError, Meta, Struct, UnsetType, ValidationError, field
from msgspec.json import Decoder

from collector.core.json_body import MOST_VALUES, has_too_many_values, repeats_a_key
from collector.core.statuses import BOM
from collector.errors import Broken, Failure, RefusalReason, Refused
from collector.model import Answer, ApiRequest, ProductUsage

DOCUMENTED_PRODUCTS = ("automation", "app-automation", "hyperexecute", "realtime", "realdevice", "smartui")
_TESTS = ("totalTests", "totalDuration")
_DOCUMENTED_METRICS: dict[str, tuple[str, ...]] = dict.fromkeys(DOCUMENTED_PRODUCTS, _TESTS) | {
    "smartui": ("totalScreenshots",)
}
_METRICS = (*_TESTS, "totalScreenshots")  # the documented ones of any product
_MOST = 2**63 - 1  # of a count
_LONGEST_NAME = 1024
# Bounds far beyond what is documented: an answer is kept in memory until it is written, and in the ledger for good.
_MOST_PRODUCTS = 1000
_MOST_METRICS = 100  # undocumented ones of a product
_MOST_EXTRA = 16 * 1024  # bytes of all undocumented metrics of an answer, as JSON
_OTHER_KEYS = 12  # status, data, metadata, products, the organization's id and name, and the metadata's that must be
# An escape in a JSON text. The group is one that can't be stored: NUL in PostgreSQL, half a surrogate pair in UTF-8.
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u0000|u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
# In msgspec's messages: a place by names of documented fields, with `[...]` for others; and the field that is missing.
_PLACE = re.compile(r" - at (?:`key` in )?`\$\.([^`]*)`$")
_MISSING = re.compile(r"^Object missing required field `(\w+)`")

Count = Annotated[int, Meta(ge=0, le=_MOST)]
Text = Annotated[str, Meta(min_length=1, max_length=256)]
Product = dict[str, Any]  # its metrics


class _Organization(Struct):
    id: Text
    name: str


class _Metadata(Struct, kw_only=True):
    type: Text
    total_users: Count = field(name="totalUsers")
    from_: Text = field(name="from")
    to: Text
    timezone: Text
    organization: _Organization
    partial: bool | UnsetType = UNSET


class _Data(Struct):
    metadata: _Metadata
    products: Annotated[dict[Text, Product], Meta(max_length=_MOST_PRODUCTS)]


class _Body(Struct):
    status: Literal["success"]
    data: _Data


_parse = Decoder(_Body).decode


def answer_of(body: bytes, request: ApiRequest, *, pinned_org_id: str | None) -> Answer | Failure:
    """Return the answer in a body, or why it is none (api.md, "Response 200")."""
    body = _storable(body)
    if has_too_many_values(body):
        return Broken(
            code="shape", message=f"a 200 with more than {MOST_VALUES:,} values, which no documented answer has"
        )
    try:
        data = _parse(body).data
    except ValidationError as error:
        return _not_the_documented_shape(error)
    except (DecodeError, UnicodeDecodeError, RecursionError):
        return Broken(code="not_json", message="the body of a 200 is not JSON: it is a gateway's page, or was cut off")
    metadata = data.metadata
    if broken := _other_echo(metadata, request) or _odd_products(data.products) or _ambiguous(body, data):
        return broken
    if pinned_org_id is not None and metadata.organization.id != pinned_org_id:
        return Refused(
            reason=RefusalReason.IDENTITY,
            message=(
                f"the credential belongs to organization {metadata.organization.id!r}, "
                f"but the config expects org_id {pinned_org_id!r}: correct the credential or the org_id"
            ),
        )
    return Answer(
        org_id=metadata.organization.id,
        org_name=metadata.organization.name[:_LONGEST_NAME],  # it is for people: no number is lost for it
        users=metadata.total_users,
        products={name: _usage(product) for name, product in data.products.items()},
        partial=metadata.partial is True,
    )


def _storable(body: bytes) -> bytes:
    r"""Return a body without a byte order mark, and with `\u0000` and halves of surrogate pairs as visible text.

    Visible text keeps products and organizations apart that differ in nothing else.
    """
    return _ESCAPE.sub(lambda found: b"\\\\" + found[1] if found[1] else found[0], body.removeprefix(BOM))


def _other_echo(metadata: _Metadata, request: ApiRequest) -> Broken | None:
    expected = {
        "type": (metadata.type, request.population.value),
        "from": (metadata.from_, request.from_),
        "to": (metadata.to, request.to),
        "timezone": (metadata.timezone, request.timezone),
    }
    for name, (echoed, sent) in expected.items():
        if echoed != sent:
            return Broken(code="echo", message=f"the answer is for another `{name}` than was requested ({sent})")
    return None


def _odd_products(products: Mapping[str, Product]) -> Broken | None:
    extras = []
    for name, product in products.items():
        documented = _DOCUMENTED_METRICS.get(name, ())
        known = 0
        for metric in _METRICS:
            if metric in product:
                value = product[metric]
                if type(value) is not int or not 0 <= value <= _MOST:  # a boolean is an int, too
                    return _other_shape(f"data.products.*.{metric}")
                known += 1
            elif metric in documented:
                missing = [one for one in documented if one not in product]
                return Broken(code="shape", message=f"the product `{name}` has no {' and no '.join(missing)}")
        if not product:
            return Broken(code="shape", message="a product has no metric at all")
        if known < len(product):
            extras.append(_extra(product))
    return _odd_extra(extras) if extras else None


def _odd_extra(extras: Sequence[Mapping[str, Any]]) -> Broken | None:
    if any(len(extra) > _MOST_METRICS for extra in extras):
        return Broken(code="shape", message=f"a product has more than {_MOST_METRICS} undocumented metrics")
    try:
        written = [orjson.dumps(extra) for extra in extras]
        changed = any(orjson.loads(text) != extra for text, extra in zip(written, extras, strict=True))
    except orjson.JSONEncodeError:
        changed = True
    if changed:
        return Broken(code="shape", message="a product has a metric that is not a 64-bit number")
    if sum(map(len, written)) > _MOST_EXTRA:
        return Broken(code="shape", message=f"the undocumented metrics have more than {_MOST_EXTRA:,} bytes")
    return None


def _ambiguous(body: bytes, data: _Data) -> Broken | None:
    """Return a failure if a key stands twice in an object: which of the two values is meant, nobody can know."""
    metadata, organization = data.metadata, data.metadata.organization
    keys = _OTHER_KEYS + (metadata.partial is not UNSET)
    keys += sum(1 + len(product) for product in data.products.values())
    texts = (metadata.from_, metadata.to, metadata.timezone, organization.id, organization.name)
    if not repeats_a_key(body, keys=keys, texts=texts):
        return None
    return Broken(
        code="shape", message="a 200 in which a key stands twice in an object: which value is meant is unclear"
    )


def _usage(product: Product) -> ProductUsage:
    get = product.get
    tests, duration, screenshots = get("totalTests"), get("totalDuration"), get("totalScreenshots")
    known = (tests is not None) + (duration is not None) + (screenshots is not None)
    if known == len(product):
        return ProductUsage(total_tests=tests, total_duration=duration, total_screenshots=screenshots)
    return ProductUsage(
        total_tests=tests, total_duration=duration, total_screenshots=screenshots, extra=_extra(product)
    )


def _extra(product: Product) -> dict[str, Any]:
    """Return the metrics that no document names."""
    return {name: value for name, value in product.items() if name not in _METRICS}


def _not_the_documented_shape(error: ValidationError) -> Broken:
    """Return a failure that names the place of the first error, by documented names only."""
    text = str(error)
    found = [at[1] for at in (_PLACE.search(text), _MISSING.match(text)) if at]
    return _other_shape(".".join(found).replace("[...]", ".*") or "the body")


def _other_shape(place: str) -> Broken:
    return Broken(code="shape", message=f"a 200 without the documented shape, at {place}")
