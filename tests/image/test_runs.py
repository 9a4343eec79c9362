"""What people do with the image, from the image: as its user, over a read-only root, with signals."""

from __future__ import annotations

import http.client
import json
import os
from collections import Counter

import pytest

from tests.image.container import Host
from tests.support.commands import SimulatedApi, manifest_in, records_in

PORT = 18080
MAY_WRITE = ("/data/x", "/tmp/x")  # noqa: S108 - the container's own
SLOWLY = {"COLLECTOR_API__RATE_LIMIT__REQUESTS": "10"}


@pytest.fixture(autouse=True)
def healthy(api: SimulatedApi) -> None:
    api.set_faults()


def test_collect_writes_sealed_files_that_belong_to_the_image_s_user(host: Host) -> None:
    done = host.run("collect", "-o", "usage")
    assert done.code == 0, done.stderr
    usage = host.directory / "data" / "usage"
    records = records_in(usage)
    assert {r["org"] for r in records} == {f"org-00{n}" for n in range(1, 6)}
    assert manifest_in(usage)["exit_code"] == 0
    owners = {(path.stat().st_uid, path.stat().st_gid) for path in (host.directory / "data").rglob("*")}
    assert owners == {(65532, 65532)}


def test_collect_to_stdout_needs_no_place_to_write_at_all(host: Host) -> None:
    (host.directory / "data").chmod(0o500)
    done = host.run("collect", "--state", "none")
    assert done.code == 0, done.stderr
    assert {r["org"] for r in done.records} == {f"org-00{n}" for n in range(1, 6)}
    assert not list((host.directory / "data").iterdir())


def test_process_is_unprivileged_and_can_write_nothing_but_data_and_tmp(host: Host) -> None:
    code = (
        "import errno, json, os\n"
        "def flaw(path):\n"
        "    try: open(path, 'w').close()\n"
        "    except OSError as error: return errno.errorcode[error.errno]\n"
        "paths = ['/x', '/opt/collector/x', '/etc/collector/x', '/etc/x', '/data/x', '/tmp/x']\n"
        "status = dict(line.split(':', 1) for line in open('/proc/self/status').read().splitlines())\n"
        "facts = {name: status[name].split()[0] for name in ('Uid', 'Gid', 'CapEff', 'CapBnd', 'NoNewPrivs')}\n"
        "print(json.dumps({'write': {path: flaw(path) for path in paths}, 'facts': facts, 'pid': os.getpid()}))\n"
    )
    done = host.run("-c", code, entrypoint=["python"])
    assert done.code == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["write"] == dict.fromkeys(seen["write"], "EROFS") | dict.fromkeys(MAY_WRITE)
    assert seen["facts"] == {"Uid": "65532", "Gid": "65532", "CapEff": "0" * 16, "CapBnd": "0" * 16, "NoNewPrivs": "1"}
    assert seen["pid"] == 1


@pytest.mark.parametrize("command", [["collect"], ["backfill", "--last", "40d"]])
def test_sigterm_drains_seals_and_ends_with_143_and_the_next_call_ends_it(
    command: list[str], api: SimulatedApi, host: Host
) -> None:
    api.set_faults("*:latency=300ms")
    usage = host.directory / "data" / "usage"
    before = api.stats["total"]["asked"]
    with host.started(*command, "-o", "usage", env=SLOWLY) as container:
        container.wait_until(lambda: api.stats["total"]["asked"] >= before + 8)
        container.signal("TERM")
        stopped = container.ended()
    assert stopped.code == 143, stopped.stderr
    assert not list(usage.glob(".usage-*"))
    first = manifest_in(usage)
    assert (first["exit_code"], first["slices"]["complete"] > 0, first["slices"]["not_asked"] > 0) == (143, True, True)
    api.set_faults()
    again = host.run(*command, "-o", "usage")
    assert again.code == 0, again.stderr
    assert set(Counter(r["record_id"] for r in records_in(usage)).values()) == {1}


def test_sigterm_before_anything_has_begun_isn_t_lost_although_the_command_is_process_1(host: Host) -> None:
    with host.started("collect", "-o", "usage", env=SLOWLY) as container:
        container.wait_until(container.hears_sigterm)
        container.signal("TERM")
        done = container.ended()
    assert done.code == 143
    assert not list((host.directory / "data").iterdir())


def test_config_that_its_user_may_not_read_is_said_to_be_so(host: Host) -> None:
    os.chown(host.directory / "etc", 0, 0)
    done = host.run("collect")
    assert (done.code, done.stderr) == (2, "error: /etc/collector/collector.yaml: can't be read: Permission denied\n")


def test_serve_is_healthy_ready_and_measured_and_drains_to_0(host: Host) -> None:
    env = {
        "COLLECTOR_SCHEDULE__CRON": "* * * * *",
        "COLLECTOR_SCHEDULE__JITTER": "0",
        "COLLECTOR_SERVICE__PORT": str(PORT),
    }
    with host.started("serve", "-o", "usage", env=env) as container:
        container.wait_until(lambda: container.exec("collector", "healthcheck").code == 0)
        usage = host.directory / "data" / "usage"
        container.wait_until(lambda: bool(list(usage.glob("run-*.json"))))
        container.wait_until(lambda: ask("/readyz") == (200, "ok\n"))
        container.wait_until(lambda: "collector_runs_total{" in ask("/metrics")[1])
        container.signal("TERM")
        done = container.ended()
    assert done.code == 0, done.stderr
    assert not list(usage.glob(".usage-*"))
    assert {r["org"] for r in records_in(usage)} == {f"org-00{n}" for n in range(1, 6)}


def ask(path: str) -> tuple[int, str]:
    """Ask the service, which shares this machine's network."""
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=120)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()
