from __future__ import annotations
import sys
from tests.simulation.run import run_seed
import time

lo, hi = int(sys.argv[1]), int(sys.argv[2])
t = time.time()
from collections import Counter

c = Counter()
for s in range(lo, hi):
    v = run_seed(s, echo=print if len(sys.argv) > 3 else None)
    c[v.broken] += 1
    if v.broken:
        print("seed", s, v.broken, v.message[:600])
print(c, (time.time() - t) / (hi - lo))
