"""What a process does at its start, so that its credentials don't leave it: no core dump, no log of TLS keys."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from collector.adapters.process import protect_credentials
from tests.support.commands import collector, started

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


def test_core_dumps_that_can_not_be_switched_off_are_warned_of(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(resource, "setrlimit", refuse)
    (warning,) = protect_credentials({})
    assert "core dumps can't be switched off" in warning
