"""A picture of what is observed, taken on the event loop and rendered off it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from collector.run.progress import Progress
from collector.service.view import CurrentRun, Observed


def frozen(observed: Observed) -> Observed:
    """Return what is observed now, as it will stay: all else of it is values already."""
    current = observed.current
    return replace(observed, orgs=dict(observed.orgs), current=current and _frozen_run(current))


def _frozen_run(run: CurrentRun) -> CurrentRun:
    seen = run.progress
    progress = Progress(
        left=dict(seen.left),
        planned=dict(seen.planned),
        done=seen.done,
        orgs_done=seen.orgs_done,
        retries=seen.retries,
        hosts_down=set(seen.hosts_down),
        states=Counter(seen.states),
    )
    return replace(run, progress=progress)
