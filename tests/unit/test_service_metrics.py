"""What `/metrics` says of the service and of each org, given what operators see."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from collector.adapters.metrics import LoopLag, new_registry
from collector.core.budgets import BudgetMetric
from collector.core.org_coverage import CredentialStanding, CredentialStatus
from collector.core.schedule import Schedule
from collector.errors import RefusalReason
from collector.events import OrgPlanned
from collector.model import Population, ProductUsage, Zone
from collector.run.progress import Progress
from collector.service.metrics import ServiceMetrics, longest_interval_s
from collector.service.org_metrics import PRODUCTS, OrgMetrics
from collector.service.org_text import Wanted
from collector.service.view import CurrentRun, Observed, RunView
from tests.support.budgets import budget, standing
from tests.support.metrics import Samples, labels_of, parsed, samples_of, value, who
from tests.support.orgs import make_org
from tests.support.views import DAY, NOW, observed, org_view, population_view
from tests.support.virtual_time import VirtualLoop, run_virtual

HUMANS, SERVICES = Population.ACCOUNT_USER, Population.SERVICE_USER
BEHIND = population_view(
    HUMANS,
    counts={"complete": 20, "partial": 3, "missing": 2},
    newest_complete=NOW - 4 * DAY,
    newest_due=NOW - DAY,
    last_success=NOW - 4 * DAY,
)
REFUSED = CredentialStatus(standing=CredentialStanding.REFUSED, reason=RefusalReason.NOT_ADMIN)


def scraped(observed: Observed, wanted: Wanted | None = None) -> Samples:
    return parsed(ServiceMetrics(observed, lambda: wanted or Wanted()).text().decode())


def test_lag_success_and_lacking_windows_are_there_for_each_org_and_population() -> None:
    samples = scraped(observed(org_view("a"), org_view("b", populations=[BEHIND, population_view(SERVICES)])))
    assert value(samples, "org_lag_seconds", **who("a", HUMANS)) == 0
    assert value(samples, "org_lag_seconds", **who("b", HUMANS)) == 3 * 86400
    assert value(samples, "org_last_success_timestamp_seconds", **who("b", HUMANS)) == (NOW - 4 * DAY).timestamp()
    assert value(samples, "org_lacking_windows", **who("b", HUMANS), state="partial") == 3
    assert value(samples, "org_lacking_windows", **who("b", HUMANS), state="missing") == 2
    assert labels_of(samples, "org_lacking_windows") == {
        frozenset((*who("b", HUMANS).items(), ("state", state))) for state in ("partial", "missing")
    }, "a state in which no window is has no series: with thousands of orgs most would be zero"


def test_the_fleet_is_summed_up_with_and_without_series_per_org() -> None:
    orgs = [org_view("a"), org_view("b", populations=[BEHIND]), org_view("c", credential=REFUSED)]
    for per_org in (True, False):
        samples = scraped(observed(*orgs), Wanted(per_org=per_org))
        assert value(samples, "orgs") == 3
        assert value(samples, "orgs_behind") == 1
        assert value(samples, "max_lag_seconds") == 3 * 86400
        assert value(samples, "orgs_refused", reason="not_admin") == 1
        assert value(samples, "orgs_refused", reason="credential") == 0
        assert value(samples, "orgs_lacking", state="partial") == 1
        assert value(samples, "lacking_windows", state="partial") == 3
        assert value(samples, "oldest_last_success_timestamp_seconds") == (NOW - 4 * DAY).timestamp()


def test_without_org_metrics_no_label_names_an_org() -> None:
    samples = scraped(observed(org_view("acme", credential=REFUSED)), Wanted(per_org=False, usage=True))
    assert not [labels for _, labels in samples if any(name == "org" or "acme" in text for name, text in labels)]


def test_a_refused_credential_shows_until_it_is_accepted() -> None:
    seen = observed(org_view("a", credential=REFUSED))
    metrics = ServiceMetrics(seen)
    assert value(parsed(metrics.text().decode()), "org_refused", org="a") == 1
    seen.orgs = {"a": org_view("a")}
    assert value(parsed(metrics.text().decode()), "org_refused", org="a") == 0


@settings(max_examples=50)
@given(st.lists(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 5)), max_size=6), max_size=5))
def test_what_is_kept_between_scrapes_never_shows(snapshots: list[list[tuple[str, int]]]) -> None:
    views = {
        (name, partial): org_view(name, populations=[population_view(HUMANS, counts={"partial": partial})])
        for name in "abcd"
        for partial in range(6)
    }
    seen = observed()
    metrics = ServiceMetrics(seen, lambda: Wanted(usage=True))
    for snapshot in snapshots:
        seen.orgs = {name: views[name, partial] for name, partial in snapshot}
        shown = parsed(metrics.text().decode())
        afresh = samples_of(OrgMetrics(orgs=seen.orgs, usage=True, removed=0))
        assert {
            key: number for key, number in shown.items() if key in afresh or key[0].startswith("collector_org")
        } == afresh


def test_runs_of_other_commands_on_the_same_ledger_are_none_of_the_services() -> None:
    backfill = RunView(run_id="1", command="backfill", started_at=NOW - DAY, ended_at=NOW, exit_code=5, why="")
    text = ServiceMetrics(observed(runs=[backfill])).text().decode()
    assert '"backfill"' not in text, "its full disk of last month would be an alert for ever"


def test_an_org_that_left_the_config_leaves_the_metrics() -> None:
    seen = observed(org_view("a"), org_view("b"))
    metrics = ServiceMetrics(seen)
    assert 'org="b"' in metrics.text().decode()
    seen.orgs = {"a": seen.orgs["a"]}
    assert 'org="b"' not in metrics.text().decode()


def test_usage_is_shown_on_demand_for_the_newest_due_window() -> None:
    usage = {
        "automation": ProductUsage(total_tests=8450, total_duration=312540),
        "smartui": ProductUsage(total_screenshots=0),
    }
    orgs = observed(org_view("a", populations=[population_view(HUMANS, newest_usage=usage)]))
    assert not labels_of(scraped(orgs), "org_usage")
    samples = scraped(orgs, Wanted(usage=True))
    assert value(samples, "org_usage", **who("a", HUMANS), product="automation", metric="tests") == 8450
    assert value(samples, "org_usage", **who("a", HUMANS), product="smartui", metric="screenshots") == 0
    assert len(labels_of(samples, "org_usage")) == 3, "a metric that a product doesn't have has no series"
    assert value(samples, "org_users", **who("a", HUMANS)) == 3
    end = (NOW - timedelta(hours=12)).timestamp()
    assert value(samples, "org_usage_window_end_timestamp_seconds", **who("a", HUMANS)) == end


def test_products_that_the_api_invents_are_bounded_and_summed_as_other() -> None:
    usage = {f"product-{number:03}": ProductUsage(total_tests=1) for number in range(500)}
    orgs = observed(org_view("a", populations=[population_view(HUMANS, newest_usage=usage)]))
    metrics = ServiceMetrics(orgs, lambda: Wanted(usage=True))
    samples = parsed(metrics.text().decode())
    shown = labels_of(samples, "org_usage")
    assert len(shown) == PRODUCTS - 6 + 1, "the documented ones keep their places"
    others = value(samples, "org_usage", **who("a", HUMANS), product="other", metric="tests")
    assert others == 500 - (PRODUCTS - 6)
    orgs.orgs = dict(orgs.orgs)
    assert labels_of(parsed(metrics.text().decode()), "org_usage") == shown, "the same from scrape to scrape"


@given(st.text(min_size=1, max_size=300))
def test_any_name_of_an_org_survives_the_exposition_format(name: str) -> None:
    text = ServiceMetrics(observed(org_view(name))).text().decode()
    named = {
        sample.labels["org"]
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "collector_org_refused"
    }
    assert named == {name}


def test_a_name_that_utf_8_cannot_hold_breaks_no_scrape() -> None:
    assert 'org="a?b"' in ServiceMetrics(observed(org_view("a\ud800b"))).text().decode()


def test_next_run_queue_and_snapshot_are_shown() -> None:
    progress = Progress()
    progress.note(OrgPlanned(org=make_org("a"), slices=5))
    progress.note(OrgPlanned(org=make_org("b"), slices=2))
    seen = observed(org_view("a"), current=CurrentRun(run_id="1", started_at=NOW, progress=progress))
    samples = scraped(seen)
    assert value(samples, "next_run_timestamp_seconds") == (NOW + timedelta(minutes=20)).timestamp()
    assert value(samples, "next_reconcile_timestamp_seconds") == (NOW + timedelta(days=3)).timestamp()
    assert value(samples, "schedule_interval_seconds") == 3600
    assert value(samples, "run_under_way") == 1
    assert value(samples, "queue_slices") == 7
    assert value(samples, "snapshot_timestamp_seconds") == NOW.timestamp()
    seen.current = None
    assert value(scraped(seen), "run_under_way") == value(scraped(seen), "queue_slices") == 0


def test_budgets_are_shown_as_ratios_and_what_is_not_known_has_no_series() -> None:
    dark = standing(budget("dark", "5.50", BudgetMetric.COST), None, None, unknown=7)
    samples = scraped(observed(budgets=[standing(unknown=3), dark], budgets_read_at=NOW))
    assert value(samples, "budget_used_ratio", budget="all") == 0.5
    assert value(samples, "budget_forecast_ratio", budget="all") == 0.9
    assert value(samples, "budget_unknown_windows", budget="all") == 3
    assert value(samples, "budget_unknown_windows", budget="dark") == 7
    assert value(samples, "budget_amount", budget="dark", metric="cost") == 5.5
    assert value(samples, "budgets_read_timestamp_seconds") == NOW.timestamp()
    for name in ("budget_used_ratio", "budget_forecast_ratio"):
        assert labels_of(samples, name) == {frozenset({("budget", "all")})}
    assert not labels_of(scraped(observed()), "budgets_read_timestamp_seconds")


def test_budgets_of_a_shard_say_which_part_they_are() -> None:
    seen = observed(budgets=[standing(budget("\ud800"))], budgets_read_at=NOW, shard="0/4", shards=4)
    samples = scraped(seen)
    assert value(samples, "budget_used_ratio", budget="?", part="0/4") == 0.5
    assert value(samples, "budget_amount", budget="?", metric="tests", part="0/4") == 1000


def test_a_refused_config_shows_until_one_is_accepted() -> None:
    seen = observed(org_view())
    assert value(scraped(seen), "config_last_reload_successful") == 1
    seen.config_refused_at = NOW
    samples = scraped(seen)
    assert value(samples, "config_last_reload_successful") == 0
    assert value(samples, "config_last_reload_failure_timestamp_seconds") == NOW.timestamp()
    assert value(samples, "config_last_reload_success_timestamp_seconds") == (NOW - DAY).timestamp()


def test_the_end_of_a_run_and_the_exception_that_ended_it_are_shown() -> None:
    run = RunView(run_id="1", command="serve", started_at=NOW - DAY, ended_at=NOW, exit_code=0, why="")
    seen = observed(org_view(), runs=[run])
    metrics = ServiceMetrics(seen)
    samples = parsed(metrics.text().decode())
    assert value(samples, "last_run_end_timestamp_seconds", command="serve") == NOW.timestamp()
    metrics.run_ended(replace(run, exit_code=None, exception="KeyError"))
    samples = samples_of(metrics.registry)
    assert value(samples, "run_exceptions_total", exception="KeyError") == 1
    assert value(samples, "last_run_exit_code", command="serve") == 1


def test_two_services_in_one_process_share_nothing() -> None:
    one, other = ServiceMetrics(observed(org_view("a"))), ServiceMetrics(observed(org_view("b")))
    assert 'org="a"' not in other.text().decode()
    assert one.registry is not other.registry


def test_what_the_official_client_tells_of_a_process_is_there_once() -> None:
    text = ServiceMetrics(observed()).text().decode()
    for name in (
        "process_resident_memory_bytes",
        "process_open_fds",
        "python_gc_objects_collected_total",
        "python_info",
    ):
        assert text.count(f"# TYPE {name} ") == 1
    assert "_created" not in text


@pytest.mark.parametrize(
    ("cron", "hours"),
    [("20 * * * *", 1), ("0 6 * * *", 24), ("0 6 * * 1-5", 72), ("0 8-18 * * 1-5", 62), ("0 6 * * 1", 168)],
)
def test_the_interval_of_a_schedule_is_its_longest_pause(cron: str, hours: float) -> None:
    schedule = Schedule(cron, Zone.parse("UTC"))
    for day in range(7):
        assert longest_interval_s(schedule, NOW + day * DAY) == hours * 3600


def test_a_schedule_of_one_day_a_year_is_no_endless_search() -> None:
    yearly = Schedule("0 0 29 2 *", Zone.parse("UTC"))
    assert longest_interval_s(yearly, datetime(2026, 1, 1, tzinfo=UTC)) == (4 * 365 + 1) * 86400


def test_a_loop_that_is_held_up_shows() -> None:
    async def main() -> Samples:
        registry = new_registry()
        measuring = asyncio.create_task(LoopLag(registry).measure())
        await asyncio.sleep(5.2)
        measuring.cancel()
        return samples_of(registry)

    samples = run_virtual(main())
    assert value(samples, "event_loop_lag_seconds_count") == 10
    assert value(samples, "event_loop_lag_seconds_sum") == pytest.approx(0)


def test_a_second_in_which_nothing_else_runs_is_a_second_of_lag() -> None:
    async def main() -> Samples:
        registry = new_registry()
        loop = asyncio.get_running_loop()
        measuring = asyncio.create_task(LoopLag(registry).measure())
        await asyncio.sleep(0.05)
        assert isinstance(loop, VirtualLoop)
        loop.hold_up(1.0)  # as a defect would
        await asyncio.sleep(0.05)
        measuring.cancel()
        return samples_of(registry)

    samples = run_virtual(main())
    assert value(samples, "event_loop_lag_seconds_sum") == pytest.approx(0.55)  # its timer was due after half a second
