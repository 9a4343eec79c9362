"""The numbers of an answer that add up over adjoining windows, and arithmetic with them.

Users never add up: they are no part of it. A number that is not there is not the same as zero.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from collector.model import Answer, ProductUsage

Metric = tuple[str, ...]  # a product, and the path of one of its numbers
Totals = Mapping[Metric, int | float]


def totals_of(answer: Answer) -> dict[Metric, int | float]:
    """Return each number of an answer. Texts, flags and lists, which new metrics may be, are left out."""
    return totals_of_products(answer.products)


def totals_of_products(products: Mapping[str, ProductUsage]) -> dict[Metric, int | float]:
    """Return each number of the usage of products."""
    return {(product, *path): number for product, usage in products.items() for path, number in _numbers_of(usage)}


def only_counts(answer: Answer) -> bool:
    """Return whether all that an answer says of its products are numbers, none of them negative."""
    return all(_counts_only(usage.extra) for usage in answer.products.values())


def difference(whole: Totals, part: Totals) -> dict[Metric, int | float]:
    """Return what a part leaves of the whole. A number that one of them doesn't have counts as zero there."""
    return {metric: whole.get(metric, 0) - part.get(metric, 0) for metric in dict.fromkeys([*whole, *part])}


def zero_of(usage: ProductUsage) -> ProductUsage:
    """Return the same metrics, each of them zero. They have to be `only_counts`."""
    counts = (usage.total_tests, usage.total_duration, usage.total_screenshots)
    tests, duration, screenshots = (None if count is None else 0 for count in counts)
    return ProductUsage(
        total_tests=tests, total_duration=duration, total_screenshots=screenshots, extra=_zeros(usage.extra)
    )


def _numbers_of(usage: ProductUsage) -> Iterator[tuple[Metric, int | float]]:
    counts = {
        "total_tests": usage.total_tests,
        "total_duration": usage.total_duration,
        "total_screenshots": usage.total_screenshots,
    }
    yield from ((((name,), count) for name, count in counts.items() if count is not None))
    yield from (((("extra", *path), number) for path, number in _flat(usage.extra)))


def _flat(extra: Mapping[str, object]) -> Iterator[tuple[Metric, int | float]]:
    for name, value in extra.items():
        match value:
            case bool():
                continue
            case int() | float():
                yield (name,), value
            case Mapping():
                yield from (((name, *path), number) for path, number in _flat(value))
            case _:
                continue


def _counts_only(extra: Mapping[str, object]) -> bool:
    def counts(value: object) -> bool:
        match value:
            case bool():
                return False
            case int() | float():
                return value >= 0
            case Mapping():
                return _counts_only(value)
            case _:
                return False

    return all(map(counts, extra.values()))


def _zeros(extra: Mapping[str, object]) -> dict[str, object]:
    return {name: _zeros(value) if isinstance(value, Mapping) else type(value)(0) for name, value in extra.items()}  # type: ignore[call-arg]
