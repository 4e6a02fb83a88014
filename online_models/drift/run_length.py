"""How long a detector should run until it raises a false alarm."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

_HOUR: Final = timedelta(hours=1)
_MS_PER_HOUR: Final = 3_600_000
_LONGEST_PAUSE: Final = 24.0
"""Hours that one pause counts at most, else the first score after a long one had the whole budget
to bet. Counting less makes alarms rarer, never more frequent."""


@dataclass(frozen=True, slots=True)
class RunLength:
    """An average number of scores, or of hours of event time, between false alarms.

    >>> RunLength.scores(100_000).step(gap_ms=60_000)
    1.0
    >>> month = RunLength.time(timedelta(days=30))
    >>> month.amount, month.step(gap_ms=1_800_000), month.step(gap_ms=10**9)
    (720.0, 0.5, 24.0)
    """

    amount: float
    in_time: bool

    @classmethod
    def scores(cls, n: float) -> "RunLength":
        """So many watched scores."""
        return cls(n, in_time=False)

    @classmethod
    def time(cls, span: timedelta) -> "RunLength":
        """So much event time, whatever the traffic."""
        return cls(span / _HOUR, in_time=True)

    def times(self, factor: float) -> "RunLength":
        """Tell a multiple: detectors that share a budget run longer each.

        >>> RunLength.scores(1_000).times(2)
        RunLength(amount=2000, in_time=False)
        """
        return RunLength(self.amount * factor, self.in_time)

    def step(self, gap_ms: int) -> float:
        """Tell what a score counts that comes so long after the one before."""
        if not self.in_time:
            return 1.0
        return min(max(0, gap_ms) / _MS_PER_HOUR, _LONGEST_PAUSE)
