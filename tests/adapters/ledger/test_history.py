"""What is read for coverage: recent slices each time, older ones only when one of them was committed."""

from __future__ import annotations

from dataclasses import dataclass, replace

from collector.core.anomalies import Anomaly
from collector.core.emission import Emission
from collector.core.org_coverage import CoverageState
from collector.core.org_history import History, PopulationHistory
from collector.ledger import SqlLedger
from collector.ledger.digest import Digest
from collector.ledger.history import HistoryQuery
from collector.model import SliceState, Window
from tests.adapters.ledger.conftest import Open
from tests.adapters.ledger.support import ACCOUNT, SERVICE, commit, day, days, emission, registered, slice_at
from tests.support.orgs import make_org

COMPLETE, PARTIAL, FAILED = CoverageState.COMPLETE, CoverageState.PARTIAL, CoverageState.FAILED
IN_DOUBT = CoverageState.IN_DOUBT
EVERY_CUT = (*range(10), None)  # where the recent slices begin, none of them included


@dataclass
class Look:
    """A look at one org, after another one."""

    history: History
    digest: Digest

    @property
    def account(self) -> PopulationHistory:
        return self.history.populations[ACCOUNT]

    @property
    def by_day(self) -> list[tuple[CoverageState, int]]:
        return [(state, n) for state, span in self.account.spans for n in range(10) if span.start <= day(n) < span.end]


def look(ledger: SqlLedger, key: int, *, recent_from: int | None, last: Look | None = None) -> Look:
    query = HistoryQuery(
        key=key,
        recent_from=None if recent_from is None else day(recent_from),
        in_doubt=ledger.in_doubt().get(key, frozenset()),
        digest=last.digest if last else None,
    )
    (found,) = ledger.histories([query])
    return Look(*found)


def test_anomalies_are_read_of_recent_slices_or_of_all(ledger: SqlLedger, key: int) -> None:
    shrunk, same = {Anomaly.SHRUNK: ["automation"]}, {Anomaly.SAME_TOTALS: list[str]()}
    ledger.commit([commit(key, 1, anomalies=shrunk), commit(key, 2), commit(key, 3, anomalies=same)], None)
    found = [(days(1, 2), shrunk), (days(3, 4), same)]
    assert look(ledger, key, recent_from=None).account.anomalies == found
    assert look(ledger, key, recent_from=0).account.anomalies == found
    assert look(ledger, key, recent_from=2).account.anomalies == found[1:]
    ledger.commit([commit(key, 3, SliceState.FAILED, anomalies=same)], None)
    assert look(ledger, key, recent_from=0).account.anomalies == found
    ledger.commit([commit(key, 3)], None)
    assert look(ledger, key, recent_from=0).account.anomalies == found[:1]


def test_old_and_recent_slices_are_one_history(ledger: SqlLedger, key: int) -> None:
    assert look(ledger, key, recent_from=5).history.populations == {}
    states = [COMPLETE, COMPLETE, FAILED, COMPLETE, COMPLETE, COMPLETE, PARTIAL]
    ledger.commit([commit(key, n, SliceState(state)) for n, state in enumerate(states)], None)
    ledger.commit([commit(key, 8, slice=slice_at(key, 8, SERVICE))], None)
    ledger.want({key: [days(0, 3)]})
    for recent_from in EVERY_CUT:
        found = look(ledger, key, recent_from=recent_from)
        assert found.by_day == [(state, n) for n, state in enumerate(states)], recent_from
        assert found.account.oldest_usage == days(0, 1)
        assert found.account.last_success == found.account.last_answer == day(5 + 2)
        assert found.history.populations[SERVICE].spans == [(COMPLETE, days(8, 9))]
        assert found.history.ranges == [days(0, 3)]
        assert found.history.last_fetch is not None
        assert found.history.last_fetch.at == day(8 + 2)


def test_slices_of_one_state_that_follow_each_other_are_one_span(ledger: SqlLedger, key: int) -> None:
    states = [SliceState.COMPLETE] * 3 + [SliceState.FAILED] * 2 + [SliceState.COMPLETE]
    ledger.commit([commit(key, n, state) for n, state in enumerate(states)], None)
    ledger.commit([commit(key, 8), commit(key, 6, slice=slice_at(key, 6, SERVICE))], None)
    for recent_from in (0, None):
        found = look(ledger, key, recent_from=recent_from)
        assert found.account.spans == [
            (COMPLETE, days(0, 3)),
            (FAILED, days(3, 5)),
            (COMPLETE, days(5, 6)),
            (COMPLETE, days(8, 9)),
        ]
        assert found.history.populations[SERVICE].spans == [(COMPLETE, days(6, 7))]


def test_slices_in_a_file_of_a_dead_process_are_in_doubt_and_say_nothing_else(opened: Open) -> None:
    crashed, other = opened(), opened()
    key = registered(crashed, make_org())[0].key
    file = crashed.open_file("run-1", "out", "usage-1.jsonl")
    crashed.commit([commit(key, n, emission=emission(10 + n)) for n in (2, 3)], None)
    crashed.commit([commit(key, n, emission=emission(10 + n)) for n in (1, 4)], replace(file, bytes=9, records=2))
    before = {cut: look(other, key, recent_from=cut) for cut in EVERY_CUT}
    assert {(COMPLETE, 1), (COMPLETE, 4)} <= {*before[None].by_day}  # while the process lives
    crashed.abandon()
    other.left_behind()
    assert other.in_doubt() == {key: frozenset({file.file_id})}
    for cut in EVERY_CUT:
        found = look(other, key, recent_from=cut, last=before[cut])
        assert found.by_day == [(IN_DOUBT, 1), (COMPLETE, 2), (COMPLETE, 3), (IN_DOUBT, 4)], cut
        account = found.account
        assert (account.last_answer, account.last_success) == (day(4 + 2), day(3 + 2)), cut
        assert account.oldest_usage == days(2, 3), cut
    account = look(other, key, recent_from=0).account
    assert (account.tests, account.reasons) == ({day(2): 12, day(3): 13}, {"in_doubt": 2})
    assert account.newest == (days(3, 4), emission(13))
    (taken,) = other.take_over([file.file_id])
    other.sealed(taken.file_id)
    assert other.in_doubt() == {}
    for cut in EVERY_CUT:
        assert look(other, key, recent_from=cut, last=before[cut]).account == before[cut].account


def test_tests_reasons_and_the_newest_emission_come_from_recent_slices(ledger: SqlLedger, key: int) -> None:
    ledger.commit([commit(key, n, emission=emission(10 + n)) for n in range(4)], None)
    ledger.commit([commit(key, n, SliceState.FAILED, code="http_503") for n in (4, 5)], None)
    found = look(ledger, key, recent_from=2).account
    assert found.tests == {day(2): 12, day(3): 13}
    assert found.reasons == {"http_503": 2}
    assert found.newest == (Window(day(3), day(4)), emission(13))


def test_a_digest_holds_until_an_old_slice_is_committed_or_the_day_turns(ledger: SqlLedger, key: int) -> None:
    ledger.commit([commit(key, n) for n in range(6)], None)
    first = look(ledger, key, recent_from=4)
    ledger.commit([commit(key, 6)], None)
    again = look(ledger, key, recent_from=4, last=first)
    assert again.digest is first.digest
    assert again.account.spans[-1][1].end == day(7)
    ledger.commit([commit(key, 1, SliceState.FAILED, asked_at=day(20))], None)
    changed = look(ledger, key, recent_from=4, last=again)
    assert changed.digest is not first.digest
    assert FAILED in {state for state, _ in changed.account.spans}
    assert look(ledger, key, recent_from=5, last=changed).digest is not changed.digest


def test_a_reset_slice_is_noticed_although_it_was_not_fetched(ledger: SqlLedger, key: int) -> None:
    file = ledger.open_file("run-1", "out", "usage-1.jsonl")
    ledger.commit([commit(key, n) for n in range(3)], replace(file, bytes=3, records=3))
    before = look(ledger, key, recent_from=10)
    assert ledger.lost(file.file_id) == 3
    after = look(ledger, key, recent_from=10, last=before)
    assert [state for state, _ in after.account.spans] == [FAILED]


def test_users_and_unknown_metrics_count_as_usage(ledger: SqlLedger, key: int) -> None:
    nothing = Emission(emitted_at=day(1), users=0, products=emission(0).products)
    new = emission(0).products["automation"]
    minutes = new._replace(usage=replace(new.usage, extra={"totalMinutes": 3}))
    ledger.commit([commit(key, n, emission=nothing) for n in range(3)], None)
    assert look(ledger, key, recent_from=0).account.oldest_usage is None
    ledger.commit([commit(key, 2, emission=replace(nothing, products={"automation": minutes}))], None)
    assert look(ledger, key, recent_from=0).account.oldest_usage == days(2, 3)
    ledger.commit([commit(key, 1, emission=replace(nothing, users=1))], None)
    for recent_from in (0, 2, 5):
        assert look(ledger, key, recent_from=recent_from).account.oldest_usage == days(1, 2)


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
