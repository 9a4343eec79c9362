"""What the service answers over HTTP: health, metrics, the status page and its JSON.

`site` is what it needs to know, `guard` who may see it, `server` the socket; all else turns
an `Observed` into text, purely. Nothing here ever asks the API or writes to the ledger.
"""

from collector.service.web.guard import Guarding
from collector.service.web.server import make_app, serving
from collector.service.web.site import Site

__all__ = ["Guarding", "Site", "make_app", "serving"]
