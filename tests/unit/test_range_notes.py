"""Notes about a range: what the collector changed of it, or why it selects nothing, once for all orgs alike."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from collector.app.range_notes import RangeNote, range_notes
from collector.config import load
from collector.core.ranges import Between, Last, Moment, Range
from collector.core.wanted import Sparse
from collector.model import Window

CONFIG = """\
orgs:
- {{name: acme, token_env: T{keys}}}
- {{name: globex, token_env: T, timezone: Asia/Kolkata{keys}}}
- {{name: initech, token_env: T{keys}}}
- {{name: umbrella, token_env: T{keys}}}
"""
EVENING = datetime(2026, 6, 24, 18, 20, tzinfo=UTC)
NIGHT = datetime(2026, 6, 24, 0, 10, tzinfo=UTC)  # yesterday is not due in any of the zones
DUE = "a day is due 6h after its end (`schedule.settle`)"


def days(count: int) -> Last:
    return Last(timedelta(days=count))


def between(start: str, end: str) -> Between:
    return Between(Moment.parse(start), Moment.parse(end))


def notes(
    tmp_path: Path,
    range_: Range,
    *,
    now: datetime,
    keys: str = "",
    kolkata: bool = True,
    sparse: Sparse | None = None,
) -> list[RangeNote]:
    file = tmp_path / "collector.yaml"
    content = CONFIG if kolkata else CONFIG.replace(", timezone: Asia/Kolkata", "")
    file.write_text(content.format(keys=f", {keys}" if keys else ""))
    config = load(file, environ={"T": "t"})
    return range_notes(config, config.orgs, range_, now=now, sparse=sparse)


def test_whole_days_that_are_all_due_need_no_note(tmp_path: Path) -> None:
    assert notes(tmp_path, between("2026-06-01", "2026-06-10"), now=NIGHT) == []
    assert notes(tmp_path, days(7), now=datetime(2026, 6, 24, 6, 0, tzinfo=UTC)) == []


def test_the_last_days_are_one_fewer_while_yesterday_is_not_due_and_that_is_a_note(tmp_path: Path) -> None:
    assert notes(tmp_path, days(7), now=NIGHT) == [
        RangeNote(f"4 orgs (acme, globex, …): the range ends with 2026-06-22: later days are not due yet; {DUE}")
    ]


@pytest.mark.parametrize(
    ("range_", "now", "keys", "why"),
    [
        (between("2026-07-01", "2026-07-05"), NIGHT, "", f"the range is in the future; {DUE}"),
        (between("2026-06-24", "2026-06-24"), EVENING, "", f"no day of the range is due yet; {DUE}"),
        (days(1), NIGHT, "", f"the days that ended within the last 1d are not due yet; {DUE}"),
        (between("2026-06-01", "2026-06-04"), NIGHT, "since: 2026-06-05",
         "nothing before 2026-06-05 00:00 is wanted (`since`)"),
        (days(2), EVENING, "granularity: week",
         "no week ended within the last 2d; the newest ended at 2026-06-22 00:00. Write --last 7d or longer"),
        (Last(timedelta(minutes=10)), EVENING, "granularity: hour",
         "no hour ended within the last 10m; the newest ended at 2026-06-24 18:00. Write --last 1h or longer"),
    ],
)  # fmt: skip
def test_a_range_that_selects_nothing_is_one_warning_that_says_why(
    range_: Range, now: datetime, keys: str, why: str, tmp_path: Path
) -> None:
    warning = RangeNote(f"4 orgs (acme, globex, …): nothing will be fetched: {why}", warns=True)
    assert notes(tmp_path, range_, now=now, keys=keys, kolkata=False) == [warning]


def test_what_was_widened_is_a_note(tmp_path: Path) -> None:
    assert [str(note) for note in notes(tmp_path, between("2026-06-01T10:00", "2026-06-03"), now=EVENING)] == [
        "4 orgs (acme, globex, …): the range 2026-06-01 10:00 to 2026-06-04 00:00 is widened to whole days"
    ]


def test_a_since_within_the_range_is_a_note(tmp_path: Path) -> None:
    since = date(2026, 6, 5)
    found = notes(tmp_path, between("2026-06-01", "2026-06-10"), now=EVENING, keys=f"since: {since}")
    assert [str(note) for note in found] == [
        "4 orgs (acme, globex, …): the range begins at 2026-06-05 00:00: nothing older is wanted (`since`)"
    ]


SPARSE = Sparse(trust_zero_for=timedelta(days=60), rechecked_for=timedelta(days=3), max_span=timedelta(days=90))


@pytest.mark.parametrize(
    ("range_", "old"),
    [
        (between("2026-01-01", "2026-06-10"), "days before 2026-04-25 00:00 are older than `trust_zero_for` (60d)"),
        (between("2026-01-01", "2026-02-28"), "the whole range is older than `trust_zero_for` (60d)"),
    ],
)
def test_windows_of_a_sparse_backfill_that_are_too_old_to_be_inferred_are_a_note(
    range_: Range, old: str, tmp_path: Path
) -> None:
    (note,) = notes(tmp_path, range_, now=EVENING, kolkata=False, sparse=SPARSE)
    assert note.text.startswith(f"4 orgs (acme, globex, …): {old}: --sparse saves nothing there.")
    assert "requested one by one" in note.text


def test_windows_of_a_sparse_backfill_whose_data_may_come_late_are_a_note(tmp_path: Path) -> None:
    (note,) = notes(tmp_path, between("2026-05-01", "2026-06-22"), now=EVENING, kolkata=False, sparse=SPARSE)
    assert note.text == (
        "4 orgs (acme, globex, …): days from 2026-06-21 00:00 on are requested one by one: their data may come late "
        "(`schedule.recheck`)"
    )
    assert notes(tmp_path, between("2026-05-01", "2026-06-20"), now=EVENING, kolkata=False, sparse=SPARSE) == []


@pytest.mark.parametrize("day", range(1, 29))
def test_the_note_names_exactly_the_windows_that_are_not_inferred(day: int, tmp_path: Path) -> None:
    """What `Sparse.accepts` says of each day is what the notes say."""
    first, now = date(2026, 4, day), EVENING
    found = notes(tmp_path, between(f"{first}", "2026-06-22"), now=now, kolkata=False, sparse=SPARSE)
    start = datetime(2026, 4, day, tzinfo=UTC)
    old = not SPARSE.accepts(Window(start, start + timedelta(days=1)), None, now=now)
    assert any("trust_zero_for" in note.text for note in found) is old
