"""The world: HTTP, clocks, files, terminals. Adapters translate and decide nothing."""
