"""The metrics of commands that end: in a real Pushgateway, and as a textfile."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.commands import COLLECTOR, SimulatedApi, collector, environment, manifest_in, simulated_api
from tests.support.metrics import Samples, labels_of, parsed, total, value
from tests.support.needs import free_port, need
from tests.support.servers import Pushgateway, pushgateway
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow  # needs a Pushgateway
RUN = {"job": "collector", "instance": ""}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedApi]:
    with simulated_api(tmp_path_factory.mktemp("push"), orgs=3) as api:
        yield api


@pytest.fixture
def gateway() -> Iterator[Pushgateway]:
    need("prometheus-pushgateway", package="prometheus-pushgateway")
    with pushgateway() as gateway:
        yield gateway


def scraped(gateway: Pushgateway) -> Samples:
    return parsed(gateway.text)


def test_a_run_pushes_what_it_did(api: SimulatedApi, gateway: Pushgateway, tmp_path: Path) -> None:
    api.set_faults("org-002:partial=always", "org-003:refused")
    env = {"COLLECTOR_PUSH__GATEWAY": gateway.url}
    done = collector("collect", "-c", api.config, "-o", "out", cwd=tmp_path, env=env)
    assert done.code == 4, done.stderr
    samples, manifest = scraped(gateway), manifest_in(tmp_path / "out")
    run = RUN | {"command": "collect"}
    assert value(samples, "last_run_exit_code", **run) == 4
    assert value(samples, "runs_total", **run, exit_code="4") == 1
    assert total(samples, "requests_total") == manifest["requests"]
    assert total(samples, "records_total") == manifest["records"] == value(samples, "last_run_records", **run)
    for state, slices in manifest["slices"].items():
        if state != "planned":
            assert value(samples, "last_run_slices", **run, state=state) == slices


def test_where_all_orgs_stand_is_pushed_also_by_a_run_over_one(
    api: SimulatedApi, gateway: Pushgateway, tmp_path: Path
) -> None:
    env = {"COLLECTOR_PUSH__GATEWAY": gateway.url}
    api.set_faults("org-002:partial=always", "org-003:refused")
    assert collector("collect", "-c", api.config, "-o", "out", cwd=tmp_path, env=env).code == 4
    first = scraped(gateway)
    api.set_faults()
    assert collector("collect", "--org", "org-003", "-c", api.config, "-o", "out", cwd=tmp_path, env=env).code == 0
    second = scraped(gateway)
    assert value(first, "org_lag_seconds", **RUN, org="org-001", population="account-user") == 0
    assert value(first, "org_lag_seconds", **RUN, org="org-003", population="account-user") >= 86400
    partial = {**RUN, "org": "org-002", "population": "account-user", "state": "partial"}
    assert value(first, "org_lacking_windows", **partial) >= 2
    assert [value(samples, "org_refused", **RUN, org="org-003") for samples in (first, second)] == [1, 0]
    assert value(second, "org_lag_seconds", **RUN, org="org-003", population="account-user") == 0
    assert value(second, "org_lacking_windows", **partial) == value(first, "org_lacking_windows", **partial)
    assert value(second, "orgs", **RUN) == 3


def test_shards_push_side_by_side_each_about_its_own_orgs(
    api: SimulatedApi, gateway: Pushgateway, tmp_path: Path
) -> None:
    api.set_faults()
    env = {"COLLECTOR_PUSH__GATEWAY": gateway.url}
    for shard in ("0/2", "1/2"):
        args = ("collect", "--shard", shard, "-c", api.config, "-o", "out")
        assert collector(*args, cwd=tmp_path, env=env).code == 0
    samples = scraped(gateway)
    shards = [{"job": "collector", "instance": f"shard-{index}-of-2"} for index in (0, 1)]
    assert all(value(samples, "last_run_exit_code", **shard, command="collect") == 0 for shard in shards)
    assert sum(value(samples, "orgs", **shard) for shard in shards) == 3
    assert len(labels_of(samples, "org_refused")) == 3


def test_a_run_that_is_stopped_by_a_signal_pushes_what_it_did(
    api: SimulatedApi, gateway: Pushgateway, tmp_path: Path
) -> None:
    api.set_faults("*:latency=300ms")
    env = environment(COLLECTOR_PUSH__GATEWAY=gateway.url, COLLECTOR_API__ORG_CONCURRENCY="1")
    command = [*COLLECTOR, "backfill", "--last", "80d", "-c", str(api.config), "-o", "out"]
    with subprocess.Popen(command, cwd=tmp_path, env=env, stderr=subprocess.DEVNULL) as process:
        wait_until(lambda: list(tmp_path.glob("out/.usage-*")), "the first records are written")
        process.send_signal(signal.SIGTERM)
        assert process.wait(120) == 143
    samples = scraped(gateway)
    assert value(samples, "last_run_exit_code", **RUN, command="backfill") == 143
    assert value(samples, "last_run_slices", **RUN, command="backfill", state="not_asked") > 0
    assert not labels_of(samples, "org_lag_seconds"), "whoever stopped it waits"


def test_a_backfill_never_hides_that_no_collect_runs(api: SimulatedApi, gateway: Pushgateway, tmp_path: Path) -> None:
    api.set_faults()
    env = {"COLLECTOR_PUSH__GATEWAY": gateway.url}
    assert collector("collect", "-c", api.config, "-o", "out", cwd=tmp_path, env=env).code == 0
    before = value(scraped(gateway), "last_run_end_timestamp_seconds", **RUN, command="collect")
    assert collector("backfill", "--last", "9d", "-c", api.config, "-o", "out", cwd=tmp_path, env=env).code == 0
    samples = scraped(gateway)
    assert value(samples, "last_run_end_timestamp_seconds", **RUN, command="collect") == before
    assert value(samples, "last_run_end_timestamp_seconds", **RUN, command="backfill") > before
    assert {"push_time_seconds", "push_failure_time_seconds"} <= {name for name, _ in samples}


def test_a_gateway_that_is_not_there_is_a_warning_and_no_other_exit_code(api: SimulatedApi, tmp_path: Path) -> None:
    api.set_faults()
    env = {"COLLECTOR_PUSH__GATEWAY": f"http://127.0.0.1:{free_port()}"}
    done = collector("collect", "-c", api.config, "-o", "out", cwd=tmp_path, env=env)
    assert done.code == 0
    assert "refused" in done.event("metrics.not_pushed")["message"]


def test_a_textfile_is_written_whole_and_promtool_accepts_it(api: SimulatedApi, tmp_path: Path) -> None:
    api.set_faults("*:429=0.3")
    env = {"COLLECTOR_PUSH__TEXTFILE": "metrics/collector.prom"}
    assert collector("collect", "-c", api.config, "-o", "out", cwd=tmp_path, env=env).code == 0
    files = sorted((tmp_path / "metrics").iterdir())
    assert [file.name for file in files] == ["collector-orgs.prom", "collector.prom"]
    assert value(parsed(files[0].read_text()), "orgs") == 3
    text = files[1].read_text()
    samples = parsed(text)
    assert value(samples, "last_run_exit_code", command="collect") == 0
    assert value(samples, "last_run_rate_limited_requests", command="collect") > 0
    assert value(samples, "last_run_rate_limited_requests", command="collect") == value(
        samples, "requests_total", command="collect", result="rate_limited"
    )
    need("promtool", package="prometheus")
    for file in files:
        checked = subprocess.run(
            ["promtool", "check", "metrics"], input=file.read_text(), capture_output=True, text=True, check=False
        )
        assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_a_textfile_that_can_not_be_written_is_a_warning(api: SimulatedApi, tmp_path: Path) -> None:
    api.set_faults()
    (tmp_path / "metrics").write_text("a file where a directory would have to be")
    env = {"COLLECTOR_PUSH__TEXTFILE": "metrics/collector.prom"}
    done = collector("collect", "-c", api.config, "-o", "out", cwd=tmp_path, env=env)
    assert done.code == 0
    assert done.event("metrics.not_pushed")["what"] == "push.textfile"


def test_a_ledger_that_can_not_be_read_is_pushed_as_exit_code_5(api: SimulatedApi, tmp_path: Path) -> None:
    api.set_faults()
    (tmp_path / "broken.db").write_bytes(b"no database, " * 1000)
    env = {"COLLECTOR_PUSH__TEXTFILE": "collector.prom", "COLLECTOR_STATE__URL": "sqlite:///broken.db"}
    done = collector("collect", "-c", api.config, "-o", "out", cwd=tmp_path, env=env)
    assert done.code == 5
    samples = parsed((tmp_path / "collector.prom").read_text())
    assert value(samples, "last_run_exit_code", command="collect") == 5
    assert labels_of(samples, "run_exceptions_total") == {
        frozenset({("command", "collect"), ("exception", "LedgerError")})
    }
    assert not labels_of(samples, "last_finished_run_timestamp_seconds")
