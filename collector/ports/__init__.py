"""What the inside needs of the world, as Protocols: adapters fit them, tests fake them.

Owns the shapes only. Elapsed time is not here: it is that of asyncio's own loop clock, which
tests replace as a whole.
"""

from collector.ports.ledger import Ledger
from collector.ports.output import Along, Place, RecoveredFile, SealedFile, Sink
from collector.ports.world import Clock, Offload, Transport

__all__ = ["Along", "Clock", "Ledger", "Offload", "Place", "RecoveredFile", "SealedFile", "Sink", "Transport"]
