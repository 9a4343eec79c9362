"""Which hosts the progress shows as down: from the first probe until an answer comes or the host is given up."""

from __future__ import annotations

import pytest

from collector.errors import Rejected, Retriable
from collector.events import ApiDown, ApiUp, Event, LaneEnded
from collector.model import SliceState
from collector.run.progress import Progress
from tests.support.orgs import make_org

ORG = make_org("acme")
HOST = ORG.host
DOWN = ApiDown(host=HOST, failures=10, last=Retriable(code="http_503", message="unavailable"))


def ended(code: str) -> LaneEnded:
    return LaneEnded(org=ORG, state=SliceState.NOT_ASKED, failure=Rejected(code=code, message=code), remaining=3)


@pytest.mark.parametrize(
    ("event", "down"),
    [
        (ApiUp(host=HOST, down_s=3.0), set()),
        (ApiUp(host="other.example.test", down_s=3.0), {HOST}),
        (ended("api_down"), set()),  # the run gave the host up: nothing probes it any more
        (ended("http_500"), {HOST}),
    ],
)
def test_a_host_is_down_until_it_answers_or_is_given_up(event: Event, down: set[str]) -> None:
    progress = Progress()
    progress.note(DOWN)
    assert progress.hosts_down == {HOST}
    progress.note(event)
    assert progress.hosts_down == down
