"""The benchmark of `make compare` on a small job: its server answers as documented, and each turn is checked.

The peers are left out, since their environments have hundreds of packages. Each turn of the benchmark checks them.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from benchmarks.side_by_side.contenders import Contender, Fetched
from benchmarks.side_by_side.contenders.bare import bare, wrk
from benchmarks.side_by_side.contenders.collector import collector
from benchmarks.side_by_side.contenders.starts import compared, starts
from benchmarks.side_by_side.job import Job, automation_tests, username
from benchmarks.side_by_side.measure import Command, ContenderError
from benchmarks.side_by_side.server import Server, missing, serving
from benchmarks.side_by_side.turns import one_turn
from collector.adapters.http import HttpTransport
from collector.core.response import Reply, interpret
from collector.errors import Failure, RefusalReason, Refused
from collector.model import Answer, ApiRequest, BasicCredential, Population
from tests.support.commands import environment
from tests.support.needs import left_out
from tests.support.orgs import make_org

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
BARE = bare(sys.executable)
CONTENDERS = [
    BARE,
    collector(sys.executable, name="collector", title=""),
    collector(sys.executable, name="no-ledger", title="", ledger=False),
]
STARTS = [*starts(sys.executable), *compared(sys.executable, ROOT)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if problem := missing():
        left_out(problem)
    with serving(tmp_path_factory.mktemp("nginx")) as running:
        yield running


@pytest.fixture
def job(server: Server) -> Job:
    return Job.recent(server.base_url, orgs=3, days=4, concurrency=2)


async def answered(server: Server, user: str, *, population: Population, timezone: str = "+00:00") -> Answer | Failure:
    """Return what the collector makes of an answer for 2026-06-23."""
    day = "2026-06-23"
    request = ApiRequest(population=population, from_=f"{day} 00:00:00", to=f"{day} 23:59:59", timezone=timezone)
    org = make_org(base_url=server.base_url, credential=BasicCredential(username=user, access_key="key"))
    async with HttpTransport(timeout_s=10, connections=1) as transport:
        reply = await transport.fetch(org, request, on_sent=lambda: None)
    assert isinstance(reply, Reply)
    return interpret(reply, request, now=datetime(2026, 11, 26, tzinfo=UTC))


@pytest.mark.parametrize("timezone", ["+00:00", "+05:30", "-07:00"])
@pytest.mark.parametrize("population", Population)
async def test_nginx_answers_in_the_documented_shape_for_what_was_requested(
    server: Server, population: Population, timezone: str
) -> None:
    answer = await answered(server, username(7), population=population, timezone=timezone)
    assert isinstance(answer, Answer)
    assert (answer.org_id, answer.partial) == ("100007", False)
    assert answer.products["automation"].total_tests == automation_tests(7, population, date(2026, 6, 23))


async def test_populations_and_organizations_have_different_totals(server: Server) -> None:
    answers = [await answered(server, username(org), population=one) for org in (1, 2) for one in Population]
    products = [answer.products for answer in answers if isinstance(answer, Answer)]
    assert len(products) == 4
    assert all(one != other for n, one in enumerate(products) for other in products[:n])


async def test_nginx_refuses_a_user_that_it_does_not_know(server: Server) -> None:
    refused = await answered(server, "somebody", population=Population.ACCOUNT_USER)
    assert isinstance(refused, Refused)
    assert refused.reason is RefusalReason.CREDENTIAL


@pytest.mark.parametrize("contender", CONTENDERS, ids=lambda contender: contender.name)
def test_each_contender_fetches_every_slice_once(server: Server, job: Job, contender: Contender) -> None:
    turn = one_turn(contender, job, server, turn=1)
    assert (turn.slices, turn.requests) == (24, 24)
    assert 1 <= turn.connections <= job.concurrency
    assert turn.cpu_s > 0


def test_wrk_is_measured_by_the_requests_that_nginx_counted(server: Server, job: Job) -> None:
    turn = one_turn(wrk(), job, server, turn=1)
    assert turn.slices == turn.requests > job.slices


@pytest.mark.parametrize("contender", STARTS, ids=lambda contender: contender.name)
def test_commands_whose_start_is_measured_send_no_request(server: Server, job: Job, contender: Contender) -> None:
    assert one_turn(contender, job, server, turn=1).requests == 0


def test_a_contender_that_wrote_a_slice_too_few_is_found(server: Server, job: Job) -> None:
    def fetched(directory: Path) -> Fetched:
        assert BARE.fetched is not None
        whole = BARE.fetched(directory)
        return Fetched(whole.slices - 1, whole.tests)

    with pytest.raises(ContenderError, match=r"bare fetched .*slices=23"):
        one_turn(replace(BARE, fetched=fetched), job, server, turn=1)


def test_a_contender_that_fetched_a_slice_twice_is_found(server: Server, job: Job) -> None:
    def prepare(job: Job, directory: Path) -> Sequence[Command]:
        return [*BARE.prepare(job, directory)] * 2

    with pytest.raises(ContenderError, match="bare sent 48 requests, not 24"):
        one_turn(replace(BARE, prepare=prepare), job, server, turn=1)


def test_a_contender_that_fails_is_found_with_what_it_wrote(server: Server, job: Job) -> None:
    def prepare(job: Job, directory: Path) -> Sequence[Command]:
        pipeline = BARE.prepare(job, directory)
        (directory / "job.json").write_text("broken")
        return pipeline

    with pytest.raises(ContenderError, match=r"(?s)ended with 1:.*JSONDecodeError"):
        one_turn(replace(BARE, prepare=prepare), job, server, turn=1)


@pytest.mark.usefixtures("server")
def test_the_command_takes_turns_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    results = tmp_path / "turns"
    args = ["--only", "bare,pass", "--orgs", "2", "--days", "2", "--before", "none", "--results", str(results)]
    command = [sys.executable, "-m", "benchmarks.side_by_side", *args]
    for turns, new in ((1, ["1 bare", "1 pass"]), (2, ["2 bare", "2 pass"]), (2, [])):
        done = subprocess.run(
            [*command, "--turns", str(turns)], cwd=ROOT, env=environment(), capture_output=True, text=True, check=True
        )
        assert [" ".join(line.split()[:2]) for line in done.stdout.splitlines()] == new
    assert len(results.read_text().splitlines()) == 1 + 4
