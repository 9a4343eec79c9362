"""Turns a reply of the API into an answer, or into a failure by what recovers from it.

A 200 becomes an `Answer` only if it has the documented shape *and* repeats the values of the
request. Everything else is a `Failure` value (api.md, "Response 200" and "Errors"). A body can
come from a gateway, too: it is never parsed without validation, and never quoted. Texts that not
every ledger or output can store are spelled as the escapes that they came as.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Annotated, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints, ValidationError

from collector.errors import Broken, Failure, RefusalReason, Refused, Rejected, Retriable
from collector.model import Answer, ApiRequest, ProductUsage

DOCUMENTED_PRODUCTS = ("automation", "app-automation", "hyperexecute", "realtime", "realdevice", "smartui")
_TESTS = ("totalTests", "totalDuration")
_DOCUMENTED_METRICS = dict.fromkeys(DOCUMENTED_PRODUCTS, _TESTS) | {"smartui": ("totalScreenshots",)}
_ABSENT = -1  # the value of a count that was not sent: a sent one is never negative
_LONGEST_RETRY_AFTER_S = 1e9  # beyond any budget
_LONGEST_NAME = 1024
_BOM = b"\xef\xbb\xbf"
# An escape in a JSON text. The group is one that can't be stored: NUL in PostgreSQL, half a surrogate pair in UTF-8.
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u0000|u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
_RETRIED_STATUSES = frozenset({408, 429}) | frozenset(range(500, 600))

Count = Annotated[int, Field(strict=True, ge=0, le=2**63 - 1)]
Text = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=256)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An HTTP response: `headers` by lower-case name, `body` without its transfer encoding."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


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
    products: Annotated[dict[Text, _Product], Field(max_length=1000)]


class _Body(_Strict):
    status: Literal["success"]
    data: _Data


class _ErrorBody(_Strict):
    message: str
    status: str = ""


def interpret(
    reply: Reply, request: ApiRequest, *, now: datetime, pinned_org_id: str | None = None
) -> Answer | Failure:
    """Return the answer or failure that a reply means. `now` is needed for a `Retry-After` that is a date."""
    status = reply.status
    if status == 200:
        return _answer(reply.body, request, pinned_org_id)
    retry_after_s = parse_retry_after(reply.headers.get("retry-after"), now=now)
    if status in (401, 403):
        refused = _refused(status, reply.body) if retry_after_s is None else None
        return refused or _blocked(status, retry_after_s)
    if status in _RETRIED_STATUSES:
        return Retriable(
            code="rate_limited" if status == 429 else f"http_{status}",
            message="the API limits the rate (429)" if status == 429 else f"the API answered {status}",
            rate_limited=status == 429,
            retry_after_s=retry_after_s,
        )
    return _rejected(status, reply.body)


def clock_skew(reply: Reply, *, now: datetime) -> timedelta | None:
    """Return how far our clock is ahead of the server's, by its `Date` header (RFC 9110, 6.6.1).

    Negative if ours is behind; None if the header is missing or invalid. A cache adds the `Age` of its answer.
    """
    try:
        date = parsedate_to_datetime(reply.headers.get("date", ""))
        age = timedelta(seconds=int(reply.headers.get("age", "0")))
        return now - (date.replace(tzinfo=date.tzinfo or UTC) + age)
    except (ValueError, IndexError, OverflowError):
        return None


def parse_retry_after(value: str | None, *, now: datetime) -> float | None:
    """Return the seconds of a `Retry-After` header (RFC 9110, 10.2.3), None if it is missing or invalid."""
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        return min(float(value), _LONGEST_RETRY_AFTER_S)
    try:
        when = parsedate_to_datetime(value)
    except (ValueError, IndexError, OverflowError):
        return None
    when = when.replace(tzinfo=UTC) if when.tzinfo is None else when
    return max(0.0, (when - now).total_seconds())


def _answer(body: bytes, request: ApiRequest, pinned_org_id: str | None) -> Answer | Failure:
    try:
        data = _Body.model_validate_json(_storable(body)).data
    except ValidationError as error:
        return _not_the_documented_shape(error)
    metadata = data.metadata
    if broken := _other_echo(metadata, request) or _odd_products(data.products):
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
    return _ESCAPE.sub(lambda found: b"\\\\" + found[1] if found[1] else found[0], body.removeprefix(_BOM))


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
        present = _metrics(product)
        if missing := [metric for metric in _DOCUMENTED_METRICS.get(name, ()) if metric not in present]:
            return Broken(code="shape", message=f"the product `{name}` has no {' and no '.join(missing)}")
        if not present:
            return Broken(code="shape", message="a product has no metric at all")
        if not _can_be_written(product.__pydantic_extra__):
            return Broken(code="shape", message="a product has a metric that is not a 64-bit number")
    return None


def _metrics(product: _Product) -> set[str]:
    counts = {
        "totalTests": product.total_tests,
        "totalDuration": product.total_duration,
        "totalScreenshots": product.total_screenshots,
    }
    return {name for name, count in counts.items() if count != _ABSENT} | set(product.__pydantic_extra__)


def _can_be_written(extra: Mapping[str, JsonValue]) -> bool:
    """Return whether undocumented metrics can be written without a change: they may be of any size and kind."""
    try:
        return not extra or orjson.loads(orjson.dumps(extra)) == extra
    except orjson.JSONEncodeError:
        return False


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


def _error(body: bytes) -> _ErrorBody:
    try:
        return _ErrorBody.model_validate_json(body.removeprefix(_BOM))
    except ValidationError:
        return _ErrorBody(message="")


def _refused(status: int, body: bytes) -> Refused | None:
    """Return the refusal of a 401 or 403 that the API documents, None for any other."""
    error = _error(body)
    if error.status != "error":
        return None
    if status == 401:
        return Refused(
            reason=RefusalReason.CREDENTIAL,
            message="the credential is refused (401): check the user name and the access key, or renew them",
        )
    if error.message.startswith("admin access required"):
        return Refused(
            reason=RefusalReason.NOT_ADMIN,
            message="the user is not an admin of the organization (403): use an admin's credential",
        )
    if error.message.startswith("access restricted"):
        return Refused(
            reason=RefusalReason.PERMISSION,
            message="the user's role doesn't have the permission analytics:admin (403): add it to the role",
        )
    return None


def _blocked(status: int, retry_after_s: float | None) -> Retriable:
    """Return the failure of a 401 or 403 that the API doesn't document: a gateway's block often ends soon."""
    return Retriable(
        code=f"http_{status}",
        message=f"the answer was a {status} that the API does not document: a gateway may block the requests",
        retry_after_s=retry_after_s,
        if_it_lasts=Refused(
            reason=RefusalReason.FORBIDDEN,
            message=(
                f"access is forbidden ({status}) for a reason that the API does not document, in each attempt: "
                "is a gateway in the way?"
            ),
        ),
    )


# These are quoted to the user, since they say what is wrong. Any other text is not: it may contain anything.
_DOCUMENTED_400 = (
    "invalid or missing type",
    "from is required",
    "to is required",
    "to must be after from",
    "date range exceeds maximum allowed span",
    "invalid timezone format",
)


def _rejected(status: int, body: bytes) -> Rejected:
    if 300 <= status < 400:
        return Rejected(
            code="redirect",
            message=f"a redirect ({status}) is never followed, as it would carry the credential: check base_url",
        )
    if status == 400:
        message = _error(body).message
        documented = next((text for text in _DOCUMENTED_400 if message.startswith(text)), "")
        detail = f" with {documented!r}" if documented else ""
        return Rejected(code="http_400", message=f"the API rejects the request (400){detail}: please report it to us")
    if status == 404:
        return Rejected(code="http_404", message="the endpoint was not found (404): check base_url")
    if status == 407:
        return Rejected(
            code="http_407",
            message="the proxy requires a credential (407): check the proxy variables (HTTPS_PROXY and the like)",
        )
    return Rejected(code=f"http_{status}", message=f"the API answered {status}, which is not documented")
