"""The Dockerfile and its script, before anything is built of them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def test_hadolint_has_nothing_to_say() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([hadolint, ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_build_context_lets_in_what_the_image_is_made_of_and_nothing_else() -> None:
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert "*" in (ROOT / ".dockerignore").read_text().splitlines()
    assert allowed
    assert not {path.split("/")[0] for path in allowed} & {"config", "state", "usage", "tests", ".git", "demo", "build"}


DIGEST = "sha256:" + "a" * 64


def pinned(base: str, found: str) -> subprocess.CompletedProcess[str]:
    """The script's function, with a store whose images all have that digest."""
    function = re.search(r"^pin\(\) \{$.*?^\}$", (ROOT / "scripts" / "image").read_text(), re.MULTILINE | re.DOTALL)
    assert function
    store = 'store() { case $1 in pull) echo "$@" >&2 ;; inspect) echo "$FOUND" ;; esac; }'
    script = f'set -euo pipefail\n{store}\n{function[0]}\npin\necho "$BASE"'
    return subprocess.run(
        ["bash", "-c", script], env={"BASE": base, "FOUND": found}, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize(
    ("base", "used"),
    [
        ("python:3.13-slim-bookworm", f"python@{DIGEST}"),
        ("python", f"python@{DIGEST}"),
        ("mirror.example:5000/python", f"mirror.example:5000/python@{DIGEST}"),
        ("mirror.example:5000/python:3.13", f"mirror.example:5000/python@{DIGEST}"),
    ],
)
def test_tag_of_a_base_becomes_the_digest_that_it_has(base: str, used: str) -> None:
    done = pinned(base, DIGEST)
    assert (done.returncode, done.stdout) == (0, f"{used}\n"), done.stderr
    assert base in done.stderr


def test_base_that_has_a_digest_stays() -> None:
    done = pinned(f"python@{DIGEST}", "sha256:other")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"python@{DIGEST}\n", "")


@pytest.mark.parametrize("found", ["", "<no value>", "sha256:abc"])
def test_base_without_a_digest_is_refused(found: str) -> None:
    done = pinned("python:3.13", found)
    assert done.returncode == 1
    assert "python:3.13 has no digest" in done.stderr
