"""The job as a Singer tap of the Meltano SDK: a partition for each org and population, a page for each day.

python singer_tap.py --config config.json
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any

import requests
from singer_sdk import RESTStream, Tap
from singer_sdk import typing as th
from singer_sdk.pagination import BaseAPIPaginator
from singer_sdk.streams.rest import HTTPRequest, PageContext

ORG = th.ObjectType(th.Property("username", th.StringType), th.Property("access_key", th.StringType, secret=True))


class Days(BaseAPIPaginator[date]):
    """A page for each day."""

    def __init__(self, first: date, last: date) -> None:
        super().__init__(first)
        self._last = last

    def has_more(self, response: requests.Response) -> bool:
        return self.current_value < self._last

    def get_next(self, response: requests.Response) -> date:
        return self.current_value + timedelta(days=1)


class Usage(RESTStream[date]):
    """The summary of a day."""

    name = "usage"
    primary_keys = ("username", "population", "day")
    replication_key = "day"
    state_partitioning_keys = ("username", "population")
    records_jsonpath = "$.data"
    schema = th.PropertiesList(
        th.Property("username", th.StringType),
        th.Property("population", th.StringType),
        th.Property("day", th.DateType),
        th.Property("metadata", th.ObjectType(additional_properties=True)),
        th.Property("products", th.ObjectType(additional_properties=True)),
    ).to_dict()

    @property
    def url_base(self) -> str:
        return str(self.config["base_url"])

    @property
    def path(self) -> str:
        return str(self.config["path"])

    @property
    def partitions(self) -> list[dict[str, Any]]:
        return [
            {"username": org["username"], "population": population}
            for population in self.config["populations"]
            for org in self.config["orgs"]
        ]

    def get_new_paginator(self) -> Days:
        days = self.config["days"]
        return Days(date.fromisoformat(days[0]), date.fromisoformat(days[-1]))

    def get_http_request(self, *, page: PageContext[date]) -> HTTPRequest:
        request = super().get_http_request(page=page)
        assert page.stream_context is not None
        username = page.stream_context["username"]
        key = next(org["access_key"] for org in self.config["orgs"] if org["username"] == username)
        request.headers["Authorization"] = f"Basic {b64encode(f'{username}:{key}'.encode()).decode()}"
        return request

    def get_url_params(self, context: Any, next_page_token: date | None) -> dict[str, Any]:
        times = {"from": f"{next_page_token} 00:00:00", "to": f"{next_page_token} 23:59:59", "timezone": "+00:00"}
        return times | {"type": context["population"]}

    def post_process(self, row: dict[str, Any], context: Any = None) -> dict[str, Any]:
        return row | {"day": row["metadata"]["from"][:10]}


class UsageReport(Tap):
    """The Usage Report API."""

    name = "tap-usage-report"
    config_jsonschema = th.PropertiesList(
        th.Property("base_url", th.StringType, required=True),
        th.Property("path", th.StringType, required=True),
        th.Property("orgs", th.ArrayType(ORG)),
        th.Property("populations", th.ArrayType(th.StringType)),
        th.Property("days", th.ArrayType(th.StringType)),
    ).to_dict()

    def discover_streams(self) -> Iterable[Usage]:
        return [Usage(self)]


UsageReport.cli()
