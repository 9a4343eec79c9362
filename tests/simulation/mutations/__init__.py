"""Guards of the collector, each taken out in turn: what the simulation is worth is what it finds then.

A mutation says which invariant it must break. One module has those of one subject.
"""

from __future__ import annotations

from tests.simulation.mutations import (
    asked,
    crash,
    durable,
    emitted,
    gentleness,
    processes,
    reconciled,
    relabelled,
    restored,
    searched,
    told,
)
from tests.simulation.mutations.mutation import Mutation

__all__ = ["MUTATIONS", "Mutation"]

MUTATIONS = (
    *durable.MUTATIONS,
    *crash.MUTATIONS,
    *restored.MUTATIONS,
    *processes.MUTATIONS,
    *emitted.MUTATIONS,
    *asked.MUTATIONS,
    *gentleness.MUTATIONS,
    *told.MUTATIONS,
    *relabelled.MUTATIONS,
    *reconciled.MUTATIONS,
    *searched.MUTATIONS,
)
