"""The good and bad configs of this directory, and how a test writes them to disk.

`good/NAME.yaml` is a config that loads. A bad config is `bad/GROUP/NAME.yaml`, with every reported line in
`bad/GROUP/NAME.txt`. If it needs more files, a directory `NAME/` with `collector.yaml` and those files
replaces `NAME.yaml`. `NAME.json` contains variables (`environ`) and options (`options`).
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SECRET = "s3cretMARKER"  # noqa: S105, RUF100 - the secret in every bad config, so that a test finds it in messages
ORG = "orgs:\n- {name: acme, token_env: T}\n"
CONFIG = Path("collector.yaml")
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Bad:
    """A bad config, found by the file with its messages."""

    messages: Path

    @property
    def name(self) -> str:
        """Return `GROUP/NAME`."""
        return f"{self.messages.parent.name}/{self.messages.stem}"

    @property
    def expected(self) -> list[str]:
        """Return every line that is reported."""
        return self.messages.read_text(encoding="utf-8").splitlines()

    @property
    def arguments(self) -> dict[str, Any]:
        """Return the arguments of `load`; the variable `T` is always set."""
        file = self.messages.with_suffix(".json")
        given = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        return {"environ": {"T": SECRET, **given.get("environ", {})}, "overrides": given.get("options", {})}

    def write(self) -> Path:
        """Write the config and its other files into the working directory."""
        if (folder := self.messages.with_suffix("")).is_dir():
            shutil.copytree(folder, ".", dirs_exist_ok=True)
        elif (file := self.messages.with_suffix(".yaml")).exists():
            shutil.copy(file, CONFIG)
        return CONFIG


GOOD = sorted((HERE / "good").glob("*.yaml"))
BAD = [Bad(file) for file in sorted((HERE / "bad").glob("*/*.txt"))]


def write(file: Path, content: str | bytes) -> Path:
    """Write a file, with the directories above it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return file
