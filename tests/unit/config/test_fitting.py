from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from collector.config import fitting, load
from collector.config.fitting import SAFE_SPAN, longest_window
from collector.core.windows import Calendar
from collector.model import Granularity, Window, Zone
from collector.zone_rules import zone_names
from tests.unit.config.cases import CONFIG, write

ZONES = ("Antarctica/Troll", "Antarctica/Casey", "Australia/Lord_Howe", "Pacific/Apia", "Africa/Casablanca", "+05:30")


@pytest.mark.parametrize("zone", [Zone.parse(name) for name in ZONES], ids=lambda zone: zone.name)
@pytest.mark.parametrize("granularity", [Granularity.DAY, Granularity.WEEK, Granularity.MONTH])
def test_longest_window_equals_the_longest_of_the_whole_calendar(zone: Zone, granularity: Granularity) -> None:
    calendar = Calendar(zone, granularity)
    years = calendar.widen(Window(datetime(2010, 1, 1, tzinfo=UTC), datetime(2021, 1, 1, tzinfo=UTC)))
    assert longest_window(zone, granularity, 2020) == max(window.elapsed for window in calendar.split(years))


def test_longest_hour_is_one_in_which_the_clock_goes_back_by_half_an_hour() -> None:
    assert longest_window(Zone.parse("Australia/Lord_Howe"), Granularity.HOUR, 2020) == timedelta(minutes=90)
    assert longest_window(Zone.parse("Antarctica/Troll"), Granularity.HOUR, 2020) == timedelta(hours=1)


def test_no_window_of_any_zone_is_longer_than_the_safe_span() -> None:
    for name in zone_names():
        assert longest_window(Zone.parse(name), Granularity.DAY, 2014) < SAFE_SPAN[Granularity.DAY], name


def test_zones_are_not_scanned_if_max_span_is_safe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "longest_window", None)
    text = "api: {max_span: 2d}\norgs:\n- {name: a, token_env: T, timezone: Antarctica/Troll}\n"
    assert load(write(tmp_path / CONFIG, text), environ={"T": "x"}).orgs
