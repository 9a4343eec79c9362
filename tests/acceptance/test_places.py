"""Object stores and a table as the output of the real command: ownership, a restored ledger, other machines, serve."""

from __future__ import annotations

import json
import secrets
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from collector.adapters.sinks.reading import json_lines_of
from tests.support.commands import SimulatedApi, collector, logging_to, simulated_api
from tests.support.faulty_proxy import Fault, faulty_proxy
from tests.support.needs import free_port
from tests.support.object_stores import STORES, Store, s3
from tests.support.postgresql import DATABASE, PASSWORD, USER, Server
from tests.support.truth import assert_equal_to_truth
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Place:
    """An output that takes whole files, and what is in it."""

    url: str
    env: Mapping[str, str]
    store: Store | None = None
    server: Server | None = None

    def records(self) -> list[dict[str, Any]]:
        """The newest of each record, as a reader has it."""
        if self.store is not None:
            names = [name for name in self.store.names() if "usage-2" in name]
            lines = [line for name in names for line in json_lines_of(name, self.store.read(name)).splitlines()]
            return [json.loads(line) for line in lines]
        assert self.server is not None
        table = self.url.rpartition("/")[2]
        columns = "to_jsonb(t) || jsonb_build_object('collected_at', collected_at)"
        return [row for (row,) in self.server.sql(f"SELECT {columns} FROM {table} AS t", DATABASE)]


@pytest.fixture(params=["s3", "table"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    if request.param == "s3":
        with s3() as store:
            yield Place(store.url, store.env, store=store)
        return
    server: Server = request.getfixturevalue("server")
    schema = f"t{secrets.token_hex(6)}"
    server.sql(f"CREATE SCHEMA {schema} AUTHORIZATION {USER}", DATABASE)
    database = server.url(password=None).removesuffix("?")
    yield Place(f"{database}/{schema}.usage", {"PGPASSWORD": PASSWORD}, server=server)


def backfill(api: SimulatedApi, directory: Path, place: Place, *more: str, **env: str) -> Any:
    last = () if "--last" in more else ("--last", "6d")
    options = ["-c", str(api.config), *last, "-o", place.url, *more]
    return collector("backfill", *options, cwd=directory, env={**place.env, **env})


@pytest.mark.parametrize("kind", STORES)
@pytest.mark.parametrize("layout", ["jsonl", "csv.gz", "parquet by month and org"])
def test_each_store_takes_each_layout_and_has_every_record_once(tmp_path: Path, kind: str, layout: str) -> None:
    form, _, rest = layout.partition(" ")
    env = {"COLLECTOR_OUTPUT__FORMAT": form.removesuffix(".gz")}
    env["COLLECTOR_OUTPUT__COMPRESSION"] = "gzip" if form.endswith(".gz") else "none"
    with simulated_api(tmp_path, orgs=2) as api, STORES[kind]() as store:
        place = Place(store.url, store.env, store=store)
        if rest:
            with api.config.open("a") as config:
                config.write("\noutput: {partition_by: [month, org]}\n")
        done = backfill(api, tmp_path, place, **env)
        assert done.code == 0, done.stderr
        records = place.records()
        assert set(Counter((r["record_id"], r["revision"]) for r in records).values()) == {1}
        assert_equal_to_truth(api, records)
        (manifest,) = (json.loads(store.read(name)) for name in store.names() if name.startswith("run-"))
        assert sorted(file["name"] for file in manifest["files"]) == [n for n in store.names() if "usage-2" in n]
        assert all(("month=" in file["name"]) is bool(rest) for file in manifest["files"])
        assert manifest["coverage"]["name"] in store.names()


def test_a_place_belongs_to_one_ledger_and_a_ledger_to_its_place(tmp_path: Path, place: Place) -> None:
    with simulated_api(tmp_path, orgs=1) as api:
        assert backfill(api, tmp_path, place).code == 0
        other = tmp_path / "other"
        other.mkdir()
        refused = backfill(api, other, place)
        assert refused.code == 5
        assert f"{place.url} belongs to another ledger" in refused.stderr
        elsewhere = collector("collect", "-c", str(api.config), "-o", "out", cwd=tmp_path, env=place.env)
        assert elsewhere.code == 2
        assert place.url in elsewhere.stderr
        adopted = backfill(api, other, place, "--adopt")
        assert adopted.code == 0, adopted.stderr
        assert len(place.records()) == len({(r["record_id"], r["revision"]) for r in place.records()})
        assert backfill(api, tmp_path, place).code == 5  # the first ledger is refused from then on


def test_a_restored_ledger_goes_on_behind_what_was_delivered_since(tmp_path: Path, place: Place) -> None:
    with simulated_api(tmp_path, orgs=2) as api:
        assert backfill(api, tmp_path, place, "--last", "3d").code == 0
        shutil.copytree(tmp_path / "state", tmp_path / "backup")
        assert backfill(api, tmp_path, place).code == 0
        before = {(r["record_id"], r["revision"]) for r in place.records()}
        shutil.rmtree(tmp_path / "state")
        shutil.move(tmp_path / "backup", tmp_path / "state")
        again = backfill(api, tmp_path, place)
        assert again.code == 0, again.stderr
        assert again.event("ledger.behind")["unread"] == []
        assert {(r["record_id"], r["revision"]) for r in place.records()} == before
        assert_equal_to_truth(api, place.records())


def test_without_a_ledger_a_run_delivers_too_and_not_beside_one(tmp_path: Path, place: Place) -> None:
    with simulated_api(tmp_path, orgs=1) as api:
        done = backfill(api, tmp_path, place, "--state", "none")
        assert done.code == 0, done.stderr
        assert_equal_to_truth(api, place.records())
        assert backfill(api, tmp_path, place).code == 0
        refused = backfill(api, tmp_path, place, "--state", "none")
        assert refused.code == 2
        assert "has files of runs with a ledger" in refused.stderr


def test_what_waits_for_a_place_is_shown_and_can_be_given_up(tmp_path: Path) -> None:
    with simulated_api(tmp_path, orgs=1) as api, s3() as store, faulty_proxy(store.address) as proxy:
        proxy.always = Fault.DENIED
        place = Place(store.url, store.at(proxy.address).env, store=store)
        assert backfill(api, tmp_path, place).code == 5
        config = ["-c", str(api.config)]
        here = collector("status", *config, cwd=tmp_path, env={"COLLECTOR_OUTPUT__PATH": store.url})
        assert "the next run here seals it" in here.stdout
        shown = collector("status", *config, cwd=tmp_path)
        assert shown.code == 3
        said = " ".join(shown.stdout.split())
        assert f"The next run with the output {store.url} delivers them" in said
        name = next(word for word in said.split() if word.startswith("usage-2"))
        kept = collector("collect", *config, "-o", store.url, "--lost", name, cwd=tmp_path, env=place.env)
        assert kept.code == 2
        assert "the next `collect` delivers them" in kept.stderr
        assert collector("collect", *config, "--lost", name, cwd=tmp_path).code == 0
        proxy.always = None
        assert backfill(api, tmp_path, place).code == 0
        assert_equal_to_truth(api, place.records())


def test_serve_is_not_ready_while_its_place_is_away(tmp_path: Path) -> None:
    port = free_port()
    with simulated_api(tmp_path, orgs=1) as api, s3() as store, faulty_proxy(store.address) as proxy:
        env = {**store.at(proxy.address).env, "COLLECTOR_SERVICE__PORT": str(port)}
        with logging_to(tmp_path / "log", "serve", "-c", str(api.config), "-o", store.url, cwd=tmp_path, **env):
            site = SimulatedApi(f"http://127.0.0.1:{port}", api.config)
            wait_until(lambda: "run.finished" in (tmp_path / "log").read_text(), "a run ends")
            wait_until(lambda: _status(site) == 200, "the service is ready")
            proxy.away = True
            wait_until(lambda: _status(site) == 503, "the service is not ready")
            proxy.away = False
            wait_until(lambda: _status(site) == 200, "the service is ready again")
            assert "output.down" in (tmp_path / "log").read_text()


def test_the_documented_query_finds_the_windows_without_a_row(tmp_path: Path, server: Server) -> None:
    schema = f"t{secrets.token_hex(6)}"
    server.sql(f"CREATE SCHEMA {schema} AUTHORIZATION {USER}", DATABASE)
    place = Place(f"{server.url(password=None).removesuffix('?')}/{schema}.usage_records", {"PGPASSWORD": PASSWORD})
    with simulated_api(tmp_path, orgs=2, faults=["org-002:refused"]) as api:
        assert backfill(api, tmp_path, place).code == 4
    document = (Path(__file__).parents[2] / "docs/outputs.md").read_text()
    query = document.split("```sql\n")[1].split("```")[0]
    found = server.sql(query.replace("usage_records_files", f"{schema}.usage_records_files"), DATABASE)
    assert {(org, state) for org, _, state in found} == {("org-002", "refused")}


def _status(site: SimulatedApi) -> int:
    import urllib.error  # noqa: PLC0415
    import urllib.request  # noqa: PLC0415

    try:
        with urllib.request.urlopen(f"{site.base_url}/readyz") as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0
