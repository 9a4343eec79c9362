"""Commands of a user who isn't root. The interpreter may be readable for root only, so all is imported before."""

from __future__ import annotations

import codecs
import importlib
import os
import pkgutil
import subprocess
import sys
import tempfile
from pathlib import Path

import collector
from collector.adapters.clock import SystemClock
from collector.ledger import SqlLedger
from tests.support.commands import Done, environment, unmeasured

USER = 65532
_CODECS = ("ascii", "idna", "latin_1", "utf_8_sig", "unicode_escape")
_ENV = "collector.ledger.migrations.env"  # runs within Alembic only


def as_user(*args: str | Path, cwd: Path, **env: str) -> Done:
    """Run a command as a user who isn't root to its end. Takes root."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.other_user", str(cwd), *map(str, args)],
        env=unmeasured(environment(**env)),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def become_user() -> None:
    """Import everything, then be that user."""
    for module in pkgutil.walk_packages(collector.__path__, "collector."):
        if module.name not in {_ENV, "collector.__main__"}:
            importlib.import_module(module.name)
    for codec in _CODECS:
        codecs.lookup(codec)
    with tempfile.TemporaryDirectory() as directory:  # making a ledger loads the rest
        SqlLedger.open(f"sqlite:///{directory}/ledger.db", command="", now=SystemClock().now).close()
    os.setgroups([])
    os.setgid(USER)
    os.setuid(USER)


if __name__ == "__main__":
    become_user()
    os.chdir(sys.argv.pop(1))
    from collector.cli.main import main

    main()
