"""The tables of `collector export` for people: they fit 80 columns, and end with what all rows are together."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import islice

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from collector.adapters.text import count, printable
from collector.cli.cells import (
    OPEN,
    add_numbers,
    add_texts,
    difference_text,
    narrow_table,
    number_text,
    show_left,
    sum_texts,
    unknown_text,
    value_text,
)
from collector.cli.export_costs import ExportCosts
from collector.cli.tables import add_name
from collector.core.costs import CostSum, WindowCost
from collector.core.export_rows import not_priced_text
from collector.core.grouping import Dimension, Group, Groups, Sum, order
from collector.core.org_coverage import CoverageState
from collector.core.present import KNOWN, PresentRecord, PresentWindow, RestatedRecord, records_of
from collector.core.restated_sums import RestatedSum, RestatedSums
from collector.model import Granularity, Population

SHOWN = 1000  # rows: a person reads no more, and a table has to be in memory


def record_table(
    console: Console, windows: Iterable[PresentWindow], products: Collection[str], costs: ExportCosts | None = None
) -> None:
    """Print records, below their org and population; a window without any has a row, too."""
    table, total, below, found = narrow_table(console), Groups((), products), None, 0
    add_name(table, "org, window")
    add_name(table, "product")
    add_numbers(table)
    _add_cost(table, costs)
    table.add_column("quality")
    for window in windows:
        total.add(window)
        rows = list(_record_rows(window, products, costs))
        found += len(rows)
        if found > SHOWN:
            continue
        if below != (below := (window.org.name, window.population)):
            table.add_row(_heading(*below))
        for cells in rows:
            add_texts(table, *cells)
    for group in total.rows():
        sums = group.sum
        first = ["all", f"{unknown_text(sums)} unknown" if sums.unknown else ""]
        _total(table, first, sums, [*_total_cost(costs), ""])
        _rounding(table, first, costs, [""])
    console.print(table)
    show_left(console, max(0, found - SHOWN))


def _record_rows(window: PresentWindow, products: Collection[str], costs: ExportCosts | None) -> Iterator[list[str]]:
    date = _date(window)
    cost = WindowCost() if costs is None else costs.prices.cost_of(window, products)
    records = list(records_of(window, products))
    if not records and window.is_unknown(products):
        state = window.state.value.replace("_", " ")
        yield [date, "any", OPEN, OPEN, OPEN, *([] if costs is None else [OPEN if cost.unknown else ""]), state]
    for one in records:
        known = one.quality in KNOWN
        cells = [
            number_text(value, known=known) for value in (one.total_tests, one.total_duration, one.total_screenshots)
        ]
        if costs is not None:
            shown = costs.rounding.row(cost.of(one.product).amount)
            cells.append(_money(shown, not_priced_text(cost, one.product) or ("" if known else OPEN)))
        complete = one.state is CoverageState.COMPLETE
        quality = one.quality.value if complete else f"{one.quality.value}, {one.state.value.replace('_', ' ')}"
        yield [date, printable(one.product), *cells, quality]


def group_table(
    console: Console,
    dimensions: Sequence[Dimension],
    groups: Iterator[Group],
    total: Callable[[], Sequence[Group]],
    costs: ExportCosts | None = None,
) -> None:
    """Print sums; `total` is the one of all windows, once the groups are read."""
    table = narrow_table(console)
    for one in dimensions:
        add_name(table, escape(printable(one.label or one.by.value)))
    add_numbers(table)
    _add_cost(table, costs)
    table.add_column("unknown", justify="right", no_wrap=True)
    if costs is not None:
        table.add_column("no price", justify="right", no_wrap=True)
    shown = list(islice(groups, SHOWN))
    rounded = {id(group): _group_cost(group, costs) for group in shown}
    left = 0
    for group in groups:
        _group_cost(group, costs)  # it is in the total
        left += 1
    for group in shown if left else sorted(shown, key=lambda group: order(group.key)):
        cells = [value_text(one, value) for one, value in zip(dimensions, group.key, strict=True)]
        add_texts(table, *cells, *sum_texts(group.sum), *rounded[id(group)], *_left_out(group.sum, costs))
    for group in total():
        first = ["all"][: len(dimensions)] + [""] * (len(dimensions) - 1)
        _total(table, first, group.sum, [*_total_cost(costs), *_left_out(group.sum, costs)])
        _rounding(table, first, costs, [""] * len(_left_out(group.sum, costs)))
    console.print(table)
    show_left(console, left)


def _add_cost(table: Table, costs: ExportCosts | None) -> None:
    if costs is not None:
        table.add_column(f"cost {costs.prices.currency}", justify="right", no_wrap=True)


def _group_cost(group: Group, costs: ExportCosts | None) -> list[str]:
    if costs is None:
        return []
    return [_money(costs.rounding.row(group.sum.cost.amount), _missing(group.sum.cost))]


def _missing(cost: CostSum) -> str:
    """Return what stands instead of a cost: nothing only if nothing would cost something."""
    return OPEN if cost.windows_unknown or cost.windows_not_priced else ""


def _left_out(total: Sum, costs: ExportCosts | None) -> list[str]:
    unpriced = total.cost.windows_not_priced
    return [unknown_text(total), *([] if costs is None else [f"{unpriced:,}" if unpriced else ""])]


def _total_cost(costs: ExportCosts | None) -> list[str]:
    return [] if costs is None else [_money(costs.rounding.total, OPEN)]


def _rounding(table: Table, first: Sequence[str], costs: ExportCosts | None, last: Sequence[str]) -> None:
    """Add what the rounded rows lack of the total."""
    if costs is not None and costs.rounding.rest:
        names = ["of it: rounding", *first[1:]] if first else []
        add_texts(table, *names, "", "", "", _money(costs.rounding.rest, ""), *last)


def _money(amount: Decimal | None, otherwise: str) -> str:
    return otherwise if amount is None else f"{amount:,}"


def unknown_table(console: Console, windows: Iterable[tuple[PresentWindow, Sequence[str] | None]]) -> None:
    """Print windows of which not every number is known."""
    table, below, found = narrow_table(console), None, 0
    add_name(table, "org, window")
    table.add_column("state", no_wrap=True)
    table.add_column("reason", overflow="fold")
    add_name(table, "products")
    for window, products in windows:
        found += 1
        if found > SHOWN:
            continue
        if below != (below := (window.org.name, window.population)):
            table.add_row(_heading(*below))
        names = "any" if products is None else ", ".join(map(printable, products))
        add_texts(table, _date(window), window.state.value.replace("_", " "), printable(window.reason or ""), names)
    if found:
        console.print(table)
    console.print(f"{count(found, 'window')} of which not every number is known", highlight=False)
    show_left(console, max(0, found - SHOWN))


def changed_table(console: Console, records: Iterable[RestatedRecord], sums: RestatedSums) -> None:
    """Print restated records, a line for each number that changed, and in the end what they add up to."""
    table, below, found = narrow_table(console), None, 0
    add_name(table, "org, window")
    add_name(table, "product, number")
    for name in ("before", "now", "difference"):
        table.add_column(name, justify="right", no_wrap=True)
    last = None
    for one in records:
        found += 1
        last = one.changed_at if last is None else max(last, one.changed_at)
        if found > SHOWN:
            continue
        if below != (below := (one.now.org, one.now.population)):
            table.add_row(_heading(*below))
        for cells in _changes(one, _numbers_of(one)):
            add_texts(table, *cells)
    if found:
        table.add_section()
        for name, total in sums.numbers.items():
            for cells in _restated_sum(name, total):
                add_texts(table, *cells, style="bold")
        console.print(table)
    when = "" if last is None else f", the last one at {last:%Y-%m-%d %H:%M} UTC"
    console.print(f"{count(found, 'record')} restated{when}", highlight=False)
    show_left(console, max(0, found - SHOWN))


def _restated_sum(name: str, total: RestatedSum) -> Iterator[list[str]]:
    """Yield what an invoice changes by, and what of it has no difference of its own."""
    if total.changed:
        yield ["all", name, f"{total.before:,}", f"{total.now:,}", f"{total.difference:+,}"]
    if total.unknown_before:
        yield ["of it unknown before", name, OPEN, f"{total.unknown_before:,}", f"{total.unknown_before:+,}"]
    if total.unknown_now:
        yield ["of it unknown now", name, f"{total.unknown_now:,}", OPEN, f"{-total.unknown_now:+,}"]


def _numbers_of(one: RestatedRecord) -> dict[str, tuple[int | None, int | None]]:
    now, before = one.now, one.before.usage
    return {
        "tests": (before.total_tests, now.total_tests),
        "duration": (before.total_duration, now.total_duration),
        "screenshots": (before.total_screenshots, now.total_screenshots),
        "users": (one.users_before, now.org_users),
    }


def _changes(one: RestatedRecord, numbers: Mapping[str, tuple[int | None, int | None]]) -> Iterator[list[str]]:
    now = one.now
    lines = [
        (name, number_text(old, known=False), number_text(new, known=False), difference_text(old, new))
        for name, (old, new) in numbers.items()
        if old != new
    ]
    if one.before.quality is not now.quality:
        lines.append(("quality", one.before.quality.value, now.quality.value, ""))
    if (one.before.usage.extra or None) != now.extra:
        lines.append(("extra", "", "", "differs"))
    for name, *cells in lines:
        yield [_date(now), f"{printable(now.product)} {name}", *cells]


def _total(table: Table, first: Sequence[str], total: Sum, last: Sequence[str]) -> None:
    table.add_section()
    add_texts(table, *first, *sum_texts(total), *last, style="bold")


def _heading(org: str, population: Population) -> Text:
    return Text(f"{printable(org)} {population.value}", style="bold")


def _date(of: PresentRecord | PresentWindow) -> str:
    hourly = of.granularity is Granularity.HOUR
    return f"{of.window_start:%Y-%m-%d %H:%M}" if hourly else f"{of.window_start:%Y-%m-%d}"
