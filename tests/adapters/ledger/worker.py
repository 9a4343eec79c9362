"""A process that works on a ledger, with commands on stdin."""

from __future__ import annotations

import sys
from dataclasses import replace

from collector.ledger import SqlLedger
from tests.adapters.ledger.support import T0, commit

BATCH = 20


def main(url: str) -> None:
    ledger = SqlLedger.open(url, command="backfill", now=lambda: T0)
    for line in sys.stdin:
        command, *numbers = line.split()
        keys = [int(number) for number in numbers]
        match command:
            case "acquire":  # one lease at a time, so that processes race for each
                busy = {key for key in keys if ledger.acquire([key])}
                _print(*[key for key in keys if key not in busy])
            case "hello":
                _print(ledger.holder.holder_id, ledger.holder.pid)
            case "open-file":
                _print(ledger.open_file("run-1", "out", "usage-1.jsonl").file_id)
            case "commit":  # batch after batch, until it is killed
                _commit_batches(ledger, keys[0])
            case _:
                raise ValueError(line)
    ledger.close()


def _commit_batches(ledger: SqlLedger, key: int) -> None:
    file = ledger.open_file("run-1", "out", "usage-1.jsonl")
    _print("begun")
    for batch in range(10_000):
        file = replace(file, bytes=file.bytes + BATCH, records=file.records + BATCH)
        ledger.commit([commit(key, batch * BATCH + n) for n in range(BATCH)], file)
        if batch % 5 == 0:
            _print(batch)


def _print(*values: object) -> None:
    sys.stdout.write(" ".join(map(str, values)) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
