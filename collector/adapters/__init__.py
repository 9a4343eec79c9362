"""Adapters to the outside: HTTP, clocks, files, terminals. They translate and decide nothing."""
