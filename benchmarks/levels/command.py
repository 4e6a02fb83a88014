"""`python -m benchmarks levels`: which statistic tells how soon that a model became worse.

Seeds are fixed: figures repeat. `--quick` takes a minute.
"""

import argparse
from collections.abc import Sequence
from math import inf
from typing import Final

import numpy as np

from benchmarks.levels.statistics import STATISTICS
from benchmarks.levels.streams import visits
from benchmarks.peers.report import table

BEST: Final = 0.78
FALLS: Final = (0.72, 0.66, 0.60, 0.55, 0.50, 0.22)
"""The last one is what becomes of 0.78 when all labels are turned round."""
BEFORE: Final = 30_000
AFTER: Final = 30_000
"""Outcomes before a fall, and after it."""
STABLE: Final = 100_000


def run(argv: Sequence[str]) -> int:
    """Measure, and print tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks levels", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer seeds")
    n_seeds = 6 if parser.parse_args(argv).quick else 40
    rows = []
    for name, follow in STATISTICS.items():
        row = {"statistic": name}
        changes = [
            list(follow(visits(np.random.default_rng(seed), STABLE, BEST)))
            for seed in range(n_seeds)
        ]
        millions = n_seeds * STABLE / 1e6
        for rank, level in ((1, "warnings"), (2, "criticals")):
            n = sum(_entered(each, rank) for each in changes)
            row[f"false {level} in a million"] = f"{n / millions:.2g}"
        for fall in FALLS:
            delays = []
            for seed in range(n_seeds):
                rng = np.random.default_rng((1, seed))
                stream = visits(rng, BEFORE, BEST).then(visits(rng, AFTER, fall))
                found = [at - BEFORE for at, rank in follow(stream) if rank == 2 and at >= BEFORE]
                delays.append(min(found, default=inf))
            delays.sort()
            middle, most = (delays[int(share * n_seeds)] for share in (0.5, 0.9))
            row[f"to {fall:.2f}"] = f"{_told(middle)} ({_told(most)})"
        rows.append(row)
    print(table({name: name for name in rows[0]}, rows))
    return 0


def _entered(changes: Sequence[tuple[int, int]], rank: int) -> int:
    """Count how often a level was entered from below."""
    before = 0
    n = 0
    for _, now in changes:
        n += before < rank <= now
        before = now
    return n


def _told(delay: float) -> str:
    return "never" if delay == inf else f"{delay:,.0f}"
