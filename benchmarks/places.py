"""Where records go, compared in one run: records per second and peak RSS of each output, beside JSON Lines on a disk.

Each output is written by a process of its own, by the sinks and the ledger that a run has, without an API. The object
store is a small server that takes what is uploaded: moto's would be measured instead of the collector.

    python -m benchmarks.places [--records 300000] [--turns 3]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from collector.adapters.sinks.directory_id import ensure_id
from collector.app.places import open_place
from collector.app.wiring import open_sink
from collector.config.settings import Settings
from tests.adapters.ledger.support import open_ledger
from tests.support.outputs import RUN_ID, records
from tests.support.postgresql import DATABASE, PASSWORD, Server, running_server

BATCH = 1250
BASE = "JSON Lines on a disk"
OUTPUTS: Mapping[str, Mapping[str, str]] = {
    BASE: {"path": "out", "format": "jsonl"},
    "Parquet on a disk": {"path": "out", "format": "parquet"},
    "JSON Lines to S3": {"path": "s3://bucket/usage", "format": "jsonl"},
    "Parquet to S3": {"path": "s3://bucket/usage", "format": "parquet"},
    "rows into PostgreSQL, ledger in SQLite": {"path": "{table}", "state": "sqlite"},
    "rows into PostgreSQL, ledger in the same database": {"path": "{table}", "state": "{database}"},
}
_EMPTY = b'<?xml version="1.0"?><ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>'


def write(output: Mapping[str, str], number: int) -> dict[str, float]:
    """Write records as a run's writer does, in this process."""
    state = output.get("state", "sqlite")
    url = f"sqlite:///{Path('ledger.db').absolute()}" if state == "sqlite" else state
    given = {key: value for key, value in output.items() if key != "state"}
    settings = Settings.model_validate({"output": given, "state": {"url": url}})
    ledger = open_ledger(url)
    place = open_place(settings)
    id_ = None if place is None else ensure_id(place.files, place.path)
    sink = open_sink(settings, RUN_ID, "a" * 32, place)
    before_mb = _peak_mb()
    began = time.monotonic()
    file = None
    for day in range(number // BATCH):
        if (name := sink.next_name()) is not None:
            file = ledger.open_file(RUN_ID, settings.output.path, name, place=id_)
        sink.append(records(BATCH, day))
        sink.sync()
        assert file is not None
        size, count = sink.written
        file = replace(file, bytes=size, records=count)
        ledger.commit([], file, lines=sink.take_lines())
        if sink.full or day == number // BATCH - 1:
            files = sink.close_file(ledger.kept(file))
            ledger.intend_seal(file.file_id)
            sink.publish(files)
            if sink.along:
                ledger.seal_along(file, sink.along)
            else:
                ledger.sealed(file.file_id)
    taken_s = time.monotonic() - began
    sink.close()
    ledger.close()
    return {"per_s": number / taken_s, "peak_mb": _peak_mb(), "more_mb": _peak_mb() - before_mb}


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


class _Bucket(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    known: set[str]

    def do_PUT(self) -> None:
        rest = int(self.headers.get("Content-Length") or 0)
        while rest:
            rest -= len(self.rfile.read(min(rest, 2**20)))
        self._answer(412 if self.path in self.known else 200)
        self.known.add(self.path)

    def do_GET(self) -> None:
        if "list-type" in self.path:
            self._answer(200, _EMPTY)
        else:  # the id
            self._answer(200 if self.path in self.known else 404, b"a" * 32 if self.path in self.known else b"")

    do_HEAD = do_GET  # noqa: N815

    def _answer(self, status: int, content: bytes = b"") -> None:
        self.send_response_only(status)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", '"x"')
        self.send_header("Last-Modified", "Thu, 26 Nov 2026 00:00:00 GMT")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def bucket() -> Iterator[dict[str, str]]:
    """A server that takes uploads, and the environment that reaches it."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bucket", (_Bucket,), {"known": set()}))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_address[1]}",
            "AWS_ALLOW_HTTP": "true",
            "AWS_ACCESS_KEY_ID": "benchmark",
            "AWS_SECRET_ACCESS_KEY": "benchmark",
            "AWS_REGION": "us-east-1",
        }
    finally:
        server.shutdown()


def measure(output: Mapping[str, str], number: int, server: Server) -> dict[str, float]:
    """Write records in a new process, to an output that is empty."""
    server.sql("DROP TABLE IF EXISTS records, records_files; DROP SCHEMA IF EXISTS ledger CASCADE", DATABASE)
    database = server.url(password=None).removesuffix("?")
    texts = {"table": f"{database}/public.records", "database": f"{database}?schema=ledger"}
    given = {key: value.format(**texts) for key, value in output.items()}
    with tempfile.TemporaryDirectory() as directory, bucket() as env:
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.places", "--write", json.dumps(given), "--records", str(number)],
            cwd=directory,
            env={**os.environ, **env, "PGPASSWORD": PASSWORD, "PYTHONPATH": str(Path(__file__).parents[1])},
            stdout=subprocess.PIPE,
            check=True,
        )
    measured: dict[str, float] = json.loads(done.stdout)
    return measured


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=300_000)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--write", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.write:
        print(json.dumps(write(json.loads(args.write), args.records)))
        return 0
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in OUTPUTS}
    with ExitStack() as stack:
        server = stack.enter_context(running_server())
        server.sql("GRANT CREATE ON SCHEMA public TO PUBLIC", DATABASE)
        for _ in range(args.turns):
            for name, output in OUTPUTS.items():
                found[name].append(measure(output, args.records, server))
    base = max(one["per_s"] for one in found[BASE])
    for name, turns in found.items():
        best = max(turns, key=lambda one: one["per_s"])
        print(
            f"{name}: {best['per_s']:,.0f} records/s ({best['per_s'] / base:.2f} of the first), "
            f"peak {best['peak_mb']:.0f} MB"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
