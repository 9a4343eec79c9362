"""Alerts about runs that push: real runs, a Pushgateway, node_exporter, and a Prometheus with each shipped config."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from tests.support.commands import SimulatedApi, collector, simulated_api
from tests.support.discovery import GATEWAY, PUSHED, TEXTFILE
from tests.support.needs import need
from tests.support.servers import Prometheus, Pushgateway, get, node_exporter, prometheus, pushgateway
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow  # needs Prometheus, its Pushgateway and node_exporter
ORGS = {
    "CollectorOrgBehind",
    "CollectorManyOrgsBehind",
    "CollectorCredentialRefused",
    "CollectorWindowsStayPartial",
    "CollectorAnswersSuspicious",
}


@dataclass
class Pushes:
    """Runs that push to a gateway and write files, and what each Prometheus says of them."""

    api: SimulatedApi
    directory: Path
    gateway: Pushgateway
    servers: dict[str, Prometheus] = field(default_factory=dict)
    labels: dict[str, dict[str, list[dict[str, str]]]] = field(default_factory=dict)  # by way and alert
    fired: set[str] = field(default_factory=set)

    @property
    def textfile(self) -> Path:
        return self.directory / "metrics" / "collector.prom"

    def collect(self, *args: str, code: int, state: str = "state.db") -> None:
        env = {
            "COLLECTOR_PUSH__GATEWAY": self.gateway.url,
            "COLLECTOR_PUSH__TEXTFILE": str(self.textfile),
            "COLLECTOR_STATE__URL": f"sqlite:///{state}",
        }
        done = collector("collect", "-c", self.api.config, "-o", "out", *args, cwd=self.directory, env=env)
        assert done.code == code, done.stderr[-3000:]

    def fetched_days_ago(self, days: int) -> None:
        """Change the ledger as if all slices had been fetched earlier: then some of them are due for a recheck."""
        ledger = sqlite3.connect(self.directory / "state.db")
        earlier = days * 86_400_000_000
        ledger.execute("UPDATE slice SET asked_at = asked_at - ?1, complete_at = complete_at - ?1", [earlier])
        ledger.commit()
        ledger.close()

    @property
    def incomplete(self) -> int:
        done = collector("status", "-c", self.api.config, "--state", "sqlite:///state.db", "--json", cwd=self.directory)
        return int(json.loads(done.stdout)["lacking"])

    def fires(self, *alerts: str) -> None:
        for way, server in self.servers.items():
            wait_until(lambda: set(alerts) <= server.firing, f"{alerts} fire ({way})")  # noqa: B023
            for sample in server.query('ALERTS{alertstate="firing"}'):
                labels = sample["metric"]
                self.labels.setdefault(way, {}).setdefault(labels["alertname"], []).append(labels)
        self.fired |= set(alerts)

    def resolves(self, *alerts: str) -> None:
        for way, server in self.servers.items():
            wait_until(lambda: not set(alerts) & server.firing, f"{alerts} resolve ({way})")  # noqa: B023


def live(pushes: Pushes) -> None:
    """Let everything go wrong in turn, and be fixed."""
    api, healthy = pushes.api, {"CollectorPushMissing"}
    pushes.fires("CollectorPushMissing")  # nothing was pushed yet
    api.set_faults("org-001:refused", "org-002:partial=always", "org-003:same-types", "*:429=0.3")
    pushes.collect(code=4)
    pushes.fires(*ORGS, "CollectorLimitsHit")
    pushes.resolves(*healthy)
    api.set_faults()
    pushes.collect(code=0)
    pushes.resolves(*ORGS, "CollectorLimitsHit")

    pushes.fetched_days_ago(5)
    api.set_faults("org-001:refused")
    pushes.collect(code=4)
    assert pushes.incomplete == 0  # only a recheck of a complete window was refused
    pushes.fires("CollectorCredentialRefused")
    pushes.collect(code=4)
    api.set_faults()
    pushes.collect(code=0)
    pushes.resolves("CollectorCredentialRefused")

    (pushes.directory / "broken.db").write_bytes(b"no database, " * 1000)
    pushes.collect(code=5, state="broken.db")
    pushes.fires("CollectorOutputFailing")
    api.set_faults("*:502")
    pushes.collect("--last", "6d", code=3)
    pushes.fires("CollectorApiDown")
    pushes.resolves("CollectorOutputFailing")
    api.set_faults()
    pushes.collect("--last", "6d", code=0)
    pushes.resolves("CollectorApiDown")

    pushes.gateway.delete("collect")
    os.utime(pushes.textfile, (0, 0))
    pushes.fires("CollectorPushMissing")
    pushes.collect(code=0)
    pushes.resolves("CollectorPushMissing")
    pushes.textfile.unlink()
    pushes.gateway.delete("collect")
    pushes.fires("CollectorPushMissing")
    pushes.collect(code=0)
    pushes.resolves(*pushes.fired)


@pytest.fixture(scope="module")
def pushes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pushes]:
    need("prometheus", package="prometheus")
    need("prometheus-pushgateway", package="prometheus-pushgateway")
    need("prometheus-node-exporter", package="prometheus-node-exporter")
    directory = tmp_path_factory.mktemp("pushes")
    with ExitStack() as stack:
        api = stack.enter_context(simulated_api(directory, orgs=12))
        content = yaml.safe_load(api.config.read_text())
        content["api"]["retry"] = {"base_delay": "50ms", "max_delay": "200ms", "budget": "1s", "attempts": 4}
        api.config.write_text(yaml.safe_dump(content))
        told = Pushes(api, directory, stack.enter_context(pushgateway()))
        told.textfile.parent.mkdir()
        exporter = stack.enter_context(node_exporter(told.textfile.parent))
        for way, url in (("pushgateway", told.gateway.url), ("textfile", exporter)):
            config = PUSHED[way].config(directory / way, url.removeprefix("http://"))
            told.servers[way] = stack.enter_context(prometheus(config, directory / way / "tsdb"))
        live(told)
        yield told


@pytest.mark.parametrize("way", PUSHED)
def test_alerts_of_runs_that_push_fire_and_resolve(pushes: Pushes, way: str) -> None:
    assert pushes.fired >= ORGS | {"CollectorPushMissing", "CollectorApiDown", "CollectorOutputFailing"}
    assert pushes.fired <= set(pushes.labels[way])
    assert pushes.servers[way].broken_rules == {}
    served = {"CollectorDown", "CollectorConfigRefused", "CollectorEventLoopLagging"}
    assert not served & set(pushes.labels[way]), "there is no service"


@pytest.mark.parametrize(("way", "job"), [("pushgateway", "collector"), ("textfile", "node")])
def test_alerts_of_runs_that_push_name_org_and_command(pushes: Pushes, way: str, job: str) -> None:
    alerts = pushes.labels[way]
    assert {(one["job"], one["org"]) for one in alerts["CollectorCredentialRefused"]} == {(job, "org-001")}
    assert {one["org"] for one in alerts["CollectorWindowsStayPartial"]} == {"org-002"}
    assert {one["command"] for one in alerts["CollectorOutputFailing"]} == {"collect"}
    assert {one["flag"] for one in alerts["CollectorAnswersSuspicious"]} == {"same_totals"}


def test_a_gateway_that_is_down_is_a_push_that_is_missing(tmp_path: Path) -> None:
    need("prometheus", package="prometheus")
    config = GATEWAY.config(tmp_path / "config", "127.0.0.1:1")
    with prometheus(config, tmp_path / "tsdb") as server:
        wait_until(lambda: "CollectorPushMissing" in server.firing, "the alert fires")


def test_a_textfile_that_node_exporter_may_not_read_is_a_push_that_is_missing(pushes: Pushes, tmp_path: Path) -> None:
    """It exports no time of a file that it can't parse either."""
    folder = tmp_path / "metrics"
    shutil.copytree(pushes.textfile.parent, folder)
    (folder / "collector.prom").write_text("no metrics")
    with node_exporter(folder) as url:
        config = TEXTFILE.config(tmp_path / "config", url.removeprefix("http://"))
        with prometheus(config, tmp_path / "tsdb") as server:
            wait_until(lambda: "CollectorPushMissing" in server.firing, "the alert fires")
            assert "node_textfile_scrape_error 1" in get(f"{url}/metrics").decode()
