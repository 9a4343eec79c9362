"""What steers a terminal is escaped in every JSON that we write, and no value changes by it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.core.visible import visible

COLLECTOR = Path(__file__).parents[2] / "collector"
CODES = (*range(0x7F, 0xA0), 0x061C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A))
HARMLESS = "Müller & Söhne, 株式会社, Ωμέγα, عربى, עברית, 👩\u200d💻, e\u0301, \u00a0\u200b\ufeff"
# These write no text from outside for readers: columns, the key of an id, a comparison, schemas, a URL in ASCII.
NOT_SHOWN = {
    "ledger/codec.py",
    "ledger/carried.py",  # compressed
    "core/naming.py",
    "core/normalise.py",
    "core/answer.py",
    "cli/schema.py",
    "cli/singer.py",  # the catalog: a constant
    "cli/simulate.py",
}


@pytest.mark.parametrize("code", CODES, ids=lambda code: f"U+{code:04X}")
def test_a_character_that_steers_is_escaped_and_reads_as_it_was(code: int) -> None:
    value = {f"a{chr(code)}": [f"{chr(code)}{chr(code)}é"]}
    written = visible(orjson.dumps(value))
    assert chr(code) not in written.decode()
    assert written.count(b"\\u%04x" % code) == 3
    assert json.loads(written) == orjson.loads(written) == value


def test_text_of_any_script_is_written_as_it_is() -> None:
    written = orjson.dumps({"org_name": HARMLESS})
    assert visible(written) == written


steering = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from([chr(code) for code in CODES]))


@given(st.recursive(steering, lambda inner: st.lists(inner) | st.dictionaries(steering, inner), max_leaves=5))
def test_every_value_stays_the_same(value: object) -> None:
    written = visible(orjson.dumps(value))
    assert orjson.loads(written) == value
    assert not {chr(code) for code in CODES} & set(written.decode())


def test_every_module_that_writes_json_for_readers_makes_it_visible() -> None:
    writing = {
        str(path.relative_to(COLLECTOR)): path.read_text()
        for path in COLLECTOR.rglob("*.py")
        if re.search(r"json\.dumps|JSONRenderer", path.read_text()) and path.parent.name != "simulator"
    }
    assert set(writing) >= NOT_SHOWN
    assert not {name for name, source in writing.items() if name not in NOT_SHOWN and "visible(" not in source}
