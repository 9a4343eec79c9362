"""Which slice is fetched next, and when: lanes, limits, retries, an API that is down.

Theory of operation. Each org has a *lane*: its plan, the slices that wait for a retry, its own limits,
and what is known of its health. The *board* queues the lanes that may send now, first come first served,
and wakes the others when their time has come. Lanes that take as long as the whole run go first
(`backlog`). The *dispatcher* takes a lane off the board whenever the
API-wide limits allow a request, and sends **one** slice of it: so a slice exists only while it is
requested or waits for its retry, at most `concurrency` requests are under way, and memory doesn't grow
with the plan. All decisions are synchronous methods that get `now`; only the dispatcher awaits anything.
"""

from collector.fetch.backlog import Backlog
from collector.fetch.dispatcher import GAVE_WAY, RELOADED, STOPPED, Batches, Dispatcher
from collector.fetch.hosts import CLOCK
from collector.fetch.lane import Lane, lanes_of
from collector.fetch.limits import Limits, RateLimit

__all__ = [
    "CLOCK",
    "GAVE_WAY",
    "RELOADED",
    "STOPPED",
    "Backlog",
    "Batches",
    "Dispatcher",
    "Lane",
    "Limits",
    "RateLimit",
    "lanes_of",
]
