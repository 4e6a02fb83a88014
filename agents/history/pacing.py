"""An open loop's schedule: when each event is due, whatever became of those before it."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Schedule:
    """Events at a steady rate from a start time on.

    A closed loop waits for a slow system and so hides that it is slow; an open loop does not. What
    was late is made up for: after a stall all that has become due meanwhile is due at once.

    Parameters
    ----------
    rate
        Events a second; 0 makes all due at once.
    n
        How many events there are.

    Examples
    --------
    >>> schedule = Schedule(rate=500, n=1000)
    >>> schedule.due(elapsed_s=0.0), schedule.due(elapsed_s=0.1), schedule.due(elapsed_s=60)
    (1, 51, 1000)
    >>> schedule.due_at_s(50)
    0.1
    """

    rate: float
    n: int

    def due(self, elapsed_s: float) -> int:
        """Tell how many events are due by now."""
        if self.rate == 0:
            return self.n
        return min(self.n, math.floor(elapsed_s * self.rate) + 1)

    def due_at_s(self, index: int) -> float:
        """Tell when the event of that index is due, in seconds after the start."""
        return 0.0 if self.rate == 0 else index / self.rate
