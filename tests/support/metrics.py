"""Reading metrics in tests."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from collector.model import Population

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples_of(collector: Collector) -> Samples:
    """All samples, by name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in collector.collect()
        for sample in family.samples
    }


def parsed(text: str) -> Samples:
    """All samples of a text in the exposition format."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    """The value of one series, which must be there."""
    return samples[f"collector_{name}", frozenset(labels.items())]


def total(samples: Samples, name: str) -> float:
    """The sum over all labels."""
    return sum(number for (found, _), number in samples.items() if found == f"collector_{name}")


def labels_of(samples: Samples, name: str) -> set[frozenset[tuple[str, str]]]:
    """The labels of all series of that name."""
    return {labels for found, labels in samples if found == f"collector_{name}"}


def who(org: str, population: Population) -> dict[str, str]:
    """The labels of one population of an org."""
    return {"org": org, "population": population.value}
