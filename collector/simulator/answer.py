"""The body of a 200: the org's usage as the documents describe it, or as a fault bends it.

Owns the shape of the answer and the faults that are readings of what the documents leave
open. Pure: the time is an argument, and nothing is sent from here.
"""

from __future__ import annotations

from dataclasses import dataclass

from collector.simulator.fault_book import FaultBook, Met
from collector.simulator.faults import GROUPS
from collector.simulator.habits import POPULATIONS, Population
from collector.simulator.orgs import Directory, Org
from collector.simulator.query import Question
from collector.simulator.usage import Late, Totals, Usage

Products = dict[str, dict[str, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A JSON document, and whether it is one that lacks a group."""

    body: dict[str, object]
    partial: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Reporter:
    """Answers questions from the truth and the faults that a request meets."""

    usage: Usage
    directory: Directory
    book: FaultBook

    def answer(self, caller: Org, question: Question, met: Met, *, now_s: int) -> Answer:
        """Return the document that answers the question."""
        org = self._answering(caller, met)
        totals = self._totals(org, question, met, now_s)
        products = totals.products
        if "not-additive" in met:
            products = _each_one_more(products)
        if "extra-product" in met:
            products = _with_unknown(products)
        metadata: dict[str, object] = {
            "type": question.population,
            "totalUsers": totals.users,
            "from": question.from_,
            "to": question.to,
            "timezone": question.timezone,
            "organization": {"id": org.org_id, "name": org.display_name},
        }
        group = self._missing_group(caller, question, met)
        if group is not None:
            metadata["partial"] = True
            products = _without(products, group)
        body: dict[str, object] = {"status": "success", "data": {"metadata": metadata, "products": products}}
        return Answer(body=body, partial=group is not None)

    def truth(self, org: str, population: Population, start_s: int, end_s: int, *, now_s: int) -> Totals:
        """Return what was really used in `[start_s, end_s)`: nothing happens after now."""
        return self.usage.totals(org, population, start_s, min(end_s, now_s))

    def _answering(self, caller: Org, met: Met) -> Org:
        same_as = met.get("same-as")
        return (self.directory.get(same_as.value.word) if same_as else None) or caller

    def _totals(self, org: Org, question: Question, met: Met, now_s: int) -> Totals:
        start_s, end_s = question.start_s, min(question.end_s, now_s)
        if retention := met.get("retention"):
            start_s = max(start_s, now_s - int(retention.value.duration_s))
        late = None
        if fault := met.get("late"):
            late = Late(since_s=now_s - int(fault.value.duration_s), percent=fault.value.percent)
        populations = POPULATIONS if "same-types" in met else (question.population,)
        totals = [self.usage.totals(org.name, each, start_s, end_s, late=late) for each in populations]
        return totals[0] if len(totals) == 1 else _sum(totals)

    def _missing_group(self, caller: Org, question: Question, met: Met) -> str | None:
        """Return the product group that failed, if the answer is to be partial.

        `often` may lack another group each time, `once` and `always` lack one and the same per query.
        """
        partial = met.get("partial")
        if partial is None:
            return None
        query = f"{question.population} {question.start_s} {question.end_s}"
        ordinal = met.ordinal if partial.value.word == "often" else 0
        if partial.value.word == "once" and not self.book.is_new(caller.name, query):
            return None
        if partial.value.word == "often" and self.book.draw("partial", caller.name, ordinal) < 0.5:
            return None
        groups = tuple(GROUPS)
        return partial.group or groups[int(self.book.draw("group", caller.name, query, ordinal) * len(groups))]


def _sum(totals: list[Totals]) -> Totals:
    # The two populations have no user in common, so their distinct users add up.
    return Totals(
        users=sum(each.users for each in totals),
        products={
            product: {metric: sum(each.products[product][metric] for each in totals) for metric in metrics}
            for product, metrics in totals[0].products.items()
        },
    )


def _each_one_more(products: Products) -> Products:
    return {
        product: {metric: count + 1 if count else 0 for metric, count in metrics.items()}
        for product, metrics in products.items()
    }


def _with_unknown(products: Products) -> Products:
    # Whole multiples of what is known, so that these add up as well.
    automation = products["automation"]
    return {
        **products,
        "automation": {**automation, "totalMinutes": automation["totalTests"] * 2},
        "kaneai": dict(automation),
    }


def _without(products: Products, group: str) -> Products:
    return {
        product: dict.fromkeys(metrics, 0) if product in GROUPS[group] else metrics
        for product, metrics in products.items()
    }
