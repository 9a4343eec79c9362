"""What comes back, over a corpus of replies: an answer to what was asked, or a failure by what recovers from it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from collector.core.response import Reply, interpret, parse_retry_after
from collector.errors import Broken, RefusalReason, Refused, Rejected, Retriable
from collector.model import Answer, ProductUsage
from tests.unit.answers.bodies import ANSWER, MARKER, NOW, PRODUCTS, REQUEST, USAGES, changed, error, success
from tests.unit.answers.broken import BROKEN
from tests.unit.answers.good import GOOD, Good
from tests.unit.answers.statuses import FAILING_STATUSES, PERMISSION, UNAUTHORIZED, Case

FAILING = (*FAILING_STATUSES, *BROKEN)
KINDS = {"refused": Refused, "retriable": Retriable, "broken": Broken, "rejected": Rejected}


def reply(case: Case) -> Reply:
    return Reply(status=case.status, headers=case.headers, body=case.body)


def products_of(products: dict[str, Any]) -> dict[str, ProductUsage]:
    answer = interpret(Reply(status=200, body=success(products=products)), REQUEST, now=NOW)
    assert isinstance(answer, Answer)
    return dict(answer.products)


@pytest.mark.parametrize("case", FAILING, ids=lambda case: case.name)
def test_a_reply_that_is_no_answer_is_the_failure_that_says_how_to_recover(case: Case) -> None:
    failure = interpret(reply(case), REQUEST, now=NOW)
    assert isinstance(failure, KINDS[case.kind])
    assert not isinstance(failure, Answer)
    assert failure.code == case.code
    assert case.says in failure.message


@pytest.mark.parametrize("case", [c for c in FAILING if c.kind == "retriable"], ids=lambda case: case.name)
def test_a_delay_is_asked_for_only_where_the_header_says_one(case: Case) -> None:
    failure = interpret(reply(case), REQUEST, now=NOW)
    assert isinstance(failure, Retriable)
    assert failure.retry_after_s == case.retry_after_s
    assert failure.rate_limited is (case.status == 429)


@pytest.mark.parametrize("case", FAILING, ids=lambda case: case.name)
def test_no_part_of_what_came_back_shows_in_a_failure(case: Case) -> None:
    failure = interpret(reply(case), REQUEST, now=NOW)
    assert MARKER not in repr(failure)
    assert not isinstance(failure, Answer)
    assert len(failure.message) < 250
    assert failure.message.isprintable()
    assert failure.message.isascii()


def test_the_marker_stands_in_most_bodies_of_the_corpus() -> None:
    assert len(FAILING) > 200
    names = [case.name for case in FAILING] + [good.name for good in GOOD]
    assert len(set(names)) == len(names)
    assert sum(MARKER.encode() in case.body or MARKER in str(case.headers) for case in FAILING) > 150


@pytest.mark.parametrize("good", GOOD, ids=lambda good: good.name)
def test_an_answer_holds_what_the_body_says(good: Good) -> None:
    assert interpret(Reply(status=200, body=good.body), REQUEST, now=NOW, pinned_org_id=good.pinned) == good.answer


@given(name=st.text(), org_id=st.text(min_size=1, max_size=20), product=st.text(min_size=1, max_size=20))
@example(name="\0\ud800\ufeff", org_id="\udfff\0", product="\\\ud800\udc00")
def test_every_text_of_an_answer_can_be_stored_in_each_ledger_and_written(name: str, org_id: str, product: str) -> None:
    body = success({"organization": {"id": org_id, "name": name}}, {product: {"n": name}})
    answer = interpret(Reply(status=200, body=body), REQUEST, now=NOW)
    assert isinstance(answer, Answer)
    ((key, usage),) = answer.products.items()
    for text in (answer.org_name, answer.org_id, key, usage.extra["n"]):
        assert isinstance(text, str)
        assert "\0" not in text.encode().decode()


def test_products_keep_the_order_of_the_answer() -> None:
    order = ["smartui", "new-one", "realtime", "automation"]
    products = {name: PRODUCTS.get(name, {"sessions": 1}) for name in order}
    assert list(products_of(products)) == order


def test_counts_are_exact_integers() -> None:
    for good in GOOD:
        answer = interpret(Reply(status=200, body=good.body), REQUEST, now=NOW)
        assert isinstance(answer, Answer)
        for usage in answer.products.values():
            counts = (usage.total_tests, usage.total_duration, usage.total_screenshots)
            assert {type(count) for count in counts} <= {int, type(None)}


@pytest.mark.parametrize("status", range(100, 600))
def test_only_200_is_ever_an_answer_and_only_401_403_408_429_and_5xx_are_retried(status: int) -> None:
    outcome = interpret(Reply(status=status, body=success()), REQUEST, now=NOW)
    assert isinstance(outcome, Answer) is (status == 200)
    assert not isinstance(outcome, Refused)
    assert isinstance(outcome, Retriable) is (status in (401, 403, 408, 429) or status >= 500)


@pytest.mark.parametrize("case", [c for c in FAILING if c.status in (401, 403)], ids=lambda case: case.name)
def test_a_401_or_403_that_is_not_documented_is_a_refusal_only_if_it_lasts(case: Case) -> None:
    failure = interpret(reply(case), REQUEST, now=NOW)
    if isinstance(failure, Retriable):
        assert failure.if_it_lasts is not None
        assert failure.if_it_lasts.reason is RefusalReason.FORBIDDEN
        assert f"({case.status})" in failure.if_it_lasts.message
    else:
        assert isinstance(failure, Refused)
        assert failure.reason is not RefusalReason.FORBIDDEN


@pytest.mark.parametrize(
    ("status", "body", "by_token", "says"),
    [
        (401, error(UNAUTHORIZED), False, "check the user name and the access key, or renew them"),
        (401, error(UNAUTHORIZED), True, "check the token, or renew it"),
        (403, error("admin access required"), False, "the user is not an admin"),
        (403, error("admin access required"), True, "the token's user is not an admin"),
        (403, error(PERMISSION), True, "the role of the token's user"),
    ],
)
def test_a_refusal_names_what_was_sent(status: int, body: bytes, by_token: bool, says: str) -> None:
    failure = interpret(Reply(status=status, body=body), REQUEST, now=NOW, by_token=by_token)
    assert isinstance(failure, Refused)
    assert says in failure.message
    assert not by_token or "access key" not in failure.message


def test_headers_of_an_answer_say_nothing() -> None:
    headers = {"retry-after": "60", "content-type": "text/html"}
    assert interpret(Reply(status=200, headers=headers, body=success()), REQUEST, now=NOW) == ANSWER


@pytest.mark.parametrize("timezone", ["+05:30", "-03:30", "+14:00", "-00:30"])
def test_the_echo_is_compared_with_what_was_sent(timezone: str) -> None:
    request = replace(REQUEST, timezone=timezone)
    assert interpret(Reply(status=200, body=success({"timezone": timezone})), request, now=NOW) == ANSWER
    assert isinstance(interpret(Reply(status=200, body=success()), request, now=NOW), Broken)


@pytest.mark.parametrize(
    ("pinned", "answering"), [("12345", "99"), ("12345", "012345"), ("12345", "12345 "), ("12345", "1234\uff15")]
)
@pytest.mark.parametrize("partial", [True, False])
def test_another_organization_than_the_config_says_is_refused(pinned: str, answering: str, partial: bool) -> None:
    body = success({"organization": {"id": answering, "name": MARKER}, "partial": partial})
    refused = interpret(Reply(status=200, body=body), REQUEST, now=NOW, pinned_org_id=pinned)
    assert isinstance(refused, Refused)
    assert refused.reason is RefusalReason.IDENTITY
    assert refused.code == "refused_identity"
    assert repr(answering) in refused.message  # the one text out of a body that a person needs, escaped and bounded
    assert repr(pinned) in refused.message
    assert MARKER not in refused.message


def test_the_id_of_another_organization_is_shown_escaped() -> None:
    body = success({"organization": {"id": "\u001b[2J\u202e9\n9", "name": "x"}})
    refused = interpret(Reply(status=200, body=body), REQUEST, now=NOW, pinned_org_id="12345")
    assert isinstance(refused, Refused)
    assert refused.message.isprintable()


def test_an_identity_is_looked_at_only_in_an_answer_to_what_was_asked() -> None:
    body = success({"organization": {"id": "99", "name": "x"}, "timezone": "+05:30"})
    assert isinstance(interpret(Reply(status=200, body=body), REQUEST, now=NOW, pinned_org_id="12345"), Broken)


@pytest.mark.parametrize("partial", [False, True])
def test_all_zero_is_a_property_of_counts_and_users(partial: bool) -> None:
    zeros = {name: dict.fromkeys(metrics, 0) for name, metrics in PRODUCTS.items()}
    nobody = {"totalUsers": 0, "partial": partial}
    for body, zero in (
        (success(nobody, zeros), True),
        (success({"totalUsers": 1}, zeros), False),
        (success(nobody, zeros | {"smartui": {"totalScreenshots": 1}}), False),
        (success(nobody, zeros | {"new-one": {"sessions": 0.5}}), False),
    ):
        answer = interpret(Reply(status=200, body=body), REQUEST, now=NOW)
        assert isinstance(answer, Answer)
        assert answer.is_zero is zero


@pytest.mark.parametrize("name", ["total_sessions", "total_", "total_tests_failed"])
def test_a_new_metric_is_kept_whatever_it_is_called(name: str) -> None:
    assert products_of(changed("automation", **{name: 5})) == USAGES | {
        "automation": ProductUsage(total_tests=8450, total_duration=312540, extra={name: 5})
    }


@pytest.mark.parametrize("name", ["total_tests", "total_duration", "total_screenshots"])
def test_a_new_metric_that_is_called_like_a_field_of_ours_is_no_count(name: str) -> None:
    assert products_of({"new-one": {name: 5}}) == {"new-one": ProductUsage(extra={name: 5})}


@pytest.mark.parametrize("digits", [10, 11, 100, 5000])
def test_a_huge_retry_after_is_a_long_delay_and_not_none(digits: int) -> None:
    seconds = parse_retry_after("9" * digits, now=NOW)
    assert seconds is not None
    assert seconds >= 999_999_999


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=8) | st.just(MARKER),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "x", MARKER]), inner, max_size=3)
    ),
    max_leaves=6,
)
PLACES: tuple[tuple[str, ...], ...] = (
    ("status",),
    ("data",),
    ("data", "metadata"),
    *(("data", "metadata", key) for key in ("type", "totalUsers", "from", "to", "timezone", "organization", "partial")),
    ("data", "metadata", "organization", "id"),
    ("data", "metadata", "organization", "name"),
    ("data", "products"),
    ("data", "products", "automation"),
    ("data", "products", "automation", "totalTests"),
    ("data", "products", "smartui", "totalScreenshots"),
    ("data", "products", "new-one"),
    ("data", "products", "automation", "sessions"),
    ("new",),
)


@given(place=st.sampled_from(PLACES), value=values)
def test_whatever_stands_in_whatever_place_is_an_answer_or_a_broken_one(place: tuple[str, ...], value: object) -> None:
    body = json.loads(success())
    holder = body
    for key in place[:-1]:
        holder = holder[key]
    holder[place[-1]] = value
    outcome = interpret(Reply(status=200, body=json.dumps(body).encode()), REQUEST, now=NOW)
    assert isinstance(outcome, Answer | Broken)
    if isinstance(outcome, Broken):
        assert MARKER not in outcome.message


@given(body=st.binary() | st.text().map(str.encode), status=st.sampled_from([200, 400, 403, 500]))
def test_no_body_ever_raises(body: bytes, status: int) -> None:
    assert not isinstance(interpret(Reply(status=status, body=body), REQUEST, now=NOW), Answer)


@given(cut=st.integers(0, len(success()) - 1), status=st.sampled_from([200, 400, 403, 500]))
def test_an_answer_that_is_cut_off_anywhere_is_never_an_answer(cut: int, status: int) -> None:
    outcome = interpret(Reply(status=status, body=success()[:cut]), REQUEST, now=NOW)
    assert isinstance(outcome, Broken) is (status == 200)
    assert not isinstance(outcome, Answer)


words = st.sampled_from(["Wed,", "24", "Jun", "2026", "10:21:30", "GMT", "+9999", "-", ":", "99999", "1e9", "0", ","])


@given(value=st.text() | st.lists(words, max_size=8).map(" ".join))
@example("Wed, 24 Jun 2026 10:21:30 +99999999999999999999")
@example("Mon, 01 Jan 0001 00:00:00 +1400")
def test_no_retry_after_ever_raises_or_is_negative(value: str) -> None:
    seconds = parse_retry_after(value, now=NOW)
    assert seconds is None or seconds >= 0.0


@given(when=st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_a_date_in_retry_after_is_the_time_until_then(when: datetime) -> None:
    when = when.replace(microsecond=0)
    seconds = parse_retry_after(f"{when:%a, %d %b %Y %H:%M:%S} GMT", now=NOW)
    assert seconds == max(0.0, (when - NOW).total_seconds())
