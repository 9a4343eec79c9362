"""The real commands push their metrics by OTLP, to a receiver that decodes the protocol."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.test_serve import serving
from tests.support.commands import SimulatedApi, collector, manifest_in, simulated_api
from tests.support.metrics import parsed, total, value
from tests.support.needs import free_port
from tests.support.otlp import Answer, receiving
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedApi]:
    with simulated_api(tmp_path_factory.mktemp("otlp"), orgs=3) as api:
        yield api


@pytest.mark.parametrize("command", [["collect"], ["backfill", "--last", "4d"], ["reconcile", "--last", "4d"]])
def test_a_command_pushes_at_its_end_what_it_did_and_where_all_orgs_stand(
    command: list[str], api: SimulatedApi, tmp_path: Path
) -> None:
    with receiving() as receiver:
        env = {"COLLECTOR_PUSH__OTLP__ENDPOINT": receiver.url, "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment=ci"}
        if command[0] == "reconcile":
            assert collector("backfill", "--last", "4d", "-c", api.config, "-o", "out", cwd=tmp_path).code == 0
        done = collector(*command, "-c", api.config, "-o", "out", cwd=tmp_path, env=env)
    assert done.code == 0, done.stderr
    samples = receiver.samples
    assert value(samples, "last_run_exit_code", command=command[0]) == 0
    assert value(samples, "runs_total", command=command[0], exit_code="0") == 1
    assert value(samples, "orgs") == 3
    assert receiver.resource()["deployment.environment"] == "ci"
    if command[0] != "reconcile":
        manifest = manifest_in(tmp_path / "out")
        assert total(samples, "requests_total") == manifest["requests"]
        assert total(samples, "records_total") == manifest["records"]


def test_a_receiver_that_is_not_there_is_a_warning_and_no_other_exit_code(api: SimulatedApi, tmp_path: Path) -> None:
    env = {"COLLECTOR_PUSH__OTLP__ENDPOINT": f"http://127.0.0.1:{free_port()}"}
    done = collector("collect", "-c", api.config, "-o", "out", cwd=tmp_path, env=env)
    assert done.code == 0
    warning = done.event("metrics.not_pushed")
    assert (warning["what"], "is not reached" in warning["message"]) == ("push.otlp", True)
    assert "opentelemetry" not in done.stderr
    assert "Traceback" not in done.stderr


def test_serve_pushes_what_its_metrics_page_shows(tmp_path: Path) -> None:
    with simulated_api(tmp_path, orgs=2) as api, receiving() as receiver:
        more = {"COLLECTOR_PUSH__OTLP__ENDPOINT": receiver.url, "COLLECTOR_PUSH__OTLP__EVERY": "1s"}
        with serving(api.config, tmp_path, **more) as service:
            wait_until(lambda: service.status["runs"] and not service.status["current_run"], "the first run has ended")
            page = parsed(service.get("/metrics")[1])
            key = ("collector_runs_total", frozenset({("command", "serve"), ("exit_code", "0")}))
            wait_until(lambda: receiver.samples.get(key) == 1, "the receiver has the run")
    samples = receiver.samples
    assert {name for name in page if name[0].startswith(("collector_", "process_"))} <= samples.keys()
    for name in ("org_lag_seconds", "orgs", "records_total", "last_run_records"):
        shown = {found: number for found, number in page.items() if found[0] == f"collector_{name}"}
        assert shown
        assert {found: samples[found] for found in shown} == shown


def test_serve_answers_and_ends_although_the_receiver_hangs(tmp_path: Path) -> None:
    with simulated_api(tmp_path, orgs=1) as api, receiving(Answer(silent=True)) as receiver:
        more = {"COLLECTOR_PUSH__OTLP__ENDPOINT": receiver.url, "COLLECTOR_PUSH__OTLP__EVERY": "1s"}
        with serving(api.config, tmp_path, **more) as service:
            wait_until(lambda: receiver.requests, "a push hangs")
            assert service.get("/healthz")[0] == 200
    assert service.process.returncode == 0
