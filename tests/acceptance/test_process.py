"""What a process does at its start, so that its credentials don't leave it: no core dump, no log of TLS keys."""

from __future__ import annotations

import base64
import resource
import signal
import threading
from pathlib import Path

import pytest

from collector.adapters.process import protect_credentials
from tests.support.commands import collector, logging_to, started
from tests.support.http_api import Asked, http_api
from tests.support.waiting import wait_until

CONFIG = "orgs: [{name: acme, token_env: T}]\nstate: {url: none}\n"


@pytest.mark.parametrize("keys", ["nowhere/keys", "keys"])
def test_a_log_of_tls_keys_is_ignored_with_a_warning(keys: str, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(CONFIG)
    env = {"SSLKEYLOGFILE": str(tmp_path / keys), "T": "t0k3n", "COLLECTOR_CONFIG": "c.yaml"}
    helped = collector("--help", cwd=tmp_path, env=env)
    assert (helped.code, helped.stderr) == (0, "")
    done = collector("plan", cwd=tmp_path, env=env)
    assert done.code == 0
    assert "SSLKEYLOGFILE is ignored" in done.event("process.warning")["message"]
    assert not (tmp_path / keys).exists()


def test_a_process_with_credentials_writes_no_core_dump(tmp_path: Path) -> None:
    with started("simulate", "--port", "0", "--until-eof", cwd=tmp_path) as process:
        assert process.stdout is not None
        process.stdout.readline()
        limits = Path(f"/proc/{process.pid}/limits").read_text()
    (core,) = [line.split() for line in limits.splitlines() if line.startswith("Max core file size")]
    assert core[4:6] == ["0", "0"]


@pytest.mark.parametrize("number", [signal.SIGQUIT, signal.SIGABRT])
def test_a_signal_that_dumps_core_leaves_no_file_and_no_secret(number: signal.Signals, tmp_path: Path) -> None:
    secret = "k3y-of-acme-9w"
    gate = threading.Event()

    def answer(asked: Asked) -> bytes:
        gate.wait(60)
        return asked.body()

    with http_api(answer) as api:
        orgs = f"[{{name: acme, username: u1, access_key: {secret}}}]"
        (tmp_path / "c.yaml").write_text(f"orgs: {orgs}\napi: {{base_url: '{api.url}'}}\n")
        options = ("-c", "c.yaml", "--last", "3d", "-o", "out", "--log-level", "debug")
        # The limit of this process may be 0 already: the soft limit is raised, so that the command has to lower it.
        _, hard = resource.getrlimit(resource.RLIMIT_CORE)
        with logging_to(tmp_path / "log", "collect", *options, cwd=tmp_path, prefix=with_cores(hard)) as process:
            wait_until(lambda: api.requests, "a request is under way")
            process.send_signal(number)
            assert process.wait(60) == -number
            gate.set()
    for file in tmp_path.rglob("*"):
        assert not file.name.startswith("core")
        if file.is_file() and file.name != "c.yaml":
            content = file.read_bytes()
            for text in (secret, base64.b64encode(f"u1:{secret}".encode()).decode()):
                assert text.encode() not in content, file.name


def with_cores(hard: int) -> list[str]:
    """What goes before a command that may write cores of that size."""
    # A shell ignores SIGQUIT in what it starts in the background, such as these tests; the command would inherit that.
    return [
        "env",
        "--default-signal=QUIT,ABRT",
        "bash",
        "-c",
        f'ulimit -S -c {"unlimited" if hard < 0 else hard // 1024}; exec "$@"',
        "bash",
    ]


def test_core_dumps_that_can_not_be_switched_off_are_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(resource, "setrlimit", refuse)
    (warning,) = protect_credentials({})
    assert "core dumps can't be switched off" in warning
