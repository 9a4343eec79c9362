"""Whether a run may deliver to an output follows from where the ledger's records went before."""

from __future__ import annotations

import pytest

from collector.core.outputs import STDOUT, Fit, Journal, KnownOutputs, Output, fit_of, journal_line

ONE, TWO = "1" * 32, "2" * 32
LEDGER, OTHER = "a" * 32, "b" * 32


def at(path: str, directory_id: str | None = None, *, host: str = "m0", shard: str = "") -> Output:
    return Output(path=path, directory_id=directory_id, host=host, shard=shard)


def known(*outputs: Output) -> KnownOutputs:
    return KnownOutputs(ledger_id=LEDGER, outputs=outputs)


@pytest.mark.parametrize(
    ("here", "before", "fit"),
    [
        (at("/out"), known(), Fit.NEW),
        (at(STDOUT), known(), Fit.NEW),
        (at("/out", ONE), known(at("/out", ONE)), Fit.KNOWN),
        (at("/moved", ONE), known(at("/out", ONE)), Fit.KNOWN),
        (at("/moved", ONE), known(at("/new", TWO), at("/out", ONE)), Fit.KNOWN),
        (at("/out"), known(at("/out", ONE)), Fit.REPLACED),
        (at("/out", TWO), known(at("/out", ONE)), Fit.REPLACED),
        (at("/other"), known(at("/out", ONE)), Fit.ELSEWHERE),
        (at("/other", TWO), known(at("/out", ONE)), Fit.ELSEWHERE),
        (at(STDOUT), known(at("/out", ONE)), Fit.ELSEWHERE),
        (at("/out"), known(at(STDOUT)), Fit.ELSEWHERE),
        (at(STDOUT), known(at(STDOUT)), Fit.KNOWN),
        (at("/out", host="m1"), known(at("/out", ONE)), Fit.REPLACED),  # one file is on one machine, whatever its name
    ],
)
def test_an_output_fits_if_the_records_of_before_are_there(here: Output, before: KnownOutputs, fit: Fit) -> None:
    assert fit_of(here, before, across_machines=False) is fit


@pytest.mark.parametrize(
    ("here", "fit"),
    [
        (at("/out", host="m1"), Fit.NEW),  # the disk of another machine
        (at("/out", host="m0"), Fit.REPLACED),
        (at("/out", TWO, host="m0"), Fit.REPLACED),
        (at("/out", ONE, host="m1"), Fit.KNOWN),  # a shared disk
        (at("/other", host="m1"), Fit.ELSEWHERE),
        (at(STDOUT, host="m1"), Fit.ELSEWHERE),
    ],
)
def test_machines_that_share_a_ledger_may_each_have_a_disk_at_one_path(here: Output, fit: Fit) -> None:
    assert fit_of(here, known(at("/out", ONE)), across_machines=True) is fit


@pytest.mark.parametrize(
    ("here", "fit"),
    [
        (at("/two", shard="1/2"), Fit.NEW),
        (at("/two", shard="0/2"), Fit.ELSEWHERE),
        (at("/two", shard="0/3"), Fit.NEW),  # the number of shards was changed
        (at("/two"), Fit.ELSEWHERE),
        (at("/one", ONE), Fit.KNOWN),
        (at("/one", shard="1/2"), Fit.REPLACED),
        (at(STDOUT, shard="1/2"), Fit.ELSEWHERE),
    ],
)
def test_each_shard_may_have_a_directory_of_its_own(here: Output, fit: Fit) -> None:
    assert fit_of(here, known(at("/one", ONE, shard="0/2")), across_machines=False) is fit


def test_a_journal_names_all_runs_and_belongs_to_the_ledger_of_its_last_line() -> None:
    content = journal_line("r-1", LEDGER) + journal_line("r-2", LEDGER)
    assert Journal.of(content) == Journal(run_ids={"r-1", "r-2"}, ledger_id=LEDGER)
    adopted = Journal.of(content + journal_line(None, OTHER))
    assert (set(adopted.run_ids), adopted.ledger_id) == ({"r-1", "r-2"}, OTHER)


@pytest.mark.parametrize("content", [None, b"", b"\0" * 40, b"r-1", b"r-1 " + LEDGER.encode()[:20], b"\xff\xfe\n"])
def test_what_is_no_line_of_a_journal_says_nothing(content: bytes | None) -> None:
    assert Journal.of(content) == Journal(run_ids=frozenset())


def test_a_directory_that_was_moved_is_named_where_it_was_last() -> None:
    outputs = known(at("/moved", ONE), at("/two", TWO), at("/out", ONE), at("/old"), at("/old", host="m1"))
    assert [one.path for one in outputs.directories] == ["/moved", "/two", "/old"]
