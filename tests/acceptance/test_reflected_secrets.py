"""An API that sends back the credential it was sent, in every kind of failure: no output and no file shows it."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from tests.support.commands import Here, manifest_in, past_days
from tests.support.http_api import Asked, http_api
from tests.support.secrets import pieces_in

pytestmark = pytest.mark.slow  # takes long: it waits for retries

KEY = "kQ7vX2mN9pL4wR8t"
STATUSES = {"u0": 401, "u1": 403, "u2": 400, "u3": 404, "u4": 500, "u5": 407, "u6": 418, "u7": 302, "u8": 429}
CONFIG = "api: {base_url: '%s', retry: {attempts: 2, base_delay: 10ms, max_delay: 20ms, budget: 1}}\norgs: [%s]\n"


def reflecting(asked: Asked) -> bytes | tuple[int, bytes]:
    """Return a failure of a kind of its own for each org but one."""
    texts = f"{KEY} {asked.authorization}"
    if asked.user in STATUSES:
        body = {"status": "error", "message": f"admin access required {texts}", texts: texts}
        return STATUSES[asked.user], json.dumps(body).encode()
    match asked.user:
        case "u9":
            return texts.encode()
        case "u10":
            return asked.body() + texts.encode()
        case "u11":
            return asked.body(products={texts: {texts: texts, "totalTests": -1}})
        case "u12":
            return asked.body().replace(asked.query["from"].encode(), texts.encode())
        case "u13":
            return asked.body().replace(b"{", f'{{"{texts}": 1, "{texts}": 2, '.encode(), 1)
        case _:
            return asked.body()


@pytest.mark.parametrize("logs", ["json", "console"])
def test_nothing_that_an_answer_reflects_of_a_credential_is_shown(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, logs: str
) -> None:
    here = Here(capfd, monkeypatch, tmp_path)
    orgs = ", ".join(f"{{name: org-{n}, username: u{n}, access_key_env: KEY}}" for n in range(15))
    env = {"KEY": KEY, "COLLECTOR_LOG__LEVEL": "debug", "COLLECTOR_LOG__FORMAT": logs}
    commands = (" ".join(("collect -o out", *past_days(1))), "status", "status --json", "check", "check --json")
    with http_api(reflecting) as api:
        (tmp_path / "c.yaml").write_text(CONFIG % (api.url, orgs))
        done = [here(*command.split(), "-c", "c.yaml", env=env) for command in commands]
        sent = {asked.authorization.removeprefix("Basic ") for asked in api.requests}
    files = [file.read_bytes().decode(errors="replace") for file in tmp_path.rglob("*") if file.is_file()]
    shown = "".join([*(one.stdout + one.stderr for one in done), *files])
    slices = manifest_in(tmp_path / "out")["slices"]
    assert (slices["complete"], slices["planned"]) == (2, 30)
    assert sent == {base64.b64encode(f"u{n}:{KEY}".encode()).decode() for n in range(15)}
    assert not pieces_in(shown, KEY)
    assert not [text for text in sent if text[6:] in shown]
