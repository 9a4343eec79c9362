"""The real service over the simulated API: what an operator sees of it from outside."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import markupsafe
import pytest
import yaml

from tests.support.commands import (
    COLLECTOR,
    HARDLY_EVER,
    SimulatedApi,
    calm,
    collector,
    environment,
    full_pipe,
    logging_to,
    records_in,
    simulated_api,
    with_file_handles,
)
from tests.support.needs import free_port
from tests.support.waiting import wait_until

AT_ONCE = {
    "COLLECTOR_SCHEDULE__JITTER": "0",
    "COLLECTOR_SCHEDULE__CRON": HARDLY_EVER,
    "COLLECTOR_SCHEDULE__RECONCILE__CRON": HARDLY_EVER,
    "COLLECTOR_SERVICE__PORT": "0",
}
_OPEN = urllib.request.build_opener(urllib.request.ProxyHandler({})).open


@dataclass
class Service:
    """A service that listens. `log` is what it has said so far."""

    process: subprocess.Popen[str]
    url: str
    directory: Path

    def kill(self) -> None:
        """With -9."""
        self.process.kill()
        self.process.wait(60)

    def get(self, path: str, **headers: str) -> tuple[int, str]:
        try:
            with _OPEN(urllib.request.Request(self.url + path, headers=headers), timeout=120) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    @property
    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = json.loads(self.get("/api/status")[1])
        return status

    def lacking(self, name: str) -> int | None:
        return next((org["lacking"] for org in self.status["orgs"] if org["org"] == name), None)

    def standing(self, name: str) -> str | None:
        return next((org["credential"]["standing"] for org in self.status["orgs"] if org["org"] == name), None)

    @property
    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.directory / "serve.log").read_text().splitlines()]


@contextmanager
def serving(config: Path, directory: Path, prefix: Sequence[str] = (), **more: str) -> Iterator[Service]:
    log = directory / "serve.log"
    log.unlink(missing_ok=True)
    args = ("serve", "-c", config, "-o", "out")
    with logging_to(log, *args, cwd=directory, prefix=prefix, **(AT_ONCE | calm() | more)) as process:
        service = Service(process, "", directory)
        wait_until(lambda: process.poll() is not None or any(e["event"] == "service.listening" for e in service.log))
        port = next(event["port"] for event in service.log if event["event"] == "service.listening")
        service.url = f"http://127.0.0.1:{port}"
        yield service
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
            assert service.log[-1]["event"] == "service.ended"


def write_config(api: SimulatedApi, directory: Path, secrets: Path) -> Path:
    """A config whose access keys stand in files, as Kubernetes mounts them."""
    content = yaml.safe_load(api.config.read_text())
    for org in content["orgs"]:
        (secrets / org["name"]).write_text(org.pop("access_key"))
        org["access_key_file"] = f"keys/{org['name']}"
    path = directory / "collector.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


def mount(keys: Path, version: str) -> Path:
    """What Kubernetes does: a new directory of files, and a symlink that is swapped."""
    directory = keys / f"..{version}"
    directory.mkdir(parents=True)
    (keys / "..new").symlink_to(directory.name)
    (keys / "..new").replace(keys / "..data")
    return directory


def test_a_refused_org_collects_once_its_secret_is_swapped_and_a_new_org_once_its_file_is_there(
    tmp_path: Path,
) -> None:
    keys = tmp_path / "keys"
    with simulated_api(tmp_path, orgs=3) as api:
        first = mount(keys, "2026_1")
        for name in ("org-001", "org-002", "org-003"):
            (keys / name).symlink_to(f"..data/{name}")
        config = write_config(api, tmp_path, first)
        right = (first / "org-002").read_text()
        (first / "org-002").write_text("wrong")
        content = yaml.safe_load(config.read_text())
        late = content["orgs"].pop()
        config.write_text(yaml.safe_dump(content))
        with serving(config, tmp_path) as service:
            wait_until(lambda: service.standing("org-002") == "refused")
            wait_until(lambda: service.lacking("org-001") == 0)
            second = mount(keys, "2026_2")
            for name in ("org-001", "org-003"):
                (second / name).write_text((first / name).read_text())
            (second / "org-002").write_text(right)
            mount_again(keys, second)
            wait_until(lambda: service.lacking("org-002") == 0)
            assert service.standing("org-002") == "accepted"
            (tmp_path / "orgs.d").mkdir()
            (tmp_path / "orgs.d" / "late.yaml").write_text(
                yaml.safe_dump([late | {"access_key_file": "../keys/org-003"}])
            )
            wait_until(lambda: service.lacking("org-003") == 0)
            assert service.get("/readyz")[0] == 200
        assert right not in str(service.log)
        ids = Counter((r["record_id"], r["revision"]) for r in records_in(tmp_path / "out"))
        assert set(ids.values()) == {1}


def copied(api: SimulatedApi, directory: Path) -> Path:
    """Return a copy of the API's config that a test may change."""
    config = directory / "c.yaml"
    config.write_text(api.config.read_text())
    config.chmod(0o600)
    return config


def mount_again(keys: Path, directory: Path) -> None:
    (keys / "..new").symlink_to(directory.name)
    (keys / "..new").replace(keys / "..data")


def test_a_bad_config_is_refused_in_full_on_the_page_and_the_old_one_stays(tmp_path: Path) -> None:
    with simulated_api(tmp_path, orgs=2) as api:
        config = copied(api, tmp_path)
        with serving(config, tmp_path) as service:
            config.write_text(api.config.read_text() + "\nscheduel: {}\n")  # at once: before anything watches it
            wait_until(lambda: "scheduel" in service.get("/")[1])
            assert service.get("/readyz")[0] == 200
            wait_until(lambda: "collector_config_last_reload_successful 0.0" in service.get("/metrics")[1])
            config.write_text(api.config.read_text())
            service.process.send_signal(signal.SIGHUP)
            wait_until(lambda: "scheduel" not in service.get("/")[1])


def test_a_new_config_whose_ledger_is_away_says_so_everywhere_and_the_old_one_works_on(tmp_path: Path) -> None:
    with simulated_api(tmp_path, orgs=2) as api:
        config = copied(api, tmp_path)
        with serving(config, tmp_path) as service:
            wait_until(lambda: service.lacking("org-001") == 0)
            away = f"state: {{url: 'postgresql://127.0.0.1:{free_port()}/ledger'}}\n"
            config.write_text(api.config.read_text() + away)
            wait_until(lambda: "collector_config_last_reload_successful 0.0" in service.get("/metrics")[1])
            (problem,) = wait_until(lambda: service.status["config"]["problems"])  # each view is as old as it is
            (line,) = wait_until(lambda: [line for line in service.log if line["event"] == "config.not_loaded"])
            assert problem["message"] == line["message"]
            assert "ledger" in line["message"]
            wait_until(lambda: "The new config is not in force" in service.get("/")[1])
            assert markupsafe.escape(problem["message"]) in service.get("/")[1]
            assert service.get("/readyz") == (200, "ok\n")
            assert "collector_ready 1.0" in service.get("/metrics")[1]
            config.write_text(api.config.read_text())
            wait_until(lambda: "collector_config_last_reload_successful 1.0" in service.get("/metrics")[1])
            wait_until(lambda: service.status["config"]["problems"] == [])


def test_killed_in_mid_run_the_next_one_goes_on_and_every_record_is_there_once(tmp_path: Path) -> None:
    days = {"COLLECTOR_SCHEDULE__LOOKBACK": "20d"}
    slow = {"COLLECTOR_API__ORG_RATE_LIMIT__REQUESTS": "4", **days}
    with simulated_api(tmp_path, orgs=3) as api:
        with serving(api.config, tmp_path, **slow) as service:
            wait_until(lambda: api.stats["total"]["asked"] > 25)
            service.kill()
        with serving(api.config, tmp_path, **slow) as service:
            wait_until(lambda: api.stats["total"]["asked"] > 50)  # drained in mid-run at the end of the block
        with serving(api.config, tmp_path, **days) as service:
            wait_until(lambda: [org["lacking"] for org in service.status["orgs"]] == [0, 0, 0])
        ids = Counter((r["record_id"], r["revision"]) for r in records_in(tmp_path / "out"))
        assert set(ids.values()) == {1}
        assert not list((tmp_path / "out").glob(".usage*"))
        assert json.loads(collector("status", "-c", api.config, "--json", cwd=tmp_path).stdout)["lacking"] in range(400)
        assert api.stats["total"]["asked"] <= 3 * 2 * 20 + 3 * 20


def test_with_a_token_everything_but_health_needs_it_and_a_new_one_holds_at_once(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first-token\n")
    with (
        simulated_api(tmp_path, orgs=1) as api,
        serving(api.config, tmp_path, COLLECTOR_SERVICE__TOKEN_FILE=str(token)) as service,
    ):
        assert {service.get(path)[0] for path in ("/", "/metrics", "/api/status")} == {401}
        wait_until(lambda: service.get("/readyz")[0] == 200)
        assert service.get("/healthz")[0] == 200
        assert service.get("/", Authorization="Bearer first-token")[0] == 200
        token.write_text("second-token\n")
        assert service.get("/", Authorization="Bearer first-token")[0] == 401
        assert service.get("/", Authorization="Bearer second-token")[0] == 200
        token.unlink()
        assert service.get("/", Authorization="Bearer second-token")[0] == 401
        assert service.get("/", Host="evil.example")[0] == 421


def test_what_it_cannot_start_with_is_told_and_ends_with_2(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("orgs: [{name: a, token: t}]")
    done = collector("serve", "-c", "c.yaml", "--state", "none", cwd=tmp_path)
    assert done.code == 2
    assert "serve needs a ledger" in done.stderr
    env = {"COLLECTOR_SERVICE__TOKEN_FILE": str(tmp_path / "missing")}
    done = collector("serve", "-c", "c.yaml", cwd=tmp_path, env=env)
    assert done.code == 2
    assert "service.token_file: the file named here" in done.stderr
    with simulated_api(tmp_path, orgs=1) as api, serving(api.config, tmp_path) as service:
        port = service.url.rpartition(":")[2]
        done = collector(
            "serve", "-c", "c.yaml", "--state", "sqlite:///x.db", cwd=tmp_path, env={"COLLECTOR_SERVICE__PORT": port}
        )
        assert done.code == 2
        assert "can't be listened on" in done.stderr


def damaged(directory: Path) -> str:
    (directory / "state").mkdir()
    (directory / "state" / "ledger.db").write_bytes(b"not a database" * 1000)
    return "is damaged"


def a_directory(directory: Path) -> str:
    (directory / "state" / "ledger.db").mkdir(parents=True)
    return "is a directory"


@pytest.mark.parametrize(("prepare", "code"), [(damaged, 5), (a_directory, 5)])
def test_a_ledger_that_no_run_can_use_ends_the_service_before_it_listens(
    prepare: Callable[[Path], str], code: int, tmp_path: Path
) -> None:
    (tmp_path / "c.yaml").write_text("orgs: [{name: a, token: t}]")
    why = prepare(tmp_path)
    done = collector("serve", "-c", "c.yaml", "-o", "out", cwd=tmp_path, env=AT_ONCE)
    assert done.code == code
    assert why in done.stderr
    assert "service.listening" not in done.stderr


def test_a_config_with_a_changed_zone_is_accepted_and_only_its_org_is_refused_until_it_has_a_since(
    tmp_path: Path,
) -> None:
    with simulated_api(tmp_path, orgs=2) as api:
        config = tmp_path / "c.yaml"
        config.write_text(re.sub("timezone: .*", "timezone: UTC", api.config.read_text()))
        config.chmod(0o600)
        with serving(config, tmp_path) as service:
            wait_until(lambda: service.lacking("org-001") == service.lacking("org-002") == 0, "both are collected")
            config.write_text(config.read_text().replace("timezone: UTC", "timezone: Asia/Tokyo", 1))
            wait_until(lambda: service.standing("org-001") == "refused", "the org is refused")
            assert service.status["config"]["problems"] == []
            org = next(org for org in service.status["orgs"] if org["org"] == "org-001")
            assert org["credential"]["reason"] == "calendar"
            (since,) = re.findall(r"set `since: (\S+)`", org["credential"]["message"])
            wait_until(lambda: "so that the new calendar begins there" in service.get("/orgs/org-001")[1])
            assert service.standing("org-002") == "accepted"
            text = config.read_text()
            config.write_text(text.replace("timezone: Asia/Tokyo", f"timezone: Asia/Tokyo\n    since: {since}"))
            wait_until(lambda: service.standing("org-001") != "refused", "its calendar fits")


def test_where_nobody_reads_the_log_it_collects_answers_and_ends(tmp_path: Path) -> None:
    port = free_port()
    env = environment(**AT_ONCE | {"COLLECTOR_SERVICE__PORT": str(port), "COLLECTOR_LOG__LEVEL": "debug"})
    with simulated_api(tmp_path, orgs=3) as api, full_pipe() as (_, stderr):
        command = [*COLLECTOR, "serve", "-c", str(api.config), "-o", "out"]
        with subprocess.Popen(command, cwd=tmp_path, env=env, stderr=stderr, text=True) as process:
            service = Service(process, f"http://127.0.0.1:{port}", tmp_path)
            try:
                wait_until(lambda: list((tmp_path / "out").glob("run-*.json")), "the run is done")
                assert service.get("/healthz") == (200, "ok\n")
                process.send_signal(signal.SIGTERM)
                assert process.wait(60) == 0
            finally:
                process.kill()


def test_lines_of_the_log_that_a_full_disk_drops_are_counted_on_metrics(tmp_path: Path) -> None:
    port = free_port()
    env = environment(**AT_ONCE | {"COLLECTOR_SERVICE__PORT": str(port)})
    with simulated_api(tmp_path, orgs=1) as api, Path("/dev/full").open("wb") as stderr:
        command = [*COLLECTOR, "serve", "-c", str(api.config), "-o", "out"]
        with subprocess.Popen(command, cwd=tmp_path, env=env, stderr=stderr, text=True) as process:
            service = Service(process, f"http://127.0.0.1:{port}", tmp_path)
            try:
                wait_until(lambda: list((tmp_path / "out").glob("run-*.json")), "the run is done")

                def dropped() -> float:
                    text = service.get("/metrics")[1]
                    (line,) = re.findall(r"^collector_log_lines_dropped_total (\S+)$", text, re.MULTILINE)
                    return float(line)

                wait_until(lambda: dropped() >= 1, "a line that was dropped is counted")
            finally:
                process.kill()


def test_idle_connections_stop_neither_health_nor_a_reload_nor_a_run_nor_fill_the_log(tmp_path: Path) -> None:
    with simulated_api(tmp_path, orgs=3) as api, ExitStack() as stack:
        content = yaml.safe_load(api.config.read_text())
        late = content["orgs"].pop()
        config = tmp_path / "c.yaml"
        config.write_text(yaml.safe_dump(content))
        service = stack.enter_context(serving(config, tmp_path, prefix=with_file_handles(120)))
        port = int(service.url.rpartition(":")[2])
        for number in range(300):
            one = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            if number % 2:
                one.send(b"GET / HTTP/1.1\r\nHost: l")
        assert service.get("/healthz") == (200, "ok\n")
        config.write_text(yaml.safe_dump(content | {"orgs": [*content["orgs"], late]}))
        wait_until(lambda: service.lacking("org-003") == 0)
        assert service.get("/readyz") == (200, "ok\n")
    assert len((tmp_path / "serve.log").read_bytes()) < 1_000_000
    assert "Too many open files" not in str(service.log)
