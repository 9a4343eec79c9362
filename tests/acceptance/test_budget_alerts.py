"""Alerts about budgets in a real Prometheus: of a service, of runs that push to a gateway, and of files.

The budgets are made for what real runs fetched: whatever the day is, each of them stands as its name says.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import yaml

from collector.adapters.clock import SystemClock
from collector.app.budgets import read_budgets
from collector.app.scope import EVERYTHING
from collector.config import load
from collector.core.budgets import BudgetStanding
from collector.ledger import open_reader
from tests.support.commands import HARDLY_EVER, SimulatedApi, calm, collector, logging_to, simulated_api
from tests.support.discovery import COMPOSE, PUSHED
from tests.support.needs import free_port, need
from tests.support.servers import Prometheus, node_exporter, prometheus, pushgateway
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow  # needs Prometheus, its Pushgateway and node_exporter
DAY = timedelta(days=1)
ALERTS = {"CollectorBudgetNearlyUsed", "CollectorBudgetUsed", "CollectorBudgetForecastOver"}
DARK = "org-001"  # its newest days are never fetched: so there are always days to forecast, also when a month ends


@dataclass
class World:
    """A ledger with five weeks of usage, and what each Prometheus says of budgets of it."""

    api: SimulatedApi
    directory: Path
    textfile: Path
    env: dict[str, str]
    content: dict[str, Any]
    servers: dict[str, Prometheus] = field(default_factory=dict)

    @property
    def config(self) -> Path:
        return self.directory / "collector.yaml"

    def write(self, budgets: dict[str, Fraction]) -> None:
        """Replace the config whole, as an editor does."""
        self.content["budgets"] = [
            {"name": name, "metric": "tests", "amount": f"{float(amount):.6f}"} for name, amount in budgets.items()
        ]
        new = self.directory / "new.yaml"
        new.write_text(yaml.safe_dump(self.content))
        new.replace(self.config)

    def collect(self, *args: str, code: int) -> None:
        done = collector("collect", "-c", self.config, *args, cwd=self.directory, env=self.env)
        assert done.code == code, done.stderr[-3000:]

    def standing(self) -> BudgetStanding:
        config = load(self.config, environ=self.env, reads_secrets=False)
        ledger = open_reader(f"sqlite:///{self.directory}/state.db")
        assert ledger is not None
        try:
            return read_budgets(ledger, config, EVERYTHING, now=SystemClock().now())[0]
        finally:
            ledger.close()

    def firing(self, way: str) -> dict[str, set[str]]:
        """The budgets of each alert that fires."""
        found: dict[str, set[str]] = {}
        for sample in self.servers[way].query('ALERTS{alertstate="firing", alertname=~"CollectorBudget.*"}'):
            labels = sample["metric"]
            found.setdefault(labels["alertname"], set()).add(labels["budget"])
        return found


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    need("prometheus", package="prometheus")
    need("prometheus-pushgateway", package="prometheus-pushgateway")
    need("prometheus-node-exporter", package="prometheus-node-exporter")
    directory = tmp_path_factory.mktemp("budgets")
    with ExitStack() as stack:
        api = stack.enter_context(simulated_api(directory, orgs=4))
        gateway = stack.enter_context(pushgateway())
        textfile = directory / "metrics" / "collector.prom"
        textfile.parent.mkdir()
        exporter = stack.enter_context(node_exporter(textfile.parent))
        env = calm() | {"COLLECTOR_PUSH__GATEWAY": gateway.url, "COLLECTOR_PUSH__TEXTFILE": str(textfile)}
        port = free_port()
        content = yaml.safe_load(api.config.read_text())
        content |= {"state": {"url": "sqlite:///state.db"}, "output": {"path": "out"}, "service": {"port": port}}
        content |= {"schedule": {"cron": HARDLY_EVER, "jitter": 0, "reconcile": None}}
        told = World(api, directory, textfile, env, content)
        for way, address in (("pushgateway", gateway.url), ("textfile", exporter)):
            config = PUSHED[way].config(directory / way, address.removeprefix("http://"))
            told.servers[way] = stack.enter_context(prometheus(config, directory / way / "tsdb"))
        config = COMPOSE.config(directory / "serve", f"127.0.0.1:{port}")
        told.servers["serve"] = stack.enter_context(prometheus(config, directory / "serve" / "tsdb"))
        yield told


def test_alerts_fire_at_80_and_100_percent_and_for_the_forecast_and_resolve(world: World) -> None:
    huge = Fraction(10**9)
    world.write({"huge": huge})
    today = SystemClock().now().date()
    span = ("--from", str(today - 34 * DAY), "--to")
    world.collect(*span, str(today - 5 * DAY), "--org", DARK, code=0)
    for org in ("org-002", "org-003", "org-004"):
        world.collect(*span, str(today), "--org", org, code=0)
    world.api.set_faults(f"{DARK}:refused")
    world.collect(code=4)

    standing = world.standing()
    used, forecast = standing.used, standing.forecast
    assert used is not None
    assert forecast is not None
    assert forecast > used > 0
    assert standing.unknown > 0
    between = (used + forecast) / 2
    world.write({"calm": 10 * forecast, "near": used / Fraction(9, 10), "over": used / 2, "coming": between})
    world.collect(code=4)  # as a CronJob: it pushes, and writes the file
    with logging_to(world.directory / "log", "serve", "-c", world.config, cwd=world.directory, **calm()):
        for way in world.servers:
            wait_until(lambda: set(world.firing(way)) == ALERTS, f"all alerts fire ({way})")  # noqa: B023
            fires = world.firing(way)
            assert fires["CollectorBudgetUsed"] == {"over"}
            assert "near" in fires["CollectorBudgetNearlyUsed"] <= {"near", "coming"}
            assert "coming" in fires["CollectorBudgetForecastOver"] <= {"near", "coming"}
            assert world.servers[way].broken_rules == {}
        unknown = world.servers["serve"].query("collector_budget_unknown_windows")
        assert {float(one["value"][1]) for one in unknown} == {standing.unknown}

        more = dict.fromkeys(("calm", "near", "over", "coming"), 10 * forecast)
        world.write(more)
        world.collect(code=4)
        for way in world.servers:
            wait_until(lambda: not world.firing(way), f"all alerts resolve ({way})")  # noqa: B023
