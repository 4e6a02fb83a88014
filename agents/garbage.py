"""When Python's garbage collector may stop a worker.

A full collection walks every object there is: with a few million of them it stops the process for
about 100 ms, and was the largest cause of the latency tail. What lives since the start is frozen
out of its sight, and full collections wait for quiet times. So do those of the middle generation,
where decoded state ends up by the hundred thousand. The young are collected often, for a collection
takes as long as they are many: the same work in smaller portions.
"""

import gc
import time
from typing import Final

from agents.observability.instruments import Histogram

YOUNG_THRESHOLD: Final = 5_000
"""Allocations between two collections of the youngest generation."""
NEVER: Final = 1_000_000
FULL_EVERY_S: Final = 60.0
FULL_AT_LAST_S: Final = 900.0
"""A worker that is never idle stops for a full collection after so long."""


class GarbagePolicy:
    """Collects when told that nothing is going on.

    Parameters
    ----------
    pauses
        Told how long each collection took.
    """

    def __init__(self, pauses: Histogram) -> None:
        self._pauses = pauses
        self._started_at = 0.0
        self._collected_at = time.monotonic()

    def begin(self) -> None:
        """Freeze what the start has made, and take over."""
        gc.collect()
        gc.freeze()
        gc.set_threshold(YOUNG_THRESHOLD, NEVER, NEVER)
        gc.callbacks.append(self._measure)

    def collect_if_due(self, *, idle: bool) -> None:
        """Run a full collection when it is due and the worker has nothing to do."""
        waited_s = time.monotonic() - self._collected_at
        if (idle and waited_s > FULL_EVERY_S) or waited_s > FULL_AT_LAST_S:
            gc.collect()
            self._collected_at = time.monotonic()

    def _measure(self, phase: str, _: dict[str, int]) -> None:
        if phase == "start":
            self._started_at = time.perf_counter()
        else:
            self._pauses.observe(time.perf_counter() - self._started_at)
