"""The OpenAPI document of the simulated endpoint.

Its patterns are those that `query` parses with. It describes nothing beyond the API's own documents; where
only the simulator has a status, it says so.
"""

from __future__ import annotations

from typing import Any

import collector
from collector.simulator import replies
from collector.simulator.endpoint import PATH
from collector.simulator.habits import POPULATIONS, PRODUCTS
from collector.simulator.query import WALL_CLOCK_PATTERN, ZONE_PATTERN

Json = dict[str, Any]

_ERROR_EXAMPLES = {
    "400": "to must be after from",
    "401": replies.UNAUTHORIZED,
    "403": replies.NOT_ADMIN,
    "405": "method not allowed",
    "429": "too many requests",
    "500": replies.UNRESOLVED,
}
_ERRORS = {
    "400": "The query is invalid; the message says why.",
    "401": "The credential is missing or refused.",
    "403": "The user is not an admin, or the role has no analytics:admin permission.",
    "405": "Any method but GET (not documented by the API).",
    "429": "A rate limit was exceeded (not documented by the API).",
    "500": "The service failed.",
}
_COUNT: Json = {"type": "integer", "format": "int64", "minimum": 0}
_ABOUT = """\
Totals of one population of one organization over a range of at most 90 days. `from` and `to`
are wall-clock times in `timezone`; the second of `to` is included. If `to` is not after `from`, or
the range is longer than 90 days, the answer is 400 (a schema can't express these rules).
"""


def document(base_url: str) -> Json:
    """Return the OpenAPI 3.1 document of the simulator at that URL."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Usage Report API (simulated)",
            "version": collector.__version__,
            "description": "A simulation for tests and demonstrations. All numbers are invented.",
        },
        "servers": [{"url": base_url}],
        "security": [{"basicAuth": []}, {"bearerAuth": []}],
        "paths": {PATH: {"get": _operation()}},
        "components": {
            "securitySchemes": {
                "basicAuth": {"type": "http", "scheme": "basic", "description": "username:access_key"},
                "bearerAuth": {"type": "http", "scheme": "bearer"},
            },
            "schemas": {"Summary": _summary(), "Error": _error()},
        },
    }


def _operation() -> Json:
    return {
        "operationId": "usageReportSummary",
        "summary": "Usage of all products in a time range",
        "description": _ABOUT,
        "parameters": [
            _parameter("type", {"type": "string", "enum": list(POPULATIONS)}, "account-user", "Whose usage."),
            _parameter(
                "from",
                {"type": "string", "pattern": WALL_CLOCK_PATTERN},
                "2026-06-23 00:00:00",
                "First second of the range, YYYY-MM-DD HH:MM:SS.",
            ),
            _parameter(
                "to",
                {"type": "string", "pattern": WALL_CLOCK_PATTERN},
                "2026-06-23 23:59:59",
                "Last second of the range, after `from`.",
            ),
            _parameter(
                "timezone",
                {"type": "string", "pattern": ZONE_PATTERN, "default": "+00:00"},
                "+05:30",
                "±HH:MM, or the minutes of JavaScript's getTimezoneOffset(): -330 is +05:30.",
                required=False,
            ),
        ],
        "responses": {
            "200": {"description": "The totals.", "content": _json("Summary")},
            **{status: _failed(status, about) for status, about in _ERRORS.items()},
        },
    }


def _parameter(name: str, schema: Json, example: str, about: str, *, required: bool = True) -> Json:
    return {
        "name": name,
        "in": "query",
        "required": required,
        "description": about,
        "schema": schema,
        "example": example,
    }


def _failed(status: str, about: str) -> Json:
    content = _json("Error")
    content["application/json"]["example"] = {"status": "error", "message": _ERROR_EXAMPLES[status]}
    response: Json = {"description": about, "content": content}
    if status == "405":
        response["headers"] = {"Allow": {"schema": {"type": "string"}, "required": True}}
    return response


def _json(schema: str) -> Json:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}


def _summary() -> Json:
    metadata = _object(
        {
            "type": {"type": "string", "enum": list(POPULATIONS)},
            "totalUsers": _COUNT,
            "from": {"type": "string", "pattern": WALL_CLOCK_PATTERN},
            "to": {"type": "string", "pattern": WALL_CLOCK_PATTERN},
            "timezone": {"type": "string", "pattern": r"^[+-][0-9]{2}:[0-9]{2}$"},
            "organization": _object({"id": {"type": "string", "pattern": "^[0-9]+$"}, "name": {"type": "string"}}),
        }
    )
    metadata["properties"]["partial"] = {
        "const": True,
        "description": "Present only if one product group failed: its counts are zero and have no meaning.",
    }
    tests = _object({"totalTests": _COUNT, "totalDuration": _COUNT})
    screenshots = _object({"totalScreenshots": _COUNT})
    products = _object({product: screenshots if product == "smartui" else tests for product in PRODUCTS})
    return _object({"status": {"const": "success"}, "data": _object({"metadata": metadata, "products": products})})


def _error() -> Json:
    return _object({"status": {"const": "error"}, "message": {"type": "string"}})


def _object(properties: Json) -> Json:
    return {"type": "object", "properties": properties, "required": list(properties)}
