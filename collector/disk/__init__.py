"""Files and directories on real file systems, for the ledger and the output alike."""
