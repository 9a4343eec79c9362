"""What the API answers: the truth as documented, or what a fault makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING

import orjson

from collector.core.response import Reply
from collector.model import ApiRequest
from tests.simulation.scenario import Fault, OrgSpec
from tests.simulation.truth import GROUPS, Numbers, Products

if TYPE_CHECKING:
    from tests.simulation.api import Api, Request

MESSAGES = {
    "401": (401, "Invalid or missing Basic Auth credentials"),
    "403": (403, "access restricted: your role does not have the required permissions"),
    "403-admin": (403, "admin access required"),
}


@dataclass(frozen=True, slots=True)
class Answered:
    """A 200 of the documented shape, as it was sent."""

    org_id: str
    numbers: Numbers
    partial: bool

    def __str__(self) -> str:
        tests = {name: next(iter(metrics.values())) for name, metrics in self.numbers.products.items()}
        return f"{'partial ' if self.partial else ''}{self.numbers.users} {list(tests.values())}"


def faulty(
    asked: Request, spec: OrgSpec, request: ApiRequest, fault: tuple[Fault, str] | None, *, api: Api, at: datetime
) -> Reply:
    """Return the reply, and note on the request what is told with it."""
    match fault:
        case (Fault.STORM, value):
            return _storm(asked, value, at)
        case (Fault.ERROR, code):
            return Reply(status=int(code), body=b"<html>down</html>" if code != "500" else _error("failed"))
        case (Fault.REFUSED, value):
            status, message = MESSAGES[value]
            asked.refused = True
            return Reply(status=status, body=_error(message))
        case (Fault.BROKEN, how):
            return _broken(_body(request, spec, api.truth.of(spec, asked.slice, at)), how)
        case _:
            asked.answer = _answered(asked, spec, fault, api=api, at=at)
            api.answered.add((asked.run, asked.slice))
            body = _body(request, spec, asked.answer.numbers, asked.answer)
            return Reply(status=200, body=orjson.dumps(body))


def _storm(asked: Request, value: str, at: datetime) -> Reply:
    """Return a 429; a date is read by clocks that may be wrong, so nothing is held against it."""
    if not value:
        return Reply(status=429, body=b"")
    if value == "date":
        return Reply(status=429, headers={"retry-after": format_datetime(at + timedelta(seconds=9), usegmt=True)})
    asked.retry_after = float(value)
    return Reply(status=429, headers={"retry-after": value}, body=b"slow down")


def _answered(asked: Request, spec: OrgSpec, fault: tuple[Fault, str] | None, *, api: Api, at: datetime) -> Answered:
    numbers = api.truth.of(spec, asked.slice, at)
    org_id = spec.org_id
    match fault:
        case (Fault.PARTIAL, how) if how == "always" or (asked.run, asked.slice) not in api.answered:
            return Answered(org_id, _without(numbers, api.rng.choice(GROUPS)), partial=True)
        case (Fault.ZERO, _):
            numbers = Numbers(0, {name: dict.fromkeys(metrics, 0) for name, metrics in numbers.products.items()})
        case (Fault.DOUBLED, _):
            twice = {
                name: {metric: 2 * number for metric, number in metrics.items()}
                for name, metrics in numbers.products.items()
            }
            numbers = Numbers(numbers.users, twice)
        case (Fault.LACKING, _):
            left = {name: metrics for name, metrics in numbers.products.items() if name != "realtime"}
            numbers = Numbers(numbers.users, left)
        case (Fault.SWAPPED, _):
            org_id = api.scenario.orgs[(spec.number + 1) % len(api.scenario.orgs)].org_id
        case _:
            pass
    return Answered(org_id, numbers, partial=False)


def _without(numbers: Numbers, group: tuple[str, ...]) -> Numbers:
    """Return an answer whose group of products failed: their counts are zero."""
    products: Products = {
        name: dict.fromkeys(metrics, 0) if name in group else metrics for name, metrics in numbers.products.items()
    }
    return Numbers(numbers.users, products)


def _body(request: ApiRequest, spec: OrgSpec, numbers: Numbers, answered: Answered | None = None) -> dict[str, object]:
    metadata: dict[str, object] = {
        "type": request.population.value,
        "totalUsers": numbers.users,
        "from": request.from_,
        "to": request.to,
        "timezone": request.timezone,
        "organization": {"id": answered.org_id if answered else spec.org_id, "name": f"Org {spec.number}"},
    }
    if answered is not None and answered.partial:
        metadata["partial"] = True
    return {"status": "success", "data": {"metadata": metadata, "products": numbers.products}}


def _broken(body: dict[str, object], how: str) -> Reply:
    match how:
        case "cut":
            whole = orjson.dumps(body)
            return Reply(status=200, body=whole[: len(whole) // 2])
        case "html":
            return Reply(status=200, body=b"<html>sign in</html>")
        case "echo":
            return Reply(status=200, body=orjson.dumps(body).replace(b'"to":"2', b'"to":"1'))
        case _:
            return Reply(status=200, body=orjson.dumps(body).replace(b'"totalTests":', b'"tests":'))


def _error(message: str) -> bytes:
    return orjson.dumps({"status": "error", "message": message})
