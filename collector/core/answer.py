"""The answer in the body of a 200: the documented shape, for the values of the request, and nothing more.

A body can come from a gateway or an attacker: it is never parsed without validation, and never quoted. Texts that not
every ledger or output can store are spelled as the escapes that they came as.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints, ValidationError

from collector.core.json_body import MOST_VALUES, has_too_many_values, repeats_a_key
from collector.core.statuses import BOM
from collector.errors import Broken, Failure, RefusalReason, Refused
from collector.model import Answer, ApiRequest, ProductUsage

DOCUMENTED_PRODUCTS = ("automation", "app-automation", "hyperexecute", "realtime", "realdevice", "smartui")
_TESTS = {"totalTests": "total_tests", "totalDuration": "total_duration"}
_DOCUMENTED_METRICS = dict.fromkeys(DOCUMENTED_PRODUCTS, _TESTS) | {
    "smartui": {"totalScreenshots": "total_screenshots"}
}
_ABSENT = -1  # the value of a count that was not sent: a sent one is never negative
_LONGEST_NAME = 1024
# Bounds far beyond what is documented: an answer is kept in memory until it is written, and in the ledger for good.
_MOST_PRODUCTS = 1000
_MOST_METRICS = 100  # undocumented ones of a product
_MOST_EXTRA = 16 * 1024  # bytes of all undocumented metrics of an answer, as JSON
_OTHER_KEYS = 6  # status, data, metadata, products, and the organization's id and name
# An escape in a JSON text. The group is one that can't be stored: NUL in PostgreSQL, half a surrogate pair in UTF-8.
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u0000|u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)

Count = Annotated[int, Field(strict=True, ge=0, le=2**63 - 1)]
Text = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=256)]


class _Strict(BaseModel):
    model_config = ConfigDict(hide_input_in_errors=True)


class _Organization(_Strict):
    id: Text
    name: Annotated[str, Field(strict=True)]


class _Metadata(_Strict):
    type: Text
    total_users: Count = Field(alias="totalUsers")
    from_: Text = Field(alias="from")
    to: Text
    timezone: Text
    organization: _Organization
    partial: Annotated[bool, Field(strict=True)] = False


class _Product(_Strict):
    model_config = ConfigDict(hide_input_in_errors=True, extra="allow")
    __pydantic_extra__: dict[str, JsonValue] = Field(init=False)
    # Null is not the documented shape. `model_fields_set` can't show what is absent: it has the names of extras, too.
    total_tests: Count = Field(default=_ABSENT, alias="totalTests")
    total_duration: Count = Field(default=_ABSENT, alias="totalDuration")
    total_screenshots: Count = Field(default=_ABSENT, alias="totalScreenshots")


class _Data(_Strict):
    metadata: _Metadata
    products: Annotated[dict[Text, _Product], Field(max_length=_MOST_PRODUCTS)]


class _Body(_Strict):
    status: Literal["success"]
    data: _Data


def answer_of(body: bytes, request: ApiRequest, *, pinned_org_id: str | None) -> Answer | Failure:
    """Return the answer in a body, or why it is none (api.md, "Response 200")."""
    body = _storable(body)
    if has_too_many_values(body):
        return Broken(
            code="shape", message=f"a 200 with more than {MOST_VALUES:,} values, which no documented answer has"
        )
    try:
        data = _Body.model_validate_json(body).data
    except ValidationError as error:
        return _not_the_documented_shape(error)
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
        partial=metadata.partial,
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


def _odd_products(products: Mapping[str, _Product]) -> Broken | None:
    for name, product in products.items():
        documented = _DOCUMENTED_METRICS.get(name, {})
        if missing := [metric for metric, field in documented.items() if getattr(product, field) == _ABSENT]:
            return Broken(code="shape", message=f"the product `{name}` has no {' and no '.join(missing)}")
        if not product.model_fields_set:
            return Broken(code="shape", message="a product has no metric at all")
    return _odd_extra([product.__pydantic_extra__ for product in products.values() if product.__pydantic_extra__])


def _odd_extra(extras: Sequence[Mapping[str, JsonValue]]) -> Broken | None:
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
    keys = _OTHER_KEYS + len(metadata.model_fields_set)
    keys += sum(1 + len(product.model_fields_set) for product in data.products.values())
    texts = (metadata.from_, metadata.to, metadata.timezone, organization.id, organization.name)
    if not repeats_a_key(body, keys=keys, texts=texts):
        return None
    return Broken(
        code="shape", message="a 200 in which a key stands twice in an object: which value is meant is unclear"
    )


def _usage(product: _Product) -> ProductUsage:
    return ProductUsage(
        total_tests=_known(product.total_tests),
        total_duration=_known(product.total_duration),
        total_screenshots=_known(product.total_screenshots),
        extra=product.__pydantic_extra__,
    )


def _known(count: int) -> int | None:
    return None if count == _ABSENT else count


def _not_the_documented_shape(error: ValidationError) -> Broken:
    """Return a failure that names the place of the first error, by documented names only."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    if first["type"] == "json_invalid":
        return Broken(code="not_json", message="the body of a 200 is not JSON: it is a gateway's page, or was cut off")
    known = {"status", "data", "metadata", "organization", "products", *_BY_ALIAS}
    place = ".".join(str(part) if part in known else "*" for part in first["loc"]) or "the body"
    return Broken(code="shape", message=f"a 200 without the documented shape, at {place}")


_BY_ALIAS = frozenset(
    field_.alias or name
    for model in (_Body, _Data, _Metadata, _Organization, _Product)
    for name, field_ in model.model_fields.items()
)
