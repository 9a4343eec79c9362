"""The largest answers cost little memory: peak RSS with one org of 16 that gives them against that of healthy ones.

Runs the real command with a ledger, once for each kind of answer: those that are refused for their size, and those
that are just within the bounds. The API is a server in this process, on loopback.

    python -m benchmarks.fat [--orgs 16] [--days 60]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.support.commands import COLLECTOR, environment, manifest_in
from tests.support.http_api import PRODUCTS, Asked, http_api

ALLOWED_MB = 50.0
_TESTS = {"totalTests": 1}
FAT: dict[str, tuple[str, Mapping[str, Any]]] = {  # the state of the fat org's slices, and its products
    "healthy": ("complete", PRODUCTS),
    "45,000 metrics": ("failed", {"p": {f"metric-{n:05}": n for n in range(45_000)}}),
    "values": ("failed", {"p": {"n": [[]] * 250_000}}),
    "a long text": ("failed", {"p": {"n": "x" * 1_000_000}}),
    "19,000 values": ("failed", {"p": {"n": [{}] * 9_000}}),
    "1,000 products": ("complete", {f"{'product-' * 25}{n:04}": _TESTS for n in range(1000)}),
    "metrics": ("complete", {f"p{n}": {f"m{m:02}": m for m in range(100)} for n in range(18)}),
    "nested metrics": ("complete", {"p": {"n": [[]] * 5_400}}),
}


def measure(products: Mapping[str, Any], *, orgs: int, days: int, directory: Path) -> tuple[float, dict[str, int]]:
    """Return the peak RSS in MB of a backfill in which one org is answered so, and its slices by state."""
    directory.mkdir()
    entries = [f"{{name: org-{n:02}, username: u{n}, access_key: k{n}}}" for n in range(orgs)]
    fat = json.dumps(products, separators=(",", ":")).encode()

    def answer(asked: Asked) -> bytes:
        if asked.user != "u0":
            return asked.body()
        return asked.body(products={}).replace(b'"products": {}', b'"products":' + fat)

    with http_api(answer) as api:
        config = directory / "c.yaml"
        config.write_text(f"orgs: [{', '.join(entries)}]\napi: {{base_url: '{api.url}'}}\n")
        config.chmod(0o600)
        last = datetime.now(UTC).date() - timedelta(days=2)  # noqa: TID251 - a benchmark has no port for the clock
        env = environment(
            COLLECTOR_STATE__URL=f"sqlite:///{directory}/ledger.db",
            COLLECTOR_API__ORG_CONCURRENCY="8",
            COLLECTOR_API__RATE_LIMIT__REQUESTS="100000",
            COLLECTOR_API__ORG_RATE_LIMIT__REQUESTS="100000",
        )
        command = [*COLLECTOR, "backfill", "-q", "--log-level", "error", "-c", str(config)]
        command += ["--from", str(last - timedelta(days=days - 1)), "--to", str(last), "-o", str(directory / "out")]
        pid = os.posix_spawn(sys.executable, command, env)
        _, _, usage = os.wait4(pid, 0)
    return usage.ru_maxrss / 1024, manifest_in(directory / "out")["slices"]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orgs", type=int, default=16)
    parser.add_argument("--days", type=int, default=60)
    args = parser.parse_args()
    peaks: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        for kind, (state, products) in FAT.items():
            peaks[kind], slices = measure(products, orgs=args.orgs, days=args.days, directory=Path(name) / kind[:6])
            healthy = slices["planned"] - slices[state] if state != "complete" else 0
            if slices[state] == 0 or slices["complete"] < healthy:
                raise SystemExit(f"{kind}: {slices}")
            grown = peaks[kind] - peaks["healthy"]
            print(
                f"{kind:<16} {slices[state]:>6} slices {state:<9} peak RSS {peaks[kind]:6.1f} MB  {grown:+6.1f} MB",
                flush=True,
            )
    grown = max(peaks.values()) - peaks["healthy"]
    print(f"the largest peak is {grown:+.1f} MB above healthy; allowed are {ALLOWED_MB:.0f} MB")
    return 0 if grown <= ALLOWED_MB else 1


if __name__ == "__main__":
    sys.exit(main())
