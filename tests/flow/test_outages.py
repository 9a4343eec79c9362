"""A host that is down, told from orgs that fail; in virtual time."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import replace

import pytest

from collector.core.plan import Batch
from collector.core.retry import RetryPolicy
from collector.errors import Retriable
from collector.events import ApiDown, ApiUp, LaneEnded
from collector.fetch import Limits
from collector.model import SliceState
from tests.flow.harness import dispatch
from tests.support.fake_api import RESET, FakeApi, Script, Step, for_org, status
from tests.support.orgs import make_org, plan_days

COMPLETE, FAILED = SliceState.COMPLETE, SliceState.FAILED
DEFAULTS = Limits()


def on_two_hosts(down: int, healthy: int, days: int = 3) -> list[Batch]:
    """Orgs on a host that will be down, listed before those on a healthy one."""
    first = [plan_days(make_org(f"down-{n}", base_url="http://127.0.0.1:1"), days) for n in range(down)]
    return first + [plan_days(make_org(f"up-{n}", base_url="http://127.0.0.1:2"), days) for n in range(healthy)]


@pytest.mark.parametrize("how", ["503", "refused", "hangs"])
def test_a_host_that_is_down_delays_no_org_on_another_one(how: str) -> None:
    """40 orgs on a host that was down once kept 10 on a healthy one from ever being requested: `every org failed`."""
    failures: dict[str, Step] = {
        "503": status(503),
        "refused": RESET,
        "hangs": Retriable(code="timeout", message="no answer"),
    }
    failure = failures[how]
    api = FakeApi(
        script=lambda org, _request, _n: failure if org.name.startswith("down") else None,
        latency_s=lambda org: 30.0 if how == "hangs" and org.name.startswith("down") else 0.1,
    )
    result = dispatch(on_two_hosts(40, 10), api, DEFAULTS)
    for n in range(10):
        assert result.states(f"up-{n}") == {COMPLETE: 6}
    assert max(result.finished_at(f"up-{n}") for n in range(10)) < (140 if how == "hangs" else 30)
    assert [event.host for event in result.of(ApiDown)] == ["127.0.0.1:1"]
    ends = result.of(LaneEnded)
    assert {end.failure.code for end in ends} == {"api_down"}
    assert len(ends) == 40
    tried = {name for _, name in api.asked if name.startswith("down")}
    assert f"(orgs tried: {len(tried)})" in ends[0].failure.message
    assert {end.remaining for end in ends if end.org.name not in tried} <= {6}
    assert not any(result.states(end.org.name) for end in ends if end.org.name not in tried)


@pytest.mark.parametrize(
    ("orgs", "budget_s", "longest_s"), [(1, 10.0, 31), (5, 10.0, 61), (1, 600.0, 631), (5, 600.0, 631)]
)
def test_a_host_that_hangs_is_an_outage_and_given_up_after_the_budget(
    orgs: int, budget_s: float, longest_s: float
) -> None:
    """A host that accepts connections and never answers once cost 30 s per population, and was no outage."""
    api = FakeApi(script=lambda *_: Retriable(code="timeout", message="no answer"), latency_s=lambda _org: 30.0)
    limits = replace(DEFAULTS, retry=RetryPolicy(budget_s=budget_s))
    result = dispatch([plan_days(make_org(f"org-{n}"), 3) for n in range(orgs)], api, limits)
    assert [event.last.code for event in result.of(ApiDown)] == ["timeout"]
    assert {end.failure.code for end in result.of(LaneEnded)} == {"api_down"}
    assert all("last: no answer" in end.failure.message for end in result.of(LaneEnded))
    assert result.ended_at < longest_s


def test_an_answer_ends_the_silence_of_a_host_that_is_slow() -> None:
    """Each org hangs once: the host is never silent for the whole budget."""
    api = FakeApi(
        script=lambda _org, _request, n: Retriable(code="timeout", message="no answer") if n == 0 else None,
        latency_s=lambda _org: 30.0,
    )
    limits = replace(DEFAULTS, retry=RetryPolicy(budget_s=45.0))
    result = dispatch([plan_days(make_org("a"), 3)], api, limits)
    assert result.states() == {COMPLETE: 6}
    assert result.of(ApiDown) == []


def test_probes_go_round_over_the_orgs_of_a_host_that_is_down() -> None:
    api = FakeApi(script=lambda *_: status(503))
    result = dispatch([plan_days(make_org(f"org-{n}"), 3) for n in range(40)], api, DEFAULTS)
    (down,) = [event for event in result.events if isinstance(event, ApiDown)]
    probes = [name for at, name in api.asked][down.failures + DEFAULTS.concurrency :]
    assert len(probes) >= 8
    assert len(set(probes)) == len(probes)


def test_orgs_that_hang_take_only_half_of_the_permits_while_others_are_answered() -> None:
    """40 hanging orgs of 50 on one host once left the ten healthy ones almost nothing."""
    hanging = {f"org-{n}" for n in range(40)}
    api = FakeApi(
        script=lambda org, _request, _n: Retriable(code="timeout", message="") if org.name in hanging else None,
        latency_s=lambda org: 30.0 if org.name in hanging else 0.1,
    )
    result = dispatch([plan_days(make_org(f"org-{n}"), 30) for n in range(50)], api, DEFAULTS)
    healthy_end = max(result.finished_at(f"org-{n}") for n in range(40, 50))
    assert healthy_end < 40 / 16 * 30 + 600 / 10 * 1.07 + 30  # the first requests of all, then the pace of the limits
    assert all(result.states(f"org-{n}") == {COMPLETE: 60} for n in range(40, 50))


def test_a_few_failing_orgs_are_no_outage() -> None:
    bad: dict[str, Script] = {f"org-{n}": (lambda *_: RESET) for n in range(5)}
    result = dispatch([plan_days(make_org(f"org-{n}"), 20) for n in range(20)], FakeApi(script=for_org(bad)))
    assert sum(result.states(f"org-{n}")[COMPLETE] for n in range(5, 20)) == 15 * 40
    healthy_end = max(result.finished_at(f"org-{n}") for n in range(5, 20))
    assert healthy_end < 10


def test_orgs_that_fail_for_good_are_no_outage_though_they_are_all_that_is_left() -> None:
    bad: dict[str, Script] = {f"org-{n}": (lambda *_: status(500)) for n in range(4)}
    plans = [plan_days(make_org(f"org-{n}"), 3) for n in range(20)]
    result = dispatch(plans, FakeApi(script=for_org(bad)))
    assert result.of(ApiDown) == []
    assert result.states() == {COMPLETE: 16 * 6, FAILED: 4 * 6}
    assert {o.failure.code for _, o in result.outcomes if o.failure} == {"http_500"}


def test_when_every_org_fails_one_probe_at_a_time_asks_until_the_api_is_back() -> None:
    down = range(40, 200)

    def script(*_: object) -> Retriable | None:
        return RESET if int(asyncio.get_running_loop().time()) in down else None

    api = FakeApi(script=script)
    result = dispatch([plan_days(make_org(f"org-{n}"), 60) for n in range(20)], api, DEFAULTS)
    assert result.states() == {COMPLETE: 2400}
    assert len(result.of(ApiDown)) == len(result.of(ApiUp)) == 1
    asked_while_down = [at for at, _ in api.asked if 45 < at < 199]
    assert len(asked_while_down) < 25
    assert all(b - a >= 0.1 for a, b in itertools.pairwise(asked_while_down))


def test_an_api_that_stays_down_is_given_up_after_the_budget() -> None:
    api = FakeApi(script=lambda *_: status(502))
    result = dispatch([plan_days(make_org(f"org-{n}"), 60) for n in range(20)], api, DEFAULTS)
    assert 600 <= result.ended_at < 700
    assert len(api.asked) < 60
    assert {end.failure.code for end in result.of(LaneEnded)} == {"api_down"}
    assert sum(result.states().values()) + sum(end.remaining for end in result.of(LaneEnded)) == 2400


def test_a_host_that_answers_orgs_which_others_have_leased_is_not_down() -> None:
    result = dispatch([plan_days(make_org("a"), 20)], FakeApi(), busy=True)
    assert result.states() == {SliceState.FAILED: 40}
    assert result.of(ApiDown) == []
