"""The real service when the name server answers nothing: neither its page nor its end waits for a lookup."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import yaml

from tests.support.commands import environment
from tests.support.waiting import wait_until

ORGS = 20
# As the command, but lookups of some names never end, as with a name server that doesn't answer.
SILENT = """
import socket, threading
from pathlib import Path
real = socket.getaddrinfo
def silent(host, *args, **more):
    if str(host).endswith(".silent.test"):
        Path("lookups", str(host)).touch()
        threading.Event().wait()
    return real(host, *args, **more)
socket.getaddrinfo = silent
from collector.__main__ import main
main()
"""


def write_config(directory: Path) -> Path:
    orgs = [
        {"name": f"org-{n}", "token": f"t-{n}", "base_url": f"https://org-{n}.silent.test", "timezone": "UTC"}
        for n in range(ORGS)
    ]
    path = directory / "collector.yaml"
    path.write_text(yaml.safe_dump({"orgs": orgs}))
    return path


def test_neither_the_page_nor_sigterm_waits_for_a_silent_name_server(tmp_path: Path) -> None:
    (tmp_path / "lookups").mkdir()
    command = [sys.executable, "-c", SILENT, "serve", "-c", str(write_config(tmp_path)), "-o", "out"]
    env = environment(
        NO_PROXY=".silent.test",
        COLLECTOR_SERVICE__PORT="0",
        COLLECTOR_SERVICE__GRACE="1h",
        COLLECTOR_API__TIMEOUT="1h",
        COLLECTOR_SCHEDULE__JITTER="0",
    )
    log = tmp_path / "serve.log"
    with log.open("w") as stderr, subprocess.Popen(command, cwd=tmp_path, env=env, stderr=stderr) as process:
        try:

            def port() -> int | None:
                events = map(json.loads, log.read_text().splitlines())
                return next((event["port"] for event in events if event["event"] == "service.listening"), None)

            url = f"http://127.0.0.1:{wait_until(port, 'it listens')}/"
            wait_until(lambda: len(list((tmp_path / "lookups").iterdir())) >= 10, "many lookups are under way")
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=60) as page:
                assert page.status == 200
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
        finally:
            process.kill()
