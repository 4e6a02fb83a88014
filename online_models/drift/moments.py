"""What is known of many numbers, and whether a few more are like them."""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

SURE: Final = 2.0
"""Standard errors that chance seldom goes beyond."""


class Moments(NamedTuple):
    """Sums over numbers that went by.

    >>> seen = Moments.of([n % 10 / 10 for n in range(1_000)])
    >>> seen.moved([0.4, 0.5] * 20) < 0.3 < seen.moved([0.8, 0.9, 1.0] * 20)
    True
    """

    n: int
    total: float
    distances: float
    """From the mean that there was by then."""
    squares: float

    @classmethod
    def of(cls, numbers: Sequence[float]) -> "Moments":
        """Sum numbers up."""
        total = sum(numbers)
        mean = total / max(1, len(numbers))
        return cls(
            len(numbers),
            total,
            sum(abs(x - mean) for x in numbers),
            sum(x * x for x in numbers),
        )

    def without(self, latest: Sequence[float]) -> "Moments":
        """Take the last numbers out again."""
        mean = self.total / max(1, self.n)  # not exact, since it moved; nor has it to be
        return Moments(
            self.n - len(latest),
            self.total - sum(latest),
            max(0.0, self.distances - sum(abs(x - mean) for x in latest)),
            self.squares - sum(x * x for x in latest),
        )

    def moved(self, latest: Sequence[float], *, errors: float = SURE) -> float:
        """Tell how far mean and mean distance of further numbers are from these.

        Parameters
        ----------
        errors
            Standard errors to take off, as chance may account for them.
        """
        n, k = self.n, len(latest)
        if n < 1 or k < 1:
            return 0.0
        mean, distance = self.total / n, self.distances / n
        variance = max(0.0, self.squares / n - mean * mean)
        error = errors * math.sqrt(1 / n + 1 / k)
        of_means = abs(sum(latest) / k - mean) - error * math.sqrt(variance)
        of_distances = abs(sum(abs(x - mean) for x in latest) / k - distance)
        of_distances -= error * math.sqrt(max(0.0, variance - distance * distance))
        return math.hypot(max(0.0, of_means), max(0.0, of_distances))


NO_MOMENTS: Final = Moments(0, 0.0, 0.0, 0.0)
