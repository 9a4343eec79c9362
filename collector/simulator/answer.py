"""The body of a 200: the org's usage as the documents describe it, or as a fault changes it.

Owns the shape of the answer, and the faults that vary what the documents leave open. Pure: the time is
an argument, and nothing is sent here.
"""

from __future__ import annotations

from dataclasses import dataclass

from collector.simulator.fault_kinds import GROUPS
from collector.simulator.fault_script import FaultScript, RequestFaults
from collector.simulator.habits import POPULATIONS, Population
from collector.simulator.orgs import Directory, Org
from collector.simulator.query import UsageQuery
from collector.simulator.usage import Late, Totals, Usage

Products = dict[str, dict[str, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A JSON document, and whether a product group is missing in it."""

    body: dict[str, object]
    partial: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Reporter:
    """Answers queries from the true usage and the faults of the request."""

    usage: Usage
    directory: Directory
    script: FaultScript

    def answer(self, caller: Org, query: UsageQuery, faults: RequestFaults, *, now_s: int) -> Answer:
        """Return the document that answers the query. `faults` are those of this request."""
        org = self._answering(caller, faults)
        totals = self._totals(org, query, faults, now_s)
        products = totals.products
        if "not-additive" in faults:
            products = _each_one_more(products)
        if "extra-product" in faults:
            products = _with_unknown(products)
        metadata: dict[str, object] = {
            "type": query.population,
            "totalUsers": totals.users,
            "from": query.from_,
            "to": query.to,
            "timezone": query.timezone,
            "organization": {"id": org.org_id, "name": org.display_name},
        }
        group = self._missing_group(caller, query, faults)
        if group is not None:
            metadata["partial"] = True
            products = _without(products, group)
        body: dict[str, object] = {"status": "success", "data": {"metadata": metadata, "products": products}}
        return Answer(body=body, partial=group is not None)

    def truth(self, org: str, population: Population, start_s: int, end_s: int, *, now_s: int) -> Totals:
        """Return the true usage in `[start_s, end_s)`. There is no usage after `now_s`."""
        return self.usage.totals(org, population, start_s, min(end_s, now_s))

    def _answering(self, caller: Org, faults: RequestFaults) -> Org:
        same_as = faults.get("same-as")
        return (self.directory.get(same_as.value.choice) if same_as else None) or caller

    def _totals(self, org: Org, query: UsageQuery, faults: RequestFaults, now_s: int) -> Totals:
        start_s, end_s = query.start_s, min(query.end_s, now_s)
        if retention := faults.get("retention"):
            start_s = max(start_s, now_s - int(retention.value.duration_s))
        late = None
        if fault := faults.get("late"):
            late = Late(since_s=now_s - int(fault.value.duration_s), percent=fault.value.percent)
        populations = POPULATIONS if "same-types" in faults else (query.population,)
        totals = [self.usage.totals(org.name, each, start_s, end_s, late=late) for each in populations]
        return totals[0] if len(totals) == 1 else _sum(totals)

    def _missing_group(self, caller: Org, query: UsageQuery, faults: RequestFaults) -> str | None:
        """Return the product group that is missing, or None if the answer is complete.

        With `once` and `always` it is the same group for every request of a query; with `often` it varies.
        """
        partial = faults.get("partial")
        if partial is None:
            return None
        text = f"{query.population} {query.start_s} {query.end_s}"
        ordinal = faults.ordinal if partial.value.choice == "often" else 0
        if partial.value.choice == "once" and not self.script.is_new(caller.name, text):
            return None
        if partial.value.choice == "often" and self.script.draw("partial", caller.name, ordinal) < 0.5:
            return None
        groups = tuple(GROUPS)
        return partial.group or groups[int(self.script.draw("group", caller.name, text, ordinal) * len(groups))]


def _sum(totals: list[Totals]) -> Totals:
    # No user is in both populations, so their distinct users can be added.
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
    # These are multiples of known counts, so they are additive too.
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
