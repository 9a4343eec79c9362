"""A real Prometheus scrapes the real service while the simulated API misbehaves: alerts fire, and resolve.

There is one Prometheus for each shipped discovery of a service. One story, told once: a fixture lives through it and
keeps what they said at each point; the tests look at that.
"""

from __future__ import annotations

import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.commands import HARDLY_EVER, SimulatedApi, logging_to, simulated_api
from tests.support.discovery import PODS, SERVED, Discovery
from tests.support.metrics import parsed
from tests.support.monitoring import CONFIGS, PROMETHEUS, RULE_TESTS, RULES, queries
from tests.support.needs import free_port, need
from tests.support.servers import Prometheus, get, prometheus
from tests.support.waiting import wait_until

pytestmark = pytest.mark.slow  # needs Prometheus
VARIABLES = {"$job": "collector", "$org": ".*", "$population": ".*", "$__rate_interval": "8s"}


@dataclass
class Service:
    """The service, and the config that it is run with: each change is one that it loads by itself."""

    api: SimulatedApi
    directory: Path
    port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        self.content: dict[str, Any] = yaml.safe_load(self.api.config.read_text())
        self._more: list[dict[str, Any]] = self.content["orgs"]
        self.content["orgs"] = []
        self.content["api"]["retry"] = {"base_delay": "50ms", "max_delay": "200ms", "budget": "60s", "attempts": 4}
        self.content["service"] = {"port": self.port, "usage_metrics": True, "grace": "1s"}
        self.content["schedule"] = {
            "cron": HARDLY_EVER,
            "jitter": 0,
            "lookback": "9d",
            "reconcile": None,
        }  # enough for a forecast
        self.content["budgets"] = [{"name": "everything", "metric": "tests", "amount": 10**9}]
        self.content["output"] = {"path": "out"}

    @property
    def config(self) -> Path:
        return self.directory / "collector.yaml"

    @property
    def output(self) -> Path:
        return self.directory / "out"

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def metrics(self) -> str:
        return get(f"http://127.0.0.1:{self.port}/metrics").decode()

    def take_on(self, orgs: int) -> None:
        """Add orgs, which are asked at once; so are all others, whose entries change a little."""
        self.content["orgs"] += self._more[:orgs]
        del self._more[:orgs]
        for org in self.content["orgs"]:
            org["populations"] = org.get("populations", ["service-user", "account-user"])[::-1]
        self.write(yaml.safe_dump(self.content))

    def write(self, text: str) -> None:
        """Replace the config whole, as an editor does."""
        new = self.directory / "new.yaml"
        new.write_text(text)
        new.replace(self.config)

    def running(self) -> AbstractContextManager[subprocess.Popen[str]]:
        return logging_to(self.directory / "log", "serve", "-c", self.config, cwd=self.directory)


@dataclass
class Found:
    """Each Prometheus, and what its service discovery finds."""

    directory: Path
    discoveries: dict[str, Discovery]
    servers: dict[str, Prometheus] = field(default_factory=dict)

    def found(self, *addresses: str) -> None:
        for name, discovery in self.discoveries.items():
            discovery.found(self.directory / name, *addresses)

    def nothing(self) -> None:
        self.found()


@dataclass
class Story:
    """What happened, as each Prometheus tells it."""

    fired: list[set[str]] = field(default_factory=list)
    resolved: list[set[str]] = field(default_factory=list)
    alerts: dict[str, dict[str, list[dict[str, str]]]] = field(default_factory=dict)  # by alert and discovery
    targets: dict[str, list[dict[str, str]]] = field(default_factory=dict)  # the labels of each, by discovery
    address: str = ""
    metrics: str = ""
    answers: dict[str, int] = field(default_factory=dict)  # series that the dashboard's queries brought, twice
    broken_rules: dict[str, dict[str, str]] = field(default_factory=dict)
    vanished: dict[str, list[dict[str, str]]] = field(default_factory=dict)  # CollectorDown, without any target
    exit_code: int | None = None


@dataclass
class Teller:
    """Lives through the story."""

    service: Service
    servers: dict[str, Prometheus]
    story: Story

    def fires(self, *alerts: str) -> None:
        wanted = set(alerts)
        self._until(lambda firing: wanted <= firing, f"{wanted} fire")
        for alert in wanted:
            query = f'ALERTS{{alertname="{alert}", alertstate="firing"}}'
            self.story.alerts[alert] = {name: labels(server, query) for name, server in self.servers.items()}
        self.story.fired.append(wanted)

    def resolves(self, *alerts: str) -> None:
        wanted = set(alerts)
        self._until(lambda firing: not wanted & firing, f"{wanted} resolve")
        self.story.resolved.append(wanted)

    def look_at_the_dashboard(self) -> None:
        for query in queries():
            found = self.servers["compose"].query(substituted(query))
            self.story.answers[query] = self.story.answers.get(query, 0) + len(found)

    def _until(self, happened: Callable[[set[str]], bool], what: str) -> None:
        seen = "", set[str]()

        def look() -> bool:
            nonlocal seen
            for way, server in self.servers.items():
                seen = way, server.firing
                if not happened(seen[1]):
                    return False
            return True

        try:
            wait_until(look, what)
        except AssertionError as error:
            log = (self.service.directory / "log").read_text()[-3000:]
            raise AssertionError(f"{error}; firing: {seen}\n{log}") from None


def labels(server: Prometheus, query: str) -> list[dict[str, str]]:
    """The labels of each series of a query."""
    return [sample["metric"] for sample in server.query(query)]


def tell(service: Service, found_as: Found, process: subprocess.Popen[str]) -> Story:
    """Let everything go wrong in turn, and be mended."""
    api, story = service.api, Story()
    now = Teller(service, found_as.servers, story)
    orgs = (
        "CollectorOrgBehind",
        "CollectorCredentialRefused",
        "CollectorWindowsStayPartial",
        "CollectorManyOrgsBehind",
    )

    now.fires(*orgs, "CollectorLimitsHit")
    story.metrics = service.metrics
    now.look_at_the_dashboard()
    story.address = service.address
    story.targets = {name: labels(server, "up") for name, server in now.servers.items()}
    story.broken_rules = {name: server.broken_rules for name, server in now.servers.items()}

    api.set_faults("org-009:same-types")
    service.take_on(2)
    now.fires("CollectorAnswersSuspicious")
    now.resolves(*orgs, "CollectorLimitsHit")

    service.write("orgs: [{name: acme}]")
    now.fires("CollectorConfigRefused")

    api.set_faults("*:502")
    service.take_on(10)  # so many have to fail before it is the API's fault
    now.fires("CollectorApiDown")
    now.look_at_the_dashboard()
    now.resolves("CollectorConfigRefused")
    api.set_faults()
    now.resolves("CollectorApiDown", "CollectorAnswersSuspicious")

    service.output.rename(service.directory / "moved")
    service.output.write_text("a file where a directory would have to be")
    service.take_on(1)
    now.fires("CollectorOutputFailing")
    service.output.unlink()
    (service.directory / "moved").rename(service.output)  # and tried again ten seconds later

    process.send_signal(signal.SIGSTOP)
    now.fires("CollectorDown")
    process.send_signal(signal.SIGCONT)
    now.fires("CollectorEventLoopLagging")
    now.resolves("CollectorDown", "CollectorOutputFailing", "CollectorEventLoopLagging")

    found_as.nothing()
    now.fires("CollectorDown")
    story.vanished = story.alerts["CollectorDown"]
    found_as.found(service.address)
    now.resolves("CollectorDown")

    process.send_signal(signal.SIGTERM)
    story.exit_code = process.wait(120)
    now.fires("CollectorDown")
    return story


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    need("prometheus", "promtool", package="prometheus")
    directory = tmp_path_factory.mktemp("prometheus")
    faults = ("org-001:refused", "org-002:partial=always", "*:429=0.3")
    with simulated_api(directory, orgs=21, faults=faults) as api:
        service = Service(api, directory)
        service.take_on(8)
        with service.running() as process, ExitStack() as stack:
            found_as = Found(directory, SERVED)
            for name, discovery in SERVED.items():
                config = discovery.config(directory / name, service.address)
                found_as.servers[name] = stack.enter_context(prometheus(config, directory / name / "tsdb"))
            yield tell(service, found_as, process)


def substituted(query: str) -> str:
    """A query of the dashboard with its variables set, as Grafana sends it."""
    query = re.sub(r"label_values\((\w+), (\w+)\)", r"count by (\2) (\1)", query)
    for variable, text in VARIABLES.items():
        query = query.replace(variable, text)
    return query


def test_alerts_fire_and_resolve_as_the_api_and_the_service_fail_and_are_mended(story: Story) -> None:
    fired, resolved = set[str]().union(*story.fired), set[str]().union(*story.resolved)
    assert len(fired) >= 11
    assert fired == resolved, "and the service that was stopped in the end is down"
    assert story.fired[-1] == {"CollectorDown"}
    assert story.exit_code == 0


@pytest.mark.parametrize("way", SERVED)
def test_alerts_name_the_org_that_they_are_about(story: Story, way: str) -> None:
    (refused,) = story.alerts["CollectorCredentialRefused"][way]
    assert refused["org"] == "org-001"
    assert {alert["org"] for alert in story.alerts["CollectorWindowsStayPartial"][way]} == {"org-002"}
    assert {alert["org"] for alert in story.alerts["CollectorOrgBehind"][way]} == {"org-001", "org-002"}
    assert [alert["flag"] for alert in story.alerts["CollectorAnswersSuspicious"][way]] == ["same_totals"]


@pytest.mark.parametrize("way", SERVED)
def test_target_and_its_alerts_have_the_labels_of_the_discovery(story: Story, way: str) -> None:
    wanted = SERVED[way].labels_at(story.address)
    assert [{key: value for key, value in one.items() if key != "__name__"} for one in story.targets[way]] == [wanted]
    for alert, found in story.alerts.items():
        assert all(wanted.items() <= one.items() for one in found[way]), alert


@pytest.mark.parametrize("way", SERVED)
def test_a_target_that_vanishes_fires_an_alert_of_its_own(story: Story, way: str) -> None:
    (alert,) = story.vanished[way]
    assert alert["job"] == "collector"
    assert "instance" not in alert


def test_every_rule_can_be_evaluated(story: Story) -> None:
    assert story.broken_rules == {way: {} for way in SERVED}


def test_every_query_of_the_dashboard_answers(story: Story) -> None:
    assert len(story.answers) > 30
    assert not {query for query, series in story.answers.items() if not series}, "each shows something by now"


def test_promtool_accepts_the_metrics(story: Story) -> None:
    assert promtool("check", "metrics", stdin=story.metrics) == ""
    assert parsed(story.metrics)


@pytest.mark.parametrize(
    "command",
    [
        *(("check", "rules", file.name) for file in RULES),
        *(("test", "rules", file.name) for file in RULE_TESTS),
        *(("check", "config", file.name) for file in CONFIGS if file.name != PODS.shipped),
    ],
)
def test_promtool_accepts_what_is_shipped(command: tuple[str, ...]) -> None:
    need("promtool", package="prometheus")
    assert "SUCCESS" in promtool(*command)


def promtool(*args: str, stdin: str | None = None) -> str:
    """What it says of something that it accepts."""
    done = subprocess.run(
        ["promtool", *args], cwd=PROMETHEUS, input=stdin, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr
