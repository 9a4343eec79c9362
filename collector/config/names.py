"""Names of orgs, and their labels: what they may be.

They are copied to every record, into tables, logs and links.
"""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from collector.config.messages import CONTROL, invalid

LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,62}")
MAX_NAME, MAX_LABEL = 300, 1024


def check_name(value: str) -> str:
    """Return a name that reads the same in every log, file and table."""
    if not value:
        raise invalid("is empty")
    if len(value) > MAX_NAME:
        raise invalid(f"is longer than {MAX_NAME} characters")
    if CONTROL.search(value):
        raise invalid("contains a line break or another control character")
    if value != value.strip():
        raise invalid("begins or ends with a space")
    return value


def check_label(value: str) -> str:
    """Return a label's name that can be a column in every output."""
    if not LABEL.fullmatch(value):
        raise invalid("a label's name has up to 63 letters, digits, `_`, `.` or `-`, and begins with a letter or `_`")
    return value


def check_label_value(value: str) -> str:
    """Return a label's value of one line and bounded length: it is copied to every record and into links."""
    if len(value) > MAX_LABEL:
        raise invalid(f"is longer than {MAX_LABEL} characters")
    if CONTROL.search(value):
        raise invalid("contains a line break or another control character")
    return value


Name = Annotated[str, AfterValidator(check_name), Field(json_schema_extra={"minLength": 1, "maxLength": MAX_NAME})]
Labels = dict[Annotated[str, AfterValidator(check_label)], Annotated[str, AfterValidator(check_label_value)]]
