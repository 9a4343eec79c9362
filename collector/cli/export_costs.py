"""What `export --costs` adds: amounts of rows, what they lack of their total, and notes about what has no cost."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import structlog

from collector.adapters.text import some
from collector.cli.context import Context
from collector.core.columns import Row
from collector.core.costs import LeftOut, Rounding
from collector.core.export_rows import group_costs, group_row, record_costs, record_row
from collector.core.grouping import Dimension, Group
from collector.core.present import PresentWindow, records_of
from collector.core.prices import PriceList
from collector.errors import ConfigError

log = structlog.get_logger("collector")
_NAMED = 5


def prices_of(context: Context, option: str) -> PriceList:
    """Return the prices of a config. Raises ConfigError if it has none."""
    if not context.config.prices:
        raise ConfigError(
            f"{option} needs prices: add them to the config, below `prices:`. docs/chargeback.md shows how"
        )
    return context.config.prices


def warn_of_prices(left: LeftOut) -> None:
    """Say what has no price."""
    if left.not_priced:
        why = "no price fits"
        if left.changing:
            why += f"; of {some(sorted(left.changing), _NAMED)}, it changes within a window, which can't be divided"
        message = (
            f"{left.not_priced} of {left.windows} windows have usage that is in no cost, of "
            f"{some(sorted(left.products), _NAMED)}: {why}"
        )
        log.warning("costs.not_priced", windows=left.not_priced, message=message)


class ExportCosts:
    """The costs of one export."""

    def __init__(self, prices: PriceList, products: Sequence[str]) -> None:
        self.prices, self._products = prices, products
        self.rounding = Rounding(prices.decimals)
        self._left_out = LeftOut()

    def note(self, window: PresentWindow) -> None:
        """Count what has no cost in a window."""
        self._left_out.add(self.prices.cost_of(window, self._products))

    def record_rows(self, windows: Iterable[PresentWindow]) -> Iterator[Row]:
        """Yield the records of windows with their costs."""
        for window in windows:
            cost = self.prices.cost_of(window, self._products)
            for record in records_of(window, self._products):
                shown = self.rounding.row(cost.of(record.product).amount)
                yield (*record_row(record), *record_costs(cost, record.product, shown, self.prices.currency))

    def group_rows(self, dimensions: Sequence[Dimension], groups: Iterable[Group]) -> Iterator[Row]:
        """Yield groups with their costs."""
        for group in groups:
            shown = self.rounding.row(group.sum.cost.amount)
            yield (*group_row(dimensions, group), *group_costs(group, shown, self.prices.currency))

    def tell(self, *, in_table: bool) -> None:
        """Say what a file has no row for: the total, and what rounded rows lack of it; and what has no cost."""
        total, rest, currency = self.rounding.total, self.rounding.rest, self.prices.currency
        if total is not None and not in_table:
            message = f"the costs are together {total:,} {currency}"
            message += f"; the rounded rows lack {rest:,} of it" if rest else ", as the rows"
            log.info("costs.rounded", total=str(total), rounding=str(rest), currency=currency, message=message)
        warn_of_prices(self._left_out)
