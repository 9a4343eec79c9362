"""Processes as shards that share a ledger on PostgreSQL: killed, of changing number, and with disks that go away."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from collector.core.shards import Shard
from tests.acceptance.test_serve import serving
from tests.support.commands import Done, Here, SimulatedApi, calm, days_ago, records_in, simulated_api, started
from tests.support.metrics import parsed, value
from tests.support.orgs import make_org
from tests.support.postgresql import Server
from tests.support.waiting import wait_until

ORGS = 500
DAYS = 12
pytestmark = pytest.mark.slow  # needs PostgreSQL
SHARDS = 8
ONE_AT_A_TIME = {
    "COLLECTOR_API__ORG_CONCURRENCY": "1",  # of a process: more than one at once would be those of two processes
    "COLLECTOR_API__RATE_LIMIT__REQUESTS": "60",
    "COLLECTOR_SCHEDULE__LOOKBACK": "2d",  # at least a day is due, at any time and in any zone
}


def test_eight_shards_of_which_two_are_killed_complete_all_and_never_ask_one_org_at_once(
    tmp_path: Path, server: Server, here: Here
) -> None:
    env = {"COLLECTOR_STATE__URL": server.fresh(), **calm(), **ONE_AT_A_TIME}
    with (
        simulated_api(tmp_path, orgs=ORGS, faults=["*:latency=20ms", "org-01*:partial=once"]) as api,
        ExitStack() as all_,
    ):

        def shard(index: int) -> subprocess.Popen[str]:
            words: list[str | Path] = ["collect", "-c", api.config, "-o", f"out-{index}", "--elsewhere", "-q"]
            words += ["--shard", f"{index}/{SHARDS}"]
            return all_.enter_context(started(*words, cwd=tmp_path, **env))

        shards = [shard(index) for index in range(SHARDS)]
        for index in (2, 5):
            wait_until(lambda: any((tmp_path / f"out-{index}").glob(".usage-*.unsealed")))  # noqa: B023 - called at once
            shards[index].kill()
            shards[index].wait(20)
            mine = {org for org in api.stats["orgs"] if Shard(index, SHARDS).has(make_org(org))}
            # The simulator goes on for a while with what a killed process had asked.
            wait_until(lambda: not any(api.stats["orgs"][org]["in_flight"] for org in mine))  # noqa: B023
            shards[index] = shard(index)
        # One that wants everybody's orgs, beside them.
        words: list[str | Path] = ["collect", "-c", api.config, "-o", "out-all", "--elsewhere", "-q"]
        shards.append(all_.enter_context(started(*words, cwd=tmp_path, **env)))
        assert [process.wait(120) for process in shards] == [0] * (SHARDS + 1)

        assert_all_there_once(api, tmp_path, here, env)
        assert {entry["in_flight"] for entry in api.get("requests", limit=100_000)} == {1}
        assert not list(tmp_path.glob("out-*/.*.unsealed"))


def assert_all_there_once(api: SimulatedApi, directory: Path, here: Here, env: dict[str, str]) -> None:
    done = here("status", "-c", api.config, "--json", env=env)
    status = json.loads(done.stdout)
    assert (done.code, status["lacking"], status["awaited"]) == (0, 0, [])
    records = [record for out in directory.glob("out*") for record in records_in(out)]
    assert set(Counter((r["record_id"], r["revision"]) for r in records).values()) == {1}
    slices = {(r["org"], r["population"], r["window_start"]) for r in records}
    assert len(slices) == sum(p["complete"] for org in status["orgs"] for p in org["populations"]) > 0
    assert len({org for org, _, _ in slices}) == len(status["orgs"])


def test_from_four_shards_to_five_at_most_a_quarter_of_the_orgs_moves_and_nothing_complete_is_asked_again(
    tmp_path: Path, server: Server, here: Here
) -> None:
    env = {"COLLECTOR_STATE__URL": server.fresh(), **calm()}

    def orgs_of(shard: str) -> set[str]:
        done = here("plan", "-c", "simulated.yaml", "--shard", shard, "--json")
        return {org["org"] for org in json.loads(done.stdout)["orgs"]}

    with simulated_api(tmp_path, orgs=60) as api:
        shards = {n: [orgs_of(f"{index}/{n}") for index in range(n)] for n in (4, 5)}
        for n in (4, 5):
            assert sum(map(len, shards[n])) == len(set.union(*shards[n])) == 60
        moved = [org for a, b in product(range(4), range(5)) if a != b for org in shards[4][a] & shards[5][b]]
        assert 0 < len(moved) <= 60 / 4

        for index in range(4):
            job = {"JOB_COMPLETION_INDEX": str(index), "COLLECTOR_SHARDS": "4"}
            assert here("collect", "-c", api.config, "-o", f"out-{index}", env=env | job).code == 0
        asked = api.stats["total"]["asked"]
        assert asked >= 60 * 2
        for index in range(5):
            pod = {"HOSTNAME": f"collector-{index}", "COLLECTOR_SHARDS": "5"}
            done = here("collect", "-c", api.config, "-o", f"out-{index}", env=env | pod)
            assert done.code == 0
            assert done.event("run.started")["shard"] == f"{index}/5"
            assert done.event("run.started")["orgs"] == len(shards[5][index])
        assert api.stats["total"]["asked"] == asked
        assert_all_there_once(api, tmp_path, here, env)


def test_a_shard_without_an_org_has_nothing_to_do(tmp_path: Path, here: Here) -> None:
    with simulated_api(tmp_path, orgs=1) as api:
        done = [here("collect", "-c", api.config, "-o", "out", "--shard", f"{index}/3") for index in range(3)]
        assert [one.code for one in done] == [0, 0, 0]
        assert sorted(one.event("run.started")["orgs"] for one in done) == [0, 0, 1]
        assert len(list((tmp_path / "out").glob("run-*.json"))) == 3


def test_an_organization_that_another_shard_collects_is_refused_under_a_second_name(tmp_path: Path, here: Here) -> None:
    with simulated_api(tmp_path, orgs=1) as api:
        twice = tmp_path / "twice.yaml"
        head, _, entry = api.config.read_text().partition("  - name: org-001\n")
        twice.write_text(f"{head}  - name: org-001\n{entry}  - name: again\n{entry}")
        assert here("collect", "-c", twice, "-o", "out", "--org", "org-001").code == 0
        done = here("collect", "-c", twice, "-o", "out", "--org", "again")
        assert done.code == 4
        assert "is already collected as 'org-001'" in done.stderr


@pytest.mark.parametrize(
    ("words", "environ", "told"),
    [
        (["--shard", "4/4"], {}, "Error: --shard: there is no shard 4/4: the last one is 3/4"),
        (
            [],
            {"COLLECTOR_SHARDS": "x"},
            "Error: COLLECTOR_SHARDS: expected the number of shards, got text of 1 character",
        ),
        ([], {"COLLECTOR_SHARDS": "3", "HOSTNAME": "box"}, "Error: COLLECTOR_SHARDS: no index found: "),
    ],
)
def test_a_shard_that_can_t_be_ends_with_2(
    words: list[str], environ: dict[str, str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, here: Here
) -> None:
    (tmp_path / "c.yaml").write_text('orgs: [{name: acme, token: t}]\napi: {base_url: "http://127.0.0.1:9"}\n')
    for name in ("JOB_COMPLETION_INDEX", "HOSTNAME"):
        monkeypatch.delenv(name, raising=False)
    for command in (["collect"], ["backfill", "--last", "3d"], ["plan"], ["status"]):
        done = here(*command, "-c", "c.yaml", *words, env=environ)
        assert (done.code, told in done.stderr) == (2, True)


# What a dead process left on a disk that others don't see


@pytest.fixture
def api(tmp_path: Path) -> Iterator[SimulatedApi]:
    with simulated_api(tmp_path, orgs=6, faults=["*:latency=10ms"]) as started_api:
        yield started_api


class Pods:
    """Runs on one ledger, each with a disk of its own."""

    def __init__(self, api: SimulatedApi, directory: Path, here: Here, url: str) -> None:
        self.api, self.directory, self.here = api, directory, here
        self.env = {"COLLECTOR_STATE__URL": url, **calm()}

    def killed(self, disk: str) -> str:
        """The name of the file that a killed run left on a disk, with records booked in it."""
        slowly = {"COLLECTOR_API__RATE_LIMIT__REQUESTS": "20"}
        words: list[str | Path] = [
            "backfill",
            "--from",
            days_ago(DAYS),
            "-c",
            self.api.config,
            "-o",
            disk,
            "--elsewhere",
            "-q",
        ]
        with started(*words, cwd=self.directory, **self.env, **slowly) as process:
            unsealed = self.directory / disk
            wait_until(lambda: any(path.stat().st_size for path in unsealed.glob(".usage-*.unsealed")))
            wait_until(lambda: committed(self.status()[1]) > 0)
            process.kill()
            process.wait(120)
        (path,) = unsealed.glob(".usage-*.unsealed")
        return path.name.removeprefix(".").removesuffix(".unsealed")

    def collect(self, disk: str, *more: str | Path) -> Done:
        return self("collect", "-o", disk, "--elsewhere", *more)

    def backfill(self, disk: str) -> Done:
        return self("backfill", "--from", days_ago(DAYS), "-o", disk, "--elsewhere")

    def status(self) -> tuple[int, dict[str, Any]]:
        done = self("status", "--json")
        return done.code, json.loads(done.stdout)

    def __call__(self, command: str, *more: str | Path) -> Done:
        return self.here(command, "-c", self.api.config, *more, env=self.env)


@pytest.fixture
def pods(api: SimulatedApi, tmp_path: Path, server: Server, here: Here) -> Pods:
    return Pods(api, tmp_path, here, server.fresh())


@contextmanager
def away(disk: Path, elsewhere: str) -> Iterator[Path]:
    """A disk that is mounted elsewhere, or on another machine."""
    target = disk.with_name(elsewhere)
    disk.rename(target)
    yield target


def committed(status: dict[str, Any]) -> int:
    return sum(population["complete"] for org in status["orgs"] for population in org["populations"])


def in_doubt(status: dict[str, Any]) -> int:
    return sum(population["in_doubt"] for org in status["orgs"] for population in org["populations"])


def test_what_a_killed_run_left_where_the_next_one_finds_it_needs_nobody(pods: Pods) -> None:
    name = pods.killed("out-1")
    code, status = pods.status()
    assert (code, [(one["file"], one["here"]) for one in status["awaited"]]) == (3, [(name, True)])
    table = " ".join(pods("status").stdout.split())
    assert "its process ended before it was sealed; the next run here seals it" in table
    assert "--lost" not in table


def test_a_file_on_a_disk_that_is_away_is_awaited_and_sealed_where_that_is_mounted(pods: Pods, tmp_path: Path) -> None:
    name = pods.killed("out-1")
    textfile = tmp_path / "usage.prom"
    pods.env["COLLECTOR_PUSH__TEXTFILE"] = str(textfile)
    with away(tmp_path / "out-1", "mounted-elsewhere") as elsewhere:
        other = pods.backfill("out-2")
        assert other.code == 3  # what it fetched itself is complete
        awaited = other.event("file.awaited")
        assert (awaited["file"], awaited["directory"]) == (name, str(tmp_path / "out-1"))
        code, status = pods.status()
        assert code == 3
        assert [(one["file"], one["directory"]) for one in status["awaited"]] == [(name, str(tmp_path / "out-1"))]
        assert not status["awaited"][0]["here"]
        assert in_doubt(status) == status["lacking"] == status["awaited"][0]["slices"] > 0
        finished = other.event("run.finished")
        assert (finished["in_doubt"], finished["complete"]) == (in_doubt(status), finished["planned"])
        assert value(
            parsed((tmp_path / "usage-orgs.prom").read_text()), "lacking_windows", state="in_doubt"
        ) == in_doubt(status)
        table = pods("status")
        assert f"{name} in {tmp_path / 'out-1'} on " in " ".join(table.stdout.split())
        asked = {(r["org"], r["population"], r["window_start"]) for r in records_in(tmp_path / "out-2")}

        nothing = pods.collect("out-2", "--recover", tmp_path)
        assert (nothing.code, "holds no file that a collector left behind" in nothing.stderr) == (2, True)
        done = pods.collect("out-2", "--recover", elsewhere)
        assert done.code == 0
        assert done.event("directory.recovered")["sealed"] == 1
        assert [path.name for path in elsewhere.glob("usage-*")] == [name]
        found = {(r["org"], r["population"], r["window_start"]) for r in records_in(elsewhere)}
        assert len(found) == status["awaited"][0]["slices"]
        assert not found & asked  # nothing was asked again while the file could still be sealed
        code, status = pods.status()
        assert (code, status["awaited"], in_doubt(status)) == (0, [], 0)
        assert pods.collect("out-2", "--recover", elsewhere).code == 0  # and again, with nothing left


def test_a_disk_that_comes_back_under_another_path_is_recovered_by_the_run_that_writes_to_it(
    pods: Pods, tmp_path: Path
) -> None:
    name = pods.killed("out-1")
    with away(tmp_path / "out-1", "data") as disk:
        done = pods.backfill("data")
        assert done.code == 0
        assert done.event("file.recovered")["file"] == name
        ids = Counter((r["record_id"], r["revision"]) for r in records_in(disk))
        assert set(ids.values()) == {1}
        assert pods.status()[0] == 0


def test_a_file_that_is_gone_for_good_can_be_said_to_be_and_its_slices_are_asked_again(
    pods: Pods, tmp_path: Path
) -> None:
    name = pods.killed("out-1")
    here = pods.collect("out-2", "--lost", name)
    assert (here.code, f"{name} exists, in {tmp_path / 'out-1'}" in here.stderr) == (2, True)
    with away(tmp_path / "out-1", "broken"):
        unknown = pods.collect("out-2", "--lost", "usage-x.jsonl")
        assert unknown.code == 2
        assert f"no file 'usage-x.jsonl' is awaited; awaited files: {name}" in unknown.stderr
        done = pods.collect("out-2", "--lost", name)
        assert done.code == 0
        slices = done.event("file.lost")["slices_asked_again"]
        assert slices > 0
        assert pods.backfill("out-2").code == 0
        code, status = pods.status()
        assert (code, status["awaited"]) == (0, [])
        records = records_in(tmp_path / "out-2")
        assert set(Counter((r["record_id"], r["revision"]) for r in records).values()) == {1}
        assert len({(r["org"], r["population"], r["window_start"]) for r in records}) == sum(
            population["complete"] for org in status["orgs"] for population in org["populations"]
        )


def test_services_are_shards_too_and_share_what_they_know(tmp_path: Path, server: Server) -> None:
    url = server.fresh()
    with simulated_api(tmp_path, orgs=8) as api, ExitStack() as running:
        services = []
        for index in range(2):
            directory = tmp_path / f"collector-{index}"
            directory.mkdir()
            pod = {"HOSTNAME": directory.name, "COLLECTOR_SHARDS": "2", "COLLECTOR_STATE__URL": url, **calm()}
            services.append(running.enter_context(serving(api.config, directory, **pod)))
        for service in services:
            wait_until(lambda: service.get("/readyz")[0] == 200 and service.status["orgs"])  # noqa: B023
        shown = [[org["org"] for org in service.status["orgs"]] for service in services]
        assert sorted(shown[0] + shown[1]) == [f"org-00{n}" for n in range(1, 9)]
        assert sorted(map(len, shown)) == [4, 4]
        for service, names in zip(services, shown, strict=True):
            wait_until(lambda: all(service.lacking(name) == 0 for name in names))  # noqa: B023 - called at once
            wait_until(lambda: any((service.directory / "out").glob("run-*.json")))  # noqa: B023
        records = [record for service in services for record in records_in(service.directory / "out")]
        assert set(Counter((r["record_id"], r["revision"]) for r in records).values()) == {1}
        for service, names in zip(services, shown, strict=True):
            assert {r["org"] for r in records_in(service.directory / "out")} == set(names)


def test_a_service_without_an_org_is_ready(tmp_path: Path) -> None:
    with simulated_api(tmp_path, orgs=1) as api:
        for index in range(2):
            with serving(api.config, tmp_path, HOSTNAME=f"collector-{index}", COLLECTOR_SHARDS="2") as service:
                wait_until(lambda: service.get("/readyz")[0] == 200)
                wait_until(lambda: len(service.status["orgs"]) == 1 - index)  # noqa: B023 - called at once
                assert "\ncollector_shards 2.0\n" in service.get("/metrics")[1]
