"""Times, names and commands as people read and copy them."""

from __future__ import annotations

import subprocess
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from collector.adapters.text import shell_word
from collector.errors import RefusalReason
from collector.model import Granularity, Window
from collector.service.web.advice import advice
from collector.service.web.text import dates, local_dates, relative, when, window_text
from tests.support.needs import need

TABLE = Path(__file__).parents[3] / "docs" / "troubleshooting.md"
NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "just now"), (1.9, "just now"), (2, "2 s ago"), (89, "89 s ago"), (90, "2 min ago"), (600, "10 min ago"),
        (89 * 60, "89 min ago"), (91 * 60, "2 h ago"), (35 * 3600, "35 h ago"), (37 * 3600, "2 d ago"),
        (400 * 86_400, "400 d ago"), (-1, "now"), (-50, "in 50 s"), (-3000, "in 50 min"), (-86_400, "in 24 h"),
    ],
)  # fmt: skip
def test_how_long_ago_in_the_one_unit_that_says_most(seconds: float, text: str) -> None:
    assert relative(seconds) == text


def test_an_instant_is_told_in_the_zone_of_the_org_with_its_offset() -> None:
    told = when(datetime(2026, 11, 1, 6, 30, tzinfo=UTC), now=NOW, zone="America/New_York")
    assert told.exact == "2026-11-01 01:30:00 America/New_York (-05:00)"  # the second half past one of that night
    assert told.iso == "2026-11-01T01:30:00-05:00"
    assert when(NOW, now=NOW, zone="+05:30").exact == "2026-11-01 17:30:00 +05:30"
    assert when(NOW, now=NOW).exact == "2026-11-01 12:00:00 UTC"


def test_days_and_hours_of_a_window_are_those_of_the_org() -> None:
    night = Window(datetime(2026, 6, 1, 4, tzinfo=UTC), datetime(2026, 6, 3, 4, tzinfo=UTC))
    assert local_dates(night, "America/New_York") == (date(2026, 6, 1), date(2026, 6, 2))
    assert window_text(night, "America/New_York", Granularity.DAY) == "2026-06-01 to 06-02"
    assert window_text(night, "America/New_York", Granularity.HOUR) == "2026-06-01 00:00 to 2026-06-03 00:00"
    hours = Window(night.start, night.start + timedelta(hours=3))
    assert window_text(hours, "America/New_York", Granularity.HOUR) == "2026-06-01 00:00 to 03:00"
    assert dates(date(2025, 12, 31), date(2026, 1, 2)) == "2025-12-31 to 2026-01-02"


@pytest.mark.parametrize(
    "name",
    ["acme", "two words", "it's", "a'b\"c", "$HOME `id`", "\u202egnp.exe", "ü\u200db\\c'd", "\U000e0041x", "-rf"],
)
def test_a_command_can_be_copied_whatever_the_name_is(name: str) -> None:
    word = shell_word(name)
    assert word.isprintable()
    need("bash", package="bash")
    shown = subprocess.run(
        ["bash", "-c", f"printf %s {word}"], capture_output=True, check=True, env={"LC_ALL": "C.UTF-8"}
    )
    assert shown.stdout.decode() == name


@pytest.mark.parametrize("reason", [RefusalReason.CREDENTIAL, RefusalReason.NOT_ADMIN, RefusalReason.PERMISSION])
def test_what_to_do_stands_in_the_same_words_in_the_documents(reason: RefusalReason) -> None:
    row = next(line for line in TABLE.read_text().splitlines() if advice(reason).means in line)
    assert advice(reason).do in row


def test_there_is_advice_for_each_reason_and_for_none() -> None:
    told = [advice(reason) for reason in (*RefusalReason, None)]
    assert all(one.title and one.means and one.do for one in told)
    assert advice(RefusalReason.DUPLICATE).do in TABLE.read_text()
