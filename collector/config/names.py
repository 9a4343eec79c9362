"""Names of orgs, and their labels: what they may be.

They are copied to every record, into tables, logs and links.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated

from pydantic import AfterValidator, Field

from collector.config.messages import CONTROL, invalid

LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,62}")
MAX_NAME, MAX_LABEL = 300, 1024
NOT_SEEN = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180e\u180f\u2800\u3164\uffa0")  # as spaces
JOINERS = "\u200c\u200d"  # in words of Persian and Hindi, and in emoji


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
    if (odd := invisible_in(value)) is not None:
        raise invalid(f"contains the invisible character U+{ord(odd):04X}: type the name anew, without it")
    if value in (".", ".."):
        raise invalid("must not be `.` or `..`, which are directories in paths and addresses")
    return value


def invisible_in(name: str) -> str | None:
    """Return the first character of a name that isn't seen: two names would look the same, or read backwards.

    A joiner is part of a word between letters that aren't ASCII.
    """
    for place, one in enumerate(name):
        joins = one in JOINERS and _is_within_a_word(name, place)
        if not joins and (one in NOT_SEEN or unicodedata.category(one) in ("Cf", "Cs")):
            return one
    return None


def _is_within_a_word(name: str, place: int) -> bool:
    around = name[place - 1 : place] + name[place + 1 : place + 2]
    return len(around) == 2 and not any(map(str.isascii, around))


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
