"""The rules of time zones are those of the package `tzdata`, whatever the system has."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
import zoneinfo
from datetime import UTC, datetime
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import pytest
import tzdata

from collector.cli.main import run
from collector.model import Zone
from collector.zone_rules import VERSION, zone_info, zone_names
from tests.support.commands import environment

SHOW = """
import datetime, zoneinfo
from collector.config.zones import parse_zone
day = datetime.datetime(2026, 7, 1, tzinfo=datetime.UTC)
print(day.astimezone(parse_zone("America/Vancouver").tz).isoformat())
print(day.astimezone(zoneinfo.ZoneInfo("America/Vancouver")).isoformat())
"""


def test_a_system_database_with_other_rules_changes_nothing(tmp_path: Path) -> None:
    other = files(tzdata).joinpath("zoneinfo", "Asia", "Tokyo").read_bytes()
    for name in ("Vancouver", "Invented"):
        path = tmp_path / "America" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(other)
    env = environment(PYTHONTZPATH=str(tmp_path))
    shown = subprocess.run([sys.executable, "-c", SHOW], env=env, capture_output=True, text=True, check=True)
    assert shown.stdout.split() == ["2026-06-30T17:00:00-07:00", "2026-07-01T09:00:00+09:00"]
    unknown = SHOW.replace("Vancouver", "Invented")
    refused = subprocess.run([sys.executable, "-c", unknown], env=env, capture_output=True, text=True, check=False)
    assert "unknown time zone 'America/Invented'" in refused.stderr


def test_without_a_system_database_all_zones_are_there() -> None:
    code = "from collector.zone_rules import *; print(all(map(zone_info, zone_names())))"
    env = environment(PYTHONTZPATH="")
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("True\n", "")


def test_a_zone_cached_by_another_library_is_not_used() -> None:
    zone = zoneinfo.ZoneInfo("America/Vancouver")  # noqa: TID251
    assert Zone.parse("America/Vancouver").tz is not zone
    assert Zone.parse("America/Vancouver").tz is Zone.parse("America/Vancouver").tz


@pytest.mark.parametrize("name", ["../../tzdata/zones", "/etc/localtime", "localtime", "America", "europe/berlin", ""])
def test_what_is_no_name_of_a_zone_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="unknown time zone"):
        Zone.parse(name)


@pytest.mark.parametrize("name", ["Europe/Berlin", "+05:30"])
def test_zones_are_copied_and_pickled_by_their_name(name: str) -> None:
    zone, at = Zone.parse(name), datetime(2026, 7, 1, tzinfo=UTC)
    for other in (copy.deepcopy(zone), pickle.loads(pickle.dumps(zone))):  # noqa: S301
        assert (other, other.rules) == (zone, zone.rules)
        assert at.astimezone(other.tz) == at.astimezone(zone.tz)


def test_rules_are_told_apart_by_version_and_content() -> None:
    assert VERSION[:4] == version("tzdata")[:4]
    kyiv, kiev, berlin = (zone_info(name)[1] for name in ("Europe/Kyiv", "Europe/Kiev", "Europe/Berlin"))
    assert kyiv == kiev != berlin
    assert berlin.startswith(f"{VERSION} ")
    assert Zone.parse("+01:00").rules == ""
    assert {"UTC", "Europe/Kiev", "America/Vancouver"} <= zone_names()


def test_version_shows_whose_rules_are_used(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert f"(time zones: tzdata {VERSION})" in capsys.readouterr().out
