"""What choosing a credential costs: one pick, told accepted and given back, from pools of two sizes."""

from __future__ import annotations

import random
import statistics
import time

from app.clock import SystemClock
from app.credential import Credential
from app.pool.choice import Wanted
from app.pool.pool import Pool
from app.secret import Secret

PICKS = 100_000
SIZES = (1, 1000)
WANTED = Wanted("m")


def main() -> None:
    print("\n### pick\n\n| credentials | p50 us | p99 us |\n| ---: | ---: | ---: |")
    for size in SIZES:
        took = sorted(picks(size))
        print(f"| {size} | {statistics.median(took):.1f} | {took[PICKS * 99 // 100]:.1f} |")


def picks(size: int) -> list[float]:
    """How long each pick took, in microseconds."""
    chance = random.Random(80)
    keys = [
        Credential(f"k{i}", Secret("x"), id=f"k{i}", weight=chance.choice([1, 1, 2, 5]))
        for i in range(size)
    ]
    pool, found = Pool({"p": keys}, SystemClock()), []
    for _ in range(PICKS):
        began = time.perf_counter()
        lease = pool.pick("p", WANTED)
        assert lease is not None
        lease.accepted()
        lease.give_back()
        found.append((time.perf_counter() - began) * 1e6)
    return found


if __name__ == "__main__":
    main()
