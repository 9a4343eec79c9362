"""An org whose file is moved away is reported by each run and everywhere, until a person forgets it."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from structlog.testing import capture_logs

from collector.app.forget import forget_orgs
from collector.core.ledger_entries import RemovedOrg
from collector.errors import ConfigError, LedgerError
from collector.ledger import open_reader
from collector.service.metrics import ServiceMetrics
from collector.service.org_metrics import OrgMetrics
from collector.service.web.assets import load_assets
from collector.service.web.choice import Choice
from collector.service.web.page import Page
from collector.service.web.status_json import status_document
from tests.flow.world import DAY, NOON, World
from tests.support.fake_api import FakeClock
from tests.support.orgs import make_org
from tests.support.views import NOW, observed, org_view

A, B, C = (make_org(name) for name in "abc")


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Three orgs that were collected, of which two are left in the config."""
    world = World(tmp_path, orgs=[A, B, C])
    world.collect(NOON)
    world.orgs = [A, C]
    return world


def reported(world: World, now: datetime) -> list[MutableMapping[str, Any]]:
    """What a run logs of removed orgs."""
    with capture_logs() as logs:
        world.collect(now)
    return [log for log in logs if log["event"] == "orgs.removed"]


def removed(world: World) -> list[RemovedOrg]:
    ledger = open_reader(world.ledger_url)
    assert ledger is not None
    try:
        return list(ledger.removed([org.name for org in world.orgs]))
    finally:
        ledger.close()


def forget(world: World, *names: str) -> list[str]:
    return [one.name for one in forget_orgs(world.config, names, FakeClock(NOON + 3 * DAY))]


def test_each_run_reports_an_org_that_the_config_no_longer_has(world: World) -> None:
    for n in (1, 2):
        (log,) = reported(world, NOON + n * DAY)
        assert (log["log_level"], log["orgs"], log["orgs_left_out"]) == ("warning", ["b"], 0)
        assert log["message"].startswith("1 org that earlier runs had is no longer in the config")
    (one,) = removed(world)
    assert (one.name, one.org_id, one.since) == ("b", "id-b", NOON + DAY)


def test_an_org_that_is_forgotten_is_not_reported_and_its_records_are_not_fetched_again(world: World) -> None:
    world.collect(NOON + DAY)
    assert forget(world, "b") == ["b"]
    assert reported(world, NOON + 2 * DAY) == []
    assert removed(world) == []
    before = [record["record_id"] for record in world.records if record["org"] == "b"]
    world.orgs = [A, B, C]
    assert reported(world, NOON + 3 * DAY) == []
    after = [record["record_id"] for record in world.records if record["org"] == "b"]
    assert len(after) == len({*after}) > len(before), "what it missed is fetched, and nothing twice"
    world.orgs = [A, C]
    assert reported(world, NOON + 4 * DAY)[0]["orgs"] == ["b"]


def test_an_org_can_be_forgotten_before_a_run_has_noticed_it(world: World) -> None:
    assert forget(world, "b") == ["b"]
    assert reported(world, NOON + DAY) == []


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (["b", "a"], "a is in the config: remove it there first"),
        (["bb"], "no org that this config had and no longer has is called 'bb'; did you mean 'b'?"),
        (["zzz"], "no org that this config had and no longer has is called 'zzz'; those that are: b"),
    ],
)
def test_nothing_is_forgotten_if_one_of_the_names_is_wrong(world: World, names: list[str], why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        forget(world, *names)
    assert str(caught.value) == why
    assert [one.name for one in removed(world)] == ["b"]


def test_without_a_ledger_nothing_is_forgotten_and_none_is_created(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="there is no ledger"):
        forget(World(tmp_path), "b")
    assert list(tmp_path.iterdir()) == []


def test_many_removed_orgs_are_one_line(tmp_path: Path) -> None:
    world = World(tmp_path, orgs=[A, *(make_org(f"o{n:02}") for n in range(30))])
    world.collect(NOON)
    world.orgs = [A]
    (log,) = reported(world, NOON + DAY)
    assert (len(log["orgs"]), log["orgs_left_out"]) == (20, 10)


# --- what operators see ---------------------------------------------------------------------

GONE = RemovedOrg(key=7, name="b<b>", org_id="42", org_name="Beta", since=NOW - DAY)


def shown(metrics: str) -> Mapping[str, str]:
    return dict(line.rsplit(" ", 1) for line in metrics.splitlines() if line.startswith("collector_orgs_removed"))


def test_page_json_and_metrics_show_what_the_config_no_longer_has() -> None:
    seen = observed(org_view("a"), removed=[GONE])
    document = status_document(seen, now=NOW)
    (part,) = document.orgs_removed
    assert (part.org, part.org_id, part.org_name, part.since) == ("b<b>", "42", "Beta", NOW - DAY)
    assert document.headline == "1 org is no longer in the config"
    page = Page(load_assets()).overview(seen, Choice(), now=NOW).decode()
    assert "1 org is no longer in the config" in page
    assert "b&lt;b&gt;" in page
    assert "b<b>" not in page
    assert "collector forget -c collector.yaml &#39;b&lt;b&gt;&#39;" in page
    assert shown(ServiceMetrics(seen).text().decode()) == {"collector_orgs_removed": "1.0"}
    assert shown(ServiceMetrics(observed(org_view("a"))).text().decode()) == {"collector_orgs_removed": "0.0"}


def test_pushed_metrics_have_the_number_too() -> None:
    registry = CollectorRegistry()
    registry.register(OrgMetrics(orgs={"a": org_view("a")}, removed=2))
    assert shown(generate_latest(registry).decode()) == {"collector_orgs_removed": "2.0"}
