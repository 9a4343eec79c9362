"""Datasets held against FOCUS 1.2 by the FinOps Foundation's own validator, with the rules that come with it.

It runs in an environment of its own (`make .venv-focus/ready`), without a network.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.support.commands import collector
from tests.support.invoiced import invoiced
from tests.support.needs import left_out

pytestmark = pytest.mark.slow

VALIDATOR = Path(__file__).parents[2] / ".venv-focus" / "bin" / "focus-validator"
# What applies to us of what the specification demands only of some.
CRITERIA = (
    "ACCOUNT_NAMING_SUPPORTED",
    "NEGOTIATED_PRICING_SUPPORTED",
    "SUB_ACCOUNT_SUPPORTED",
    "TAGGING_SUPPORTED",
    "UNIT_PRICING_SUPPORTED",
    "USAGE_MEASUREMENT_SUPPORTED",
)
# "InvoiceId MUST NOT be null when the charge is associated with an invoice": ours is not, and then it MUST be null. The
# validator tests both rules on every row, so one of the two fails; the rule above them is that one holds.
EITHER = {"InvoiceId-C-005-C"}
VERDICT = re.compile(r"^\W*([A-Za-z]+-[A-Z]-\d{3}-[A-Z]): (PASS|FAIL)", re.MULTILINE)


def verdicts(dataset: Path, *more: str) -> dict[str, str]:
    """Return what the validator says of each rule that it tested."""
    if not VALIDATOR.exists():
        left_out("FOCUS's validator isn't installed (make .venv-focus/ready; it needs Python 3.13)")
    codes = dataset.parent / "focus_validator" / "rules" / "currency_codes.csv"  # else it downloads them
    codes.parent.mkdir(parents=True, exist_ok=True)
    codes.write_text(",currency_codes\n0,EUR\n1,USD\n")
    words = ("--block-download", "--validate-version", "1.2", "--applicability-criteria", ",".join(CRITERIA))
    command = [str(VALIDATOR), *words, "--data-file", dataset.name, *more]
    done = subprocess.run(command, cwd=dataset.parent, capture_output=True, text=True, check=False)
    found = dict(VERDICT.findall(done.stdout))
    assert found, done.stdout + done.stderr
    return found


def exported(directory: Path, name: str, *, prefix: str) -> Path:
    """Write three months, with corrections in two of them."""
    invoiced(directory, prefix=prefix)
    words = ("export", "--from", "2026-06-01", "--to", "2026-08-31", "-f", "focus", "-o", name)
    done = collector(*words, cwd=directory, env={"COLLECTOR_CONFIG": "collector.yaml"})
    assert done.code == 0, done.stderr
    return directory / name


# CSV has no types: there the validator takes an id of digits for a number, and says that it has to be a text.
@pytest.mark.parametrize(("name", "prefix"), [("all.parquet", ""), ("all.csv", "org-")])
def test_the_validator_finds_no_error(tmp_path: Path, name: str, prefix: str) -> None:
    found = verdicts(exported(tmp_path, name, prefix=prefix))
    assert {rule for rule, verdict in found.items() if verdict == "FAIL"} == EITHER
    assert found["InvoiceId-C-003-C"] == "PASS"
    assert sum(verdict == "PASS" for verdict in found.values()) > 200


def test_the_validator_finds_what_is_wrong(tmp_path: Path) -> None:
    dataset = exported(tmp_path, "all.csv", prefix="org-")
    text = dataset.read_text().replace(",Usage,", ",Consumption,").replace("Correction", "Restated")
    dataset.write_text(text.replace("2026-06-01T00:00:00Z", "2026-06-01 00:00"))
    failed = {rule for rule, verdict in verdicts(dataset).items() if verdict == "FAIL"}
    assert {rule.partition("-")[0] for rule in failed} >= {"ChargeCategory", "ChargeClass", "BillingPeriodStart"}
