"""What the service answers over HTTP: health, metrics, the status page and its JSON.

`site` is what it needs to know, `guard` who may see it, `server` the socket; all else turns
an `Observed` into text, purely. Nothing here ever calls the API or writes to the ledger.
"""
