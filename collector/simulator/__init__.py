"""The simulated API: the usage report endpoint as its documents say, with faults on demand.

Owns an implementation of its own, built from the API's documents alone. Never imports
what it is there to test: nothing of the collector but its version.
"""
