"""No answer is taken of a body in which a key stands twice, however the body is written."""

from __future__ import annotations

import json
import random

from hypothesis import given
from hypothesis import strategies as st

from collector.core.response import Reply, interpret
from collector.errors import Broken
from collector.model import Answer
from tests.unit.answers.bodies import ANSWER, NOW, REQUEST, success

MORE = (
    b"",
    b'"x": 1, ',
    b'"totalTests": 1, ',
    b'"name": "a:b", ',
    b'"data": {}, ',
    b'"id": ":", ',
    b'"partial": false, ',
)
COLONS = (b": ", b":", b" : ", b"\t:\n", b":  ")


def repeated(body: bytes) -> bool:
    """Say whether a key stands twice in an object, by the slow and simple way."""
    twice: list[str] = []

    def look(pairs: list[tuple[str, object]]) -> dict[str, object]:
        names = [name for name, _ in pairs]
        twice.extend(name for name in names if names.count(name) > 1)
        return dict(pairs)

    json.loads(body, object_pairs_hook=look)
    return bool(twice)


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    rng = random.Random(draw(st.integers(0, 2**32)))
    body = success({"organization": {"id": "12345", "name": draw(st.sampled_from(["Acme Corp", "a:b", "ü", "\\:"]))}})
    objects = [at + 1 for at in range(len(body)) if body[at : at + 1] == b"{"]
    for at in sorted(rng.sample(objects, draw(st.integers(0, 3))), reverse=True):
        body = body[:at] + rng.choice(MORE) + body[at:]
    pieces = body.split(b'": ')
    odd = draw(st.booleans())
    body = pieces[0] + b"".join(b'"' + (rng.choice(COLONS) if odd else b": ") + piece for piece in pieces[1:])
    return body.replace(b"Tests", b"Test\\u0073", draw(st.integers(0, 1)))


@given(bodies())
def test_an_answer_has_no_key_twice_and_no_other_body_is_called_ambiguous(body: bytes) -> None:
    outcome = interpret(Reply(status=200, body=body), REQUEST, now=NOW)
    if isinstance(outcome, Answer):
        assert not repeated(body)
    else:
        assert isinstance(outcome, Broken)
        assert repeated(body) or "twice" not in outcome.message


def test_blanks_around_colons_change_nothing() -> None:
    for colon in COLONS:
        assert interpret(Reply(status=200, body=success().replace(b": ", colon)), REQUEST, now=NOW) == ANSWER
