"""A process of its own that works on a ledger, told by lines on stdin what to do."""

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
            case "acquire":  # one by one, as greedily as can be
                held = {key for key in keys if ledger.acquire([key])}
                _say(*[key for key in keys if key not in held])
            case "hello":
                _say(ledger.holder.holder_id, ledger.holder.pid)
            case "open-file":
                _say(ledger.open_file("run-1", "out", "usage-1.jsonl").file_id)
            case "commit":  # batch after batch, until it is killed
                _book(ledger, keys[0])
            case _:
                raise ValueError(line)
    ledger.close()


def _book(ledger: SqlLedger, key: int) -> None:
    file = ledger.open_file("run-1", "out", "usage-1.jsonl")
    _say("begun")
    for batch in range(10_000):
        file = replace(file, bytes=file.bytes + BATCH, records=file.records + BATCH)
        ledger.commit([commit(key, batch * BATCH + n) for n in range(BATCH)], file)
        if batch % 5 == 0:
            _say(batch)


def _say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
