"""The decisions: pure and synchronous. Knows no clock, no random, no I/O."""
