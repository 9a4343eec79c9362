"""The status as JSON, whatever numbers the API reports."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from collector.model import Population, ProductUsage
from collector.service.web.status_json import status_bytes
from tests.support.views import NOW, observed, org_view, population_view

MOST = 2**63 - 1  # of one count


def document(*tests: int | None) -> dict[str, Any]:
    usage = {"automation": ProductUsage(total_tests=MOST, total_duration=MOST)}
    populations = [population_view(one, tests=tests, newest_usage=usage, newest_users=MOST) for one in Population]
    seen = observed(org_view("caf\u00e9", populations=populations), org_view("b"))
    seen = replace(seen, config_problems=(), warnings=("w\u00e4rning",))
    sent = status_bytes(seen, now=NOW)
    assert sent.endswith(b"}\n")
    found = json.loads(sent)
    assert isinstance(found, dict)
    return found


def test_sums_of_more_than_64_bits_are_written_as_they_are_and_change_nothing_else() -> None:
    """2^63 - 1 tests of three products of one org once made the document of all orgs a 500."""
    small, large = document(1, None), document(3 * MOST, None)
    assert [one["tests"] for one in large["orgs"][0]["populations"]] == [[3 * MOST, None]] * 2
    for one in (*small["orgs"][0]["populations"], *large["orgs"][0]["populations"]):
        del one["tests"]
    assert large == small
