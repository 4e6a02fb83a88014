"""How far a consumer group is behind in one partition: in records, and in seconds.

Offsets alone overstate it. Where transactions write, their markers take offsets that no reader
ever sees, so a reader that has everything still "lags" by one or more records for ever. When a lag
stands still, somebody has to look for real records: `agents.observability.lag_reader` does.
"""

from bisect import bisect_right
from typing import Final, NamedTuple

HISTORY: Final = 512
"""Remembered growth steps of a partition; beyond it, every second one is forgotten."""


class Lag(NamedTuple):
    """What is waiting."""

    records: int
    seconds: float
    """How long the oldest of it has been waiting."""


class PartitionLag:
    """Tells one group's lag in one partition from repeated looks at its offsets.

    The waiting time is exact to the interval between looks; what waited before the first look
    counts from then on, until `found` says better. Memory is bounded by `HISTORY`.

    Examples
    --------
    >>> lag = PartitionLag()
    >>> lag.observe(at_ms=0, committed=7, end=7)
    Lag(records=0, seconds=0.0)
    >>> lag.observe(at_ms=1_000, committed=7, end=9)
    Lag(records=2, seconds=0.0)
    >>> lag.observe(at_ms=5_000, committed=7, end=12)
    Lag(records=5, seconds=4.0)
    >>> lag.observe(at_ms=6_000, committed=9, end=12)
    Lag(records=3, seconds=1.0)

    The last three turn out to be markers of transactions:

    >>> lag.observe(at_ms=7_000, committed=9, end=12), lag.wants_look
    (Lag(records=3, seconds=2.0), True)
    >>> lag.found_nothing_before(12)
    >>> lag.observe(at_ms=8_000, committed=9, end=12), lag.wants_look
    (Lag(records=0, seconds=0.0), False)
    """

    def __init__(self) -> None:
        self._growth: list[tuple[int, int]] = []
        """When (ms) the end was first seen at an offset that is not yet committed."""
        self._empty_before = 0
        self._seen = (-1, -1)
        self._looked_at = (-1, -1)
        self.wants_look = False
        """The lag stands still, and nobody has looked yet whether it is real."""

    def observe(self, at_ms: int, committed: int, end: int) -> Lag:
        """Take in the group's next offset and the partition's end; tell the lag.

        Parameters
        ----------
        at_ms
            When the offsets were read.
        committed
            The offset the group goes on at.
        end
            The offset after the last record that a reader may see.
        """
        if end < self._seen[1]:  # the topic was made anew
            self._growth.clear()
            self._empty_before = 0
        done = max(committed, self._empty_before)
        growth = self._growth
        if not growth or end > growth[-1][1]:
            growth.append((at_ms, end))
        del growth[: bisect_right(growth, done, key=lambda step: step[1])]
        if len(growth) > HISTORY:
            del growth[1:-1:2]

        self.wants_look = bool(growth) and (committed, end) == self._seen != self._looked_at
        self._seen = (committed, end)
        if not growth:
            return Lag(0, 0.0)
        return Lag(end - done, (at_ms - growth[0][0]) / 1000)

    def found_nothing_before(self, offset: int) -> None:
        """Learn from a look that no reader would see anything up to this offset."""
        self._looked_at = self._seen
        self._empty_before = offset

    def found(self, published_ms: int) -> None:
        """Learn from a look when the oldest waiting record was published."""
        self._looked_at = self._seen
        if self._growth and published_ms < self._growth[0][0]:
            self._growth[0] = (published_ms, self._growth[0][1])
