"""The simulated API: the usage report endpoint as its documents describe it, with faults on demand.

It is written from the API's documents alone. It imports nothing of the collector but its version, since
it is there to test the collector.
"""
