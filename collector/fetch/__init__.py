"""Which slice goes next, and when: lanes, limits, coming back after a failure.

Theory of operation. Each org has a *lane*: its plan, the slices that wait for another
try, its own limits, and what is known of its health. The *board* queues the lanes that
may send now, first come first served, and wakes the others when their time has come. The
*dispatcher* takes a lane off the board whenever the API-wide limits allow a request,
pulls **one** slice from it and sends it: so a slice exists only while it is asked or
waits for its retry, at most `concurrency` requests are under way, and memory doesn't grow
with the plan. All decisions are synchronous methods that get `now`; only the dispatcher
awaits anything.
"""

from collector.events import Event, SliceOutcome
from collector.fetch.dispatcher import RELOADED, STOPPED, Dispatcher, Limits, RateLimit

__all__ = ["RELOADED", "STOPPED", "Dispatcher", "Event", "Limits", "RateLimit", "SliceOutcome"]
