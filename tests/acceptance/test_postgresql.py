"""The real commands on a ledger in PostgreSQL: a server that restarts in mid-run, and secrets that nobody sees."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from collector.ledger.postgresql import locks
from tests.support.commands import Here, SimulatedApi, calm, days_ago, environment, records_in, simulated_api, started
from tests.support.postgresql import PASSWORD, Server, running_server
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow  # needs PostgreSQL
DAYS = 20
# As the command, but a server that went away is waited for for a second only.
IMPATIENT = """
from collector.ledger import SqlLedger
SqlLedger.open.__func__.__kwdefaults__["patience_s"] = 1.0
from collector.__main__ import main
main()
"""
SLOWLY = {"COLLECTOR_API__RATE_LIMIT__REQUESTS": "40"}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """One of our own: it is killed and started again."""
    with running_server() as started_server:
        yield started_server


def test_a_server_that_is_killed_and_restarted_in_mid_run_costs_no_record_and_brings_none_twice(
    tmp_path: Path, server: Server, here: Here
) -> None:
    env = {"COLLECTOR_STATE__URL": server.fresh(), **calm()}
    with simulated_api(tmp_path, orgs=9, faults=["*:latency=10ms", "org-002:partial=once"]) as api, ExitStack() as all_:

        def shard(index: int) -> subprocess.Popen[str]:
            words: list[str | Path] = [
                "backfill",
                "--from",
                days_ago(DAYS),
                "-c",
                api.config,
                "-o",
                f"out-{index}",
                "--elsewhere",
                "-q",
            ]
            return all_.enter_context(started(*words, "--shard", f"{index}/3", cwd=tmp_path, **env, **SLOWLY))

        shards = [shard(index) for index in range(3)]
        wait_for_all_at_work(api, tmp_path)
        for _ in range(2):
            server.restart("immediate")
            asked = api.stats["total"]["asked"]
            wait_until(lambda: api.stats["total"]["asked"] > asked + 20, "they go on")  # noqa: B023 - called at once
        codes = [process.wait(60) for process in shards]
        assert set(codes) <= {0, 5}
        assert [shard(index).wait(60) for index in range(3)] == [0, 0, 0]

        done = here("status", "-c", api.config, "--json", env=env)
        status = json.loads(done.stdout)
        assert (done.code, status["lacking"], status["awaited"]) == (0, 0, [])
        records = [record for out in tmp_path.glob("out-*") for record in records_in(out)]
        assert set(Counter((r["record_id"], r["revision"]) for r in records).values()) == {1}
        slices = {(r["org"], r["population"], r["window_start"]) for r in records}
        assert len(slices) == sum(p["complete"] for org in status["orgs"] for p in org["populations"]) >= 9 * 2 * 19
        assert codes == [0, 0, 0]  # each went on


def wait_for_all_at_work(api: SimulatedApi, directory: Path) -> None:
    wait_until(lambda: all(any((directory / f"out-{index}").glob(".usage-*.unsealed")) for index in range(3)))
    assert api.stats["total"]["asked"] < 9 * 2 * 19


def test_a_server_that_goes_away_for_good_ends_the_run_with_5_and_the_next_one_goes_on(
    tmp_path: Path, server: Server, here: Here, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "REACQUIRE_S", 2)  # the first run could still be there
    url = server.fresh()
    with simulated_api(tmp_path, orgs=3) as api:
        words = ["backfill", "--from", days_ago(DAYS), "-c", str(api.config), "-o", "out", "--log-level", "debug"]
        env = {"COLLECTOR_STATE__URL": url, "COLLECTOR_API__RATE_LIMIT__REQUESTS": "10"}
        command = [sys.executable, "-c", IMPATIENT, *words]
        with subprocess.Popen(
            command, cwd=tmp_path, env=environment(**env), stderr=subprocess.PIPE, text=True
        ) as process:
            try:
                wait_until(lambda: any((tmp_path / "out").glob(".usage-*.unsealed")))
                server.stop("immediate")
                said = process.communicate(timeout=60)[1]
            finally:
                process.kill()
                server.start()
        assert process.returncode == 5
        assert "the server doesn't answer, or the connection broke" in said
        assert PASSWORD not in said
        assert "Traceback" not in said
        done = here(*words, env={"COLLECTOR_STATE__URL": url})
        assert done.code == 0
        assert not list((tmp_path / "out").glob(".*.unsealed"))
        ids = Counter((r["record_id"], r["revision"]) for r in records_in(tmp_path / "out"))
        assert set(ids.values()) == {1}


def test_the_password_is_in_no_output_of_any_command_whatever_goes_wrong(
    tmp_path: Path, server: Server, here: Here
) -> None:
    urls = {
        server.fresh(): 0,
        server.url(password=f"{PASSWORD}-wrong"): 5,
        server.url(database="nowhere"): 5,
        server.url(sslmode="require"): 5,
        server.url().replace(f":{server.port}/", ":9/"): 5,
        server.url(connect_timeout="soon"): 5,
        server.url(nonsense=PASSWORD): 2,
    }
    with simulated_api(tmp_path, orgs=1) as api:
        config = ["-c", str(api.config), "--log-level", "debug"]
        for url, code in urls.items():
            env = {"COLLECTOR_STATE__URL": url}
            for words in (["collect", "-o", "out"], ["status"], ["plan"]):
                done = here(*words, *config, env=env)
                assert done.code == code, done.stderr
                shown = done.stdout + done.stderr
                assert PASSWORD not in shown
                assert "Traceback" not in shown
                if code == 5 and words == ["collect", "-o", "out"]:
                    assert "error: the ledger postgresql://127.0.0.1:" in done.stderr
        assert PASSWORD not in "".join(path.read_text() for path in (tmp_path / "out").iterdir() if path.is_file())


def test_the_config_names_the_password_s_file_beside_it(tmp_path: Path, server: Server, here: Here) -> None:
    with simulated_api(tmp_path, orgs=1) as api:
        config = tmp_path / "config" / "collector.yaml"
        (config.parent / "secrets").mkdir(parents=True)
        (config.parent / "secrets" / "ledger").write_text(PASSWORD)
        url = server.url("beside", password=None)
        state = f"state: {{url: '{url}', password_file: secrets/ledger}}\n"
        config.write_text(api.config.read_text() + state)
        assert here("collect", "-c", config, "-o", "out").code == 0
        assert here("status", "-c", config).code == 0
        by_variable = {"COLLECTOR_STATE__PASSWORD_FILE": str(tmp_path / "missing")}
        done = here("status", "-c", config, env=by_variable)
        assert done.code == 2
        assert "COLLECTOR_STATE__PASSWORD_FILE: " in done.stderr
        assert here("collect", "-c", config, "--state", "none").code == 0


def test_the_environment_of_other_clients_is_understood(tmp_path: Path, server: Server, here: Here) -> None:
    with simulated_api(tmp_path, orgs=1) as api:
        url = "postgresql:///usage?schema=surrounding&user=collector"
        env = {"PGHOST": "127.0.0.1", "PGPORT": str(server.port), "PGPASSWORD": PASSWORD, "COLLECTOR_STATE__URL": url}
        assert "PGPASSWORD" not in environment()
        assert here("collect", "-c", api.config, "-o", "out", env=env).code == 0
