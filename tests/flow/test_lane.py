"""When a lane may be given its next batch, and when its lease may be released."""

from __future__ import annotations

from dataclasses import replace

from collector.core.plan import Batch, Rest
from collector.core.retry import RetryPolicy
from collector.fetch import Lane
from collector.fetch.outage import Outage
from collector.model import Answer
from tests.flow.harness import FAST
from tests.support.fake_api import RESET
from tests.support.orgs import make_org, plan_days

ANSWER = Answer(org_id="1", org_name="Acme", users=0, products={})
DAYS = plan_days(make_org(), 3).slices
FIRST = Batch(org=make_org(), slices=DAYS[:2], behind=Rest().before(DAYS[2:]))
NEXT = Batch(org=make_org(), slices=DAYS[2:])


def lane_with_a_retry(*, failures: int) -> Lane:
    """Return a lane whose batch is begun: one slice was answered, the other waits after so many failures."""
    lane = Lane.of(make_org(), FAST, Outage("api", RetryPolicy()))
    lane.begin(FIRST, now=0.0)
    lane.received(lane.take(0.0), ANSWER, now=0.0, jitter=0.0, probe=False)
    for attempt in range(failures):
        lane.received(lane.take(100.0 * attempt), RESET, now=100.0 * attempt, jitter=0.0, probe=False)
    return lane


def test_a_lane_of_which_only_a_retry_is_left_takes_another_batch() -> None:
    lane = lane_with_a_retry(failures=1)
    assert lane.stalled
    lane.expect()
    lane.begin(NEXT, now=0.0)
    assert lane.take(0.0).slice == DAYS[2]


def test_while_a_batch_is_on_its_way_no_other_is_planned_and_the_lease_is_kept() -> None:
    """The leasing looked again before the fetching had taken the batch, and planned the same slices a second time."""
    lane = lane_with_a_retry(failures=1)
    lane.expect()
    assert not lane.stalled
    assert not lane.idle
    lane.begin(replace(NEXT, slices=()), now=0.0)  # another process has fetched what was left
    assert lane.idle


def test_a_failing_lane_takes_no_other_batch_since_it_would_begin_no_slice_of_it() -> None:
    lane = lane_with_a_retry(failures=3)
    assert lane.idle
    assert lane.waiting
    assert not lane.stalled
