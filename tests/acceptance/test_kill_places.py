"""`kill -9` of the real command that delivers to an object store or a table, again and again: nobody notices."""

from __future__ import annotations

import json
import os
import random
import secrets
import subprocess
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import pytest

from collector.adapters.sinks.reading import json_lines_of
from tests.support.commands import COLLECTOR, SimulatedApi, collector, environment, simulated_api, unmeasured
from tests.support.faulty_proxy import Fault, faulty_proxy
from tests.support.forked import Command
from tests.support.object_stores import Store, s3
from tests.support.postgresql import DATABASE, PASSWORD, USER, Server
from tests.support.truth import assert_equal_to_truth

pytestmark = pytest.mark.slow

KILLS = -(-int(os.environ.get("KILLS", "10")) // 4)  # of each place
DAYS = 80
FAULTS = ["*:latency=20ms", "org-002:partial=once", "org-003:500=0.1", "org-004:truncate=0.05"]
# Ends in about 30 s if it is left alone: long enough for each kill to find it at work.
SLOWLY = {"COLLECTOR_API__RATE_LIMIT__REQUESTS": "30", "COLLECTOR_OUTPUT__SEAL_AT": "1MB"}


def kill_again_and_again(api: SimulatedApi, output: str, directory: Path, env: Mapping[str, str]) -> None:
    """Kill a backfill at random instants; then let it end."""
    rng = random.Random(20261126)
    backfill = ["backfill", "-c", str(api.config), "--last", f"{DAYS}d", "-o", output]
    for _ in range(KILLS):
        after_s = rng.uniform(0.02, 0.9)  # while it loads its config, recovers, asks, commits, delivers
        given = unmeasured(environment(**SLOWLY, **env))
        with Command([*COLLECTOR, *backfill, "-q"], cwd=directory, env=given, stderr=subprocess.DEVNULL) as process:
            with suppress(subprocess.TimeoutExpired):
                process.wait(after_s)
            process.kill()
        assert process.returncode == -9
    done = collector(*backfill, cwd=directory, env=env)
    assert done.code == 0, done.stderr


@pytest.mark.scaled
@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_killed_at_random_instants_a_bucket_has_every_record_exactly_once(tmp_path: Path, form: str) -> None:
    layout = {"COLLECTOR_OUTPUT__FORMAT": form}
    with simulated_api(tmp_path, orgs=4, faults=FAULTS) as api, s3() as store:
        kill_again_and_again(api, store.url, tmp_path, {**store.env, **layout})
        records = records_of(store)
        assert set(Counter((r["record_id"], r["revision"]) for r in records).values()) == {1}
        windows = assert_equal_to_truth(api, records)
        assert len(windows) == 8
        assert all(len(spans) >= DAYS - 1 for spans in windows.values())
        listed = {
            file["name"]
            for name in store.names()
            if name.startswith("run-")
            for kind in ("files", "recovered")
            for file in json.loads(store.read(name))[kind]
        }
        assert listed == {name for name in store.names() if name.startswith("usage-")}


@pytest.mark.scaled
@pytest.mark.parametrize("state", ["sqlite", "same database"])
def test_killed_at_random_instants_a_table_has_the_newest_of_each_record(
    tmp_path: Path, server: Server, state: str
) -> None:
    schema = f"t{secrets.token_hex(6)}"
    server.sql(f"CREATE SCHEMA {schema} AUTHORIZATION {USER}", DATABASE)
    database = server.url(password=None).removesuffix("?")
    env = {"PGPASSWORD": PASSWORD}
    if state != "sqlite":
        env["COLLECTOR_STATE__URL"] = f"{database}?schema={schema}_ledger"
    with simulated_api(tmp_path, orgs=4, faults=FAULTS) as api:
        kill_again_and_again(api, f"{database}/{schema}.usage", tmp_path, env)
        columns = "to_jsonb(t) || jsonb_build_object('collected_at', collected_at)"
        records = [row for (row,) in server.sql(f"SELECT {columns} FROM {schema}.usage AS t", DATABASE)]
        windows = assert_equal_to_truth(api, records)
        assert len(windows) == 8
        assert all(len(spans) >= DAYS - 1 for spans in windows.values())
        assert len(records) == len({record["record_id"] for record in records})
        manifests = server.sql(
            f"SELECT content::jsonb -> 'exit_code' FROM {schema}.usage_files WHERE starts_with(name, 'run-')", DATABASE
        )
        assert (0,) in manifests


def records_of(store: Store) -> list[dict[str, object]]:
    names = [name for name in store.names() if name.startswith("usage-")]
    return [json.loads(line) for name in names for line in json_lines_of(name, store.read(name)).splitlines()]


@pytest.mark.parametrize("fault", [Fault.DENIED, Fault.LOST])
def test_a_run_whose_upload_fails_ends_with_5_and_the_next_one_delivers_all_of_it_once(
    tmp_path: Path, fault: Fault
) -> None:
    with simulated_api(tmp_path, orgs=3) as api, s3() as store, faulty_proxy(store.address) as proxy:
        backfill = ["backfill", "-c", str(api.config), "--last", "30d", "-o", store.url]
        proxy.always = fault
        env = {**store.at(proxy.address).env, "COLLECTOR_OUTPUT__SEAL_AT": "1MB"}
        failed = collector(*backfill, cwd=tmp_path, env=env)
        assert failed.code == 5
        assert ("access is denied" if fault is Fault.DENIED else "doesn't answer") in failed.stderr
        assert bool(store.records()) is (fault is Fault.LOST)  # the store did it, and no answer came back
        proxy.always = None
        done = collector(*backfill, cwd=tmp_path, env=env)
        assert done.code == 0, done.stderr
        assert set(Counter((r["record_id"], r["revision"]) for r in store.records()).values()) == {1}
        assert_equal_to_truth(api, store.records())
        asked = api.stats["total"]["asked"]
        assert asked == len({(r["org"], r["population"], r["window_start"]) for r in store.records()})
