"""What a service costs that has nothing to do: the real command, with all secrets in files, and nothing due.

The share of a core over a minute, for a few orgs and for many, in one run; and how long it takes until a secret that is
rewritten in place is loaded.

    python -m benchmarks.idle [--orgs 5000] [--seconds 60]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.waiting import wait_until

FEW = 50
NOTHING_DUE = {
    "COLLECTOR_SCHEDULE__CRON": "0 0 1 1 *",
    "COLLECTOR_SCHEDULE__JITTER": "0",
    "COLLECTOR_SCHEDULE__LOOKBACK": "1d",
    "COLLECTOR_SCHEDULE__SETTLE": "60d",
    "COLLECTOR_SERVICE__PORT": "0",
}
SETTLES_S = 90.0  # what comes after the start: the first run, reading the ledger, loading the config once more


@dataclass(frozen=True)
class Service:
    pid: int
    log: Path

    def events(self, name: str) -> int:
        return self.log.read_text().count(f'"event": "{name}"')

    def cpu_s(self) -> float:
        """Return the processor time of all its threads so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def write_config(directory: Path, orgs: int) -> Path:
    """Write a config with two secrets for each org, mounted as Kubernetes does it."""
    mounted = directory / "secrets" / "..2026"
    mounted.mkdir(parents=True)
    (directory / "secrets" / "..data").symlink_to(mounted.name)
    entries = []
    for number in range(orgs):
        names = {key: f"{key}-{number:05}" for key in ("username", "access_key")}
        for name in names.values():
            (mounted / name).write_text(name)
            (mounted / name).chmod(0o600)
            (directory / "secrets" / name).symlink_to(f"..data/{name}")
        entries.append({"name": f"org-{number:05}"} | {f"{key}_file": f"secrets/{name}" for key, name in names.items()})
    path = directory / "collector.yaml"
    path.write_text(json.dumps({"api": {"base_url": "http://127.0.0.1:9"}, "orgs": entries}))
    return path


@contextmanager
def serving(directory: Path) -> Iterator[Service]:
    """Start `collector serve`, and wait until it has nothing to do."""
    command = [sys.executable, "-m", "collector", "serve", "-c", "collector.yaml", "-o", "out", "--log-format", "json"]
    log = directory / "log"
    with (
        log.open("w") as file,
        subprocess.Popen(command, cwd=directory, env=os.environ | NOTHING_DUE, stderr=file) as process,
    ):
        try:
            service = Service(process.pid, log)
            wait_until(lambda: service.events("run.finished"), "the first run is done")
            time.sleep(SETTLES_S)
            yield service
        finally:
            process.terminate()
            process.wait(60)


def measure(orgs: int, seconds: float) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        write_config(Path(scratch), orgs)
        with serving(Path(scratch)) as service:
            began_s, used_s = time.monotonic(), service.cpu_s()
            time.sleep(seconds)
            share = (service.cpu_s() - used_s) / (time.monotonic() - began_s)
            loaded, rewritten_s = service.events("config.loaded"), time.monotonic()
            (Path(scratch) / "secrets" / "..2026" / "access_key-00001").write_text("rotated, in place")
            wait_until(lambda: service.events("config.loaded") > loaded, "the secret is taken")
            taken_s = time.monotonic() - rewritten_s
    print(
        f"{orgs:6} orgs, {2 * orgs:6} files: {share:6.2%} of a core idle; a rewritten secret taken in {taken_s:.1f} s"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orgs", type=int, default=5000)
    parser.add_argument("--seconds", type=float, default=60)
    args = parser.parse_args()
    for orgs in (FEW, args.orgs):
        measure(orgs, args.seconds)


if __name__ == "__main__":
    main()
