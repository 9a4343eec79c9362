"""The long-running side: when runs happen, what config holds, what operators see.

Theory of operation. One loop (`loop`) does one thing at a time: it waits for the next run's
time, for a changed config, or for the end; and it runs. A run here is the very run that
`collect` makes, opened and closed each time, so what is true of the CronJob is true of the
service. Everything that people and Prometheus look at is a value (`view`) that the loop and
a reader of the ledger keep up to date; the pages only render it and never ask the API.
"""
