"""Known vulnerabilities in what the collector is installed with: the hashed requirements, every one of them.

Says clearly, and fails, when it could not find out: pip-audit alone passes over what its service doesn't know,
and with a service that can't be reached that is everything. Exit 0: audited, none known. 1: some known. 2: not audited.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REQUIREMENTS = Path(__file__).parents[1] / "requirements" / "image.txt"


@dataclass(frozen=True)
class Verdict:
    """What an audit came to."""

    code: int
    lines: tuple[str, ...]


def judge(dependencies: list[dict[str, Any]]) -> Verdict:
    """Return what pip-audit's answers mean."""
    skipped = [one["name"] for one in dependencies if "skip_reason" in one]
    found = [
        f"{one['name']} {one['version']}: {flaw['id']}, mended in {', '.join(flaw['fix_versions']) or 'no version yet'}"
        for one in dependencies
        for flaw in one.get("vulns", [])
    ]
    if skipped or not dependencies:
        known = f"{len(dependencies) - len(skipped)} of {len(dependencies)}"
        why = f"NOT AUDITED: the vulnerability service knew {known} packages; can it be reached from here?"
        return Verdict(2, (*found, why))
    if found:
        return Verdict(1, (*found, f"{len(found)} known vulnerabilities in {len(dependencies)} packages"))
    return Verdict(0, (f"no known vulnerability in {len(dependencies)} packages",))


def main() -> int:
    """Audit, and tell."""
    command = [sys.executable, "-m", "pip_audit", "--format", "json", "--progress-spinner", "off"]
    command += ["--require-hashes", "--disable-pip", "-r", str(REQUIREMENTS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    try:
        dependencies = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError):
        last = next(iter(done.stderr.strip().splitlines()[-1:]), "no output")
        verdict = Verdict(2, (f"NOT AUDITED: pip-audit ended with {done.returncode}: {last}",))
    else:
        verdict = judge(dependencies)
    print(*verdict.lines, sep="\n")
    return verdict.code


if __name__ == "__main__":
    sys.exit(main())
