"""Which orgs a price or a budget is for: an org by its name or a glob, orgs by labels, or all. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

WILDCARDS = "*?["
Labels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Meant:
    """The orgs that something in the config is for; without any of these, all."""

    org: str | None = None  # a name, or a glob such as `acme-*`
    label: Labels = ()  # an org has all of them

    def is_for(self, org: str, labels: Mapping[str, str]) -> bool:
        """Return whether it is for an org, by its name and its labels."""
        if self.org is not None and self.org != org and not fnmatchcase(org, self.org):
            return False
        return all(labels.get(key) == value for key, value in self.label)
