"""The tables of `collector export`: their columns, and their rows as values.

Names of columns are a promise to those who read the files (docs/export.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from collector.core.columns import Column, Kind, Row
from collector.core.costs import WindowCost
from collector.core.grouping import By, Dimension, Group
from collector.core.present import PresentRecord, PresentWindow, RestatedRecord

_ORG = (
    Column("org", Kind.TEXT, "The org's name in the config"),
    Column("org_id", Kind.TEXT, "The organization's id; empty if no answer has come yet"),
    Column("org_name", Kind.TEXT, "The organization's name"),
    Column("labels", Kind.LABELS, "The org's labels in the present config"),
    Column("population", Kind.TEXT, "Whose usage: humans or service accounts"),
)
_PRODUCT = Column("product", Kind.TEXT, "The product group, as the API names it")
_WINDOW = (
    Column("granularity", Kind.TEXT, "The length of the window"),
    Column("timezone", Kind.TEXT, "The zone of the org's calendar"),
    Column("window_date", Kind.DATE, "The local date on which the window begins: sum by it"),
    Column("window_start", Kind.INSTANT, "The first instant of the window"),
    Column("window_end", Kind.INSTANT, "The first instant after the window"),
)
_TESTS = Column("total_tests", Kind.INTEGER, "Tests; empty: unknown, or the product has no such number")
_DURATION = Column("total_duration", Kind.INTEGER, "Durations, as the API reports them")
_SCREENSHOTS = Column("total_screenshots", Kind.INTEGER, "Screenshots; empty: unknown, or none are counted")
_USERS = Column(
    "org_users", Kind.INTEGER, "Distinct users of the window, the same for each product: never to be summed"
)
_QUALITY = Column("quality", Kind.TEXT, "How much the numbers can be relied upon")
_STATE = Column("state", Kind.TEXT, "The state of the window: only the numbers of a complete one are whole")
_REVISION = Column("revision", Kind.INTEGER, "1 for a record that was never restated")
_RECORD_ID = Column("record_id", Kind.TEXT, "As in the stream of records")

RECORDS = (
    *_ORG,
    _PRODUCT,
    *_WINDOW,
    _TESTS,
    _DURATION,
    _SCREENSHOTS,
    _USERS,
    _QUALITY,
    _STATE,
    Column("anomalies", Kind.TEXTS, "What looks wrong about the answer"),
    Column("extra", Kind.JSON, "Numbers that the API added later"),
    _REVISION,
    _RECORD_ID,
)
UNKNOWN = (
    *_ORG,
    *_WINDOW,
    _STATE,
    Column("reason", Kind.TEXT, "Why it isn't complete, as a code"),
    Column("products", Kind.TEXTS, "The products whose numbers are unknown; empty: of any product"),
    Column("fetched_at", Kind.INSTANT, "When the window was requested last; empty: never"),
)
RESTATED = (
    *_ORG,
    _PRODUCT,
    *_WINDOW,
    Column("total_tests_before", Kind.INTEGER, "As it was at that time; empty: unknown"),
    _TESTS,
    Column("total_tests_difference", Kind.INTEGER, "Now less before; empty if one of them is unknown"),
    Column("total_duration_before", Kind.INTEGER),
    _DURATION,
    Column("total_duration_difference", Kind.INTEGER),
    Column("total_screenshots_before", Kind.INTEGER),
    _SCREENSHOTS,
    Column("total_screenshots_difference", Kind.INTEGER),
    Column("org_users_before", Kind.INTEGER),
    _USERS,
    Column("quality_before", Kind.TEXT),
    _QUALITY,
    _STATE,
    Column("extra_before", Kind.JSON),
    Column("extra", Kind.JSON, "Numbers that the API added later"),
    Column("changed_at", Kind.INSTANT, "When the record was restated last"),
    Column("changed_by", Kind.TEXT, "The run that restated it last"),
    Column("restatements", Kind.INTEGER, "How often it was restated since that time"),
    _REVISION,
    _RECORD_ID,
)
_SUMS = (
    Column("total_tests", Kind.INTEGER, "The sum of what is known; empty: no window has such a number"),
    Column("total_duration", Kind.INTEGER, "The sum of what is known, as the API reports durations"),
    Column("total_screenshots", Kind.INTEGER, "The sum of what is known"),
    Column("windows", Kind.INTEGER, "Windows of the group: each org, population and window counts once"),
    Column("windows_unknown", Kind.INTEGER, "Of these, the windows of which not every number is known"),
)
_COST = Column("cost", Kind.DECIMAL, "What is known of the cost, rounded; empty: nothing is known, or has a price")
_CURRENCY = Column("currency", Kind.TEXT, "The code of ISO 4217")
RECORD_COSTS = (
    _COST,
    _CURRENCY,
    Column("not_priced", Kind.TEXT, "Why usage has no cost: `no price`, or the `price changes` within the window"),
)
GROUP_COSTS = (
    _COST,
    _CURRENCY,
    Column("windows_not_priced", Kind.INTEGER, "Windows with usage that no price fits: it is not in the cost"),
)
_TAKEN = {"org", "org_id", *(by.value for by in By), *(column.name for column in (*_SUMS, *GROUP_COSTS))}


def group_columns(dimensions: Sequence[Dimension]) -> tuple[Column, ...]:
    """Return the columns of sums. A label's column has its key as its name, or `label_KEY` where that has a meaning."""
    found: list[Column] = []
    for one in dimensions:
        match one.by:
            case By.LABEL:
                name = one.label
                while name in _TAKEN or name in {column.name for column in found}:
                    name = f"label_{name}"
                found.append(Column(name, Kind.TEXT, "A label of the org in the present config; empty: it has none"))
            case By.ORG:
                found += _ORG[:2]
            case By.PRODUCT | By.POPULATION:
                found.append(Column(one.by.value, Kind.TEXT))
            case _:
                found.append(Column(one.by.value, Kind.DATE, "The first day of it"))
    return (*found, *_SUMS)


def group_row(dimensions: Sequence[Dimension], group: Group) -> Row:
    """Return a group as a row."""
    values: list[object] = []
    for one, value in zip(dimensions, group.key, strict=True):
        values += [value, group.org_id] if one.by is By.ORG else [value]
    sums = group.sum
    return (*values, sums.tests, sums.duration, sums.screenshots, sums.windows, sums.unknown)  # type: ignore[arg-type]


def not_priced_text(cost: WindowCost, product: str) -> str | None:
    """Return why usage of a product has no cost, if it has none."""
    if product not in cost.not_priced:
        return None
    return "price changes" if product in cost.changing else "no price"


def record_costs(cost: WindowCost, product: str, shown: Decimal | None, currency: str) -> Row:
    """Return what `RECORD_COSTS` has of a record."""
    return shown, currency, not_priced_text(cost, product)


def group_costs(group: Group, shown: Decimal | None, currency: str) -> Row:
    """Return what `GROUP_COSTS` has of a group."""
    return shown, currency, group.sum.cost.windows_not_priced


def record_row(one: PresentRecord) -> Row:
    """Return a record as a row."""
    return (
        *_org_values(one),
        one.product,
        *_window_values(one),
        one.total_tests,
        one.total_duration,
        one.total_screenshots,
        one.org_users,
        one.quality.value,
        one.state.value,
        list(one.anomalies),
        one.extra,
        one.revision,
        one.record_id,
    )


def unknown_row(window: PresentWindow, products: Sequence[str] | None) -> Row:
    """Return a window as a row: of these products, the numbers are unknown."""
    org = window.org
    return (
        org.name,
        org.org_id,
        org.org_name,
        dict(org.labels),
        window.population.value,
        *_window_values(window),
        window.state.value,
        window.reason,
        products,
        window.fetched_at,
    )


def restated_row(one: RestatedRecord) -> Row:
    """Return a restated record as a row."""
    now, before = one.now, one.before.usage
    return (
        *_org_values(now),
        now.product,
        *_window_values(now),
        *_changed(before.total_tests, now.total_tests),
        *_changed(before.total_duration, now.total_duration),
        *_changed(before.total_screenshots, now.total_screenshots),
        one.users_before,
        now.org_users,
        one.before.quality.value,
        now.quality.value,
        now.state.value,
        before.extra or None,
        now.extra,
        one.changed_at,
        one.run_id,
        one.restatements,
        now.revision,
        now.record_id,
    )


def _changed(before: int | None, now: int | None) -> tuple[int | None, int | None, int | None]:
    return before, now, None if before is None or now is None else now - before


def _org_values(one: PresentRecord) -> Row:
    return one.org, one.org_id, one.org_name, dict(one.labels), one.population.value


def _window_values(one: PresentRecord | PresentWindow) -> Row:
    return one.granularity.value, one.timezone, one.window_date, one.window_start, one.window_end
