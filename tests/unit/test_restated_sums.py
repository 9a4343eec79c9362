"""What restated records add up to: what was unknown and is known now is in it, though it has no difference."""

from __future__ import annotations

from collector.core.ledger_entries import Restatement, SliceKey
from collector.core.org_coverage import CoverageState
from collector.core.present import RestatedRecord, restated
from collector.core.restated_sums import RestatedSums
from collector.model import Quality
from tests.unit.test_present import START, emission, window


def restated_record(before: int | None, now: int | None) -> RestatedRecord:
    """A record whose tests were restated; None is unknown."""
    qualities = [Quality.UNAVAILABLE if tests is None else Quality.MEASURED for tests in (before, now)]
    one = window(CoverageState.COMPLETE, {"a": qualities[1]}, emission=emission({"a": qualities[1]}, tests=now or 0))
    key = SliceKey(key=1, population=one.population, start=START)
    replaced = emission({"a": qualities[0]}, tests=before or 0)
    (found,) = restated(one, [Restatement(slice=key, at=START, run_id="run", replaced=replaced)])
    assert (found.before.usage.total_tests, found.now.total_tests) == (before, now)
    return found


def test_what_an_invoice_changes_by_counts_what_was_unknown_and_is_known_now() -> None:
    sums = RestatedSums()
    for before, now in ((10, 12), (None, 100), (30, 29), (None, None), (7, None)):
        sums.add(restated_record(before, now))
    tests = sums.numbers["tests"]
    assert (tests.before, tests.now, tests.difference) == (47, 141, 94)
    assert (tests.unknown_before, tests.unknown_now) == (100, 7)
    assert sums.without_difference == 2


def test_a_number_that_a_product_does_not_have_is_not_unknown() -> None:
    sums = RestatedSums()
    sums.add(restated_record(1, 1))
    assert not sums.numbers["screenshots"].changed
    assert sums.without_difference == 0
