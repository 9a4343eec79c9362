"""What the status page reads: recent slices each time, older ones only when one of them was committed."""

from __future__ import annotations

from dataclasses import replace

from collector.core.emission import Emission
from collector.ledger import SqlLedger
from collector.ledger.history import Asked, History
from collector.model import SliceState, Window
from tests.adapters.ledger.support import ACCOUNT, SERVICE, commit, day, days, emission, registered, slice_at
from tests.support.orgs import make_org

COMPLETE, PARTIAL, FAILED, REFUSED = SliceState.COMPLETE, SliceState.PARTIAL, SliceState.FAILED, SliceState.REFUSED


def look(ledger: SqlLedger, key: int, *, recent_from: int, last: History | None = None) -> History:
    asked = Asked(key=key, recent_from=day(recent_from), digest=last.digest if last else None)
    (history,) = ledger.histories([asked])
    return history


def test_old_and_recent_slices_form_one_history(ledger: SqlLedger, key: int) -> None:
    assert look(ledger, key, recent_from=5).populations == {}
    states = [COMPLETE, COMPLETE, FAILED, COMPLETE, COMPLETE, COMPLETE, PARTIAL]
    ledger.commit([commit(key, n, state) for n, state in enumerate(states)], None)
    ledger.commit([commit(key, 8, slice=slice_at(key, 8, SERVICE))], None)
    ledger.want(key, days(0, 3))
    for recent_from in range(10):
        history = look(ledger, key, recent_from=recent_from)
        pieces = history.populations[ACCOUNT].stretches
        by_day = [(state, n) for state, span in pieces for n in range(10) if span.start <= day(n) < span.end]
        assert by_day == [(state, n) for n, state in enumerate(states)], recent_from
        assert history.populations[ACCOUNT].oldest_usage == days(0, 1)
        assert history.populations[ACCOUNT].last_success == day(5 + 2)
        assert history.populations[SERVICE].stretches == [(COMPLETE, days(8, 9))]
        assert history.ranges == [days(0, 3)]
        assert history.last_asking is not None
        assert history.last_asking.at == day(8 + 2)


def test_tests_reasons_and_the_newest_emission_come_from_recent_slices(ledger: SqlLedger, key: int) -> None:
    ledger.commit([commit(key, n, emission=emission(10 + n)) for n in range(4)], None)
    ledger.commit([commit(key, 4, FAILED, code="http_503"), commit(key, 5, FAILED, code="http_503")], None)
    found = look(ledger, key, recent_from=2).populations[ACCOUNT]
    assert found.tests == {day(2): 12, day(3): 13}
    assert found.reasons == {"http_503": 2}
    assert found.newest == (Window(day(3), day(4)), emission(13))


def test_a_digest_is_valid_until_an_old_slice_is_committed_or_the_day_changes(ledger: SqlLedger, key: int) -> None:
    ledger.commit([commit(key, n) for n in range(6)], None)
    first = look(ledger, key, recent_from=4)
    ledger.commit([commit(key, 6)], None)
    again = look(ledger, key, recent_from=4, last=first)
    assert again.digest is first.digest
    assert again.populations[ACCOUNT].stretches[-1][1].end == day(7)
    ledger.commit([commit(key, 1, FAILED, asked_at=day(20))], None)
    changed = look(ledger, key, recent_from=4, last=again)
    assert changed.digest is not first.digest
    assert FAILED in {state for state, _ in changed.populations[ACCOUNT].stretches}
    assert look(ledger, key, recent_from=5, last=changed).digest is not changed.digest


def test_a_reset_slice_is_noticed_although_it_was_not_fetched(ledger: SqlLedger, key: int) -> None:
    file = ledger.open_file("run-1", "out", "usage-1.jsonl")
    ledger.commit([commit(key, n) for n in range(3)], replace(file, bytes=3, records=3))
    before = look(ledger, key, recent_from=10)
    assert ledger.lost(file.file_id) == 3
    after = look(ledger, key, recent_from=10, last=before)
    assert [state for state, _ in after.populations[ACCOUNT].stretches] == [FAILED]


def test_refused_since_is_the_first_refusal_after_the_last_success(ledger: SqlLedger, key: int) -> None:
    def refused(n: int, at: int) -> None:
        ledger.commit([commit(key, n, REFUSED, code="refused_credential", asked_at=day(at))], None)

    refused(0, 1)
    ledger.commit([commit(key, 1, asked_at=day(3), complete_at=day(3))], None)
    assert look(ledger, key, recent_from=0).refused_since is None
    refused(2, 5)
    refused(3, 7)
    for recent_from in (0, 3, 9):
        history = look(ledger, key, recent_from=recent_from)
        assert history.refused_since == day(5)
        assert history.last_asking is not None
        assert history.last_asking.code == "refused_credential"


def test_users_and_unknown_metrics_count_as_usage(ledger: SqlLedger, key: int) -> None:
    nothing = Emission(emitted_at=day(1), users=0, products=emission(0).products)
    new = emission(0).products["automation"]
    minutes = replace(new, usage=replace(new.usage, extra={"totalMinutes": 3}))
    ledger.commit([commit(key, n, emission=nothing) for n in range(3)], None)
    assert look(ledger, key, recent_from=0).populations[ACCOUNT].oldest_usage is None
    ledger.commit([commit(key, 2, emission=replace(nothing, products={"automation": minutes}))], None)
    assert look(ledger, key, recent_from=0).populations[ACCOUNT].oldest_usage == days(2, 3)
    ledger.commit([commit(key, 1, emission=replace(nothing, users=1))], None)
    for recent_from in (0, 2, 5):
        assert look(ledger, key, recent_from=recent_from).populations[ACCOUNT].oldest_usage == days(1, 2)


def test_locate_finds_the_row_that_the_next_run_will_use(ledger: SqlLedger) -> None:
    acme, other = make_org("acme"), make_org("other")
    keys = [standing.key for standing in registered(ledger, acme, other)]
    assert {name: row.key for name, row in ledger.locate([acme, other], names=["acme", "other"]).items()} == {
        "acme": keys[0],
        "other": keys[1],
    }
    renamed = make_org("acme-inc", credential=acme.credential)
    assert ledger.locate([renamed], names=["acme-inc", "other"])["acme-inc"].key == keys[0]
    assert ledger.locate([make_org("new")], names=["acme", "other", "new"]) == {}
