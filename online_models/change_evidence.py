"""Evidence that numbers have come to be above 0 on average, whenever that began.

Bets on the sign are placed on each number, so that what they own grows by itself only if the mean
is above 0; who is left with less than one unit begins again with one. What such bets own is, while
the mean of each number is 0 or less, on average no more than the units they were given, of which
there are no more than numbers. So a threshold of A is reached by chance after A numbers on average
at the earliest, whatever their distribution (e-detectors: Shin, Ramdas & Rinaldo 2024).

Numbers that come in groups, each group telling one thing again and again, are counted in part: of
groups of up to k, by 1/k each. By the inequality of Hoelder the promise then holds, in numbers,
however the numbers of a group depend on each other.
"""

import math
from typing import Final

import msgspec

_SLOPES: Final[tuple[float, ...]] = (0.96, 0.48, 0.24, 0.12, 0.06)
"""Shares of what they own that the bets stake."""
MOST: Final = 10_000.0
"""What a bet owns at most: the highest threshold. What is more is given away, or evidence of long
ago would outweigh what speaks against it now."""
_MOST_LOG: Final = math.log(MOST)
_ENOUGH_LOG: Final = math.log(len(_SLOPES))
"""One who owns so much has enough for all of them."""


class ChangeEvidence(msgspec.Struct, array_like=True):
    """What speaks for a mean above 0 since the likely onset.

    Examples
    --------
    >>> evidence = ChangeEvidence()
    >>> for at in range(1_000):
    ...     evidence.update(-0.2 if at % 2 else 0.1, at)
    >>> evidence.reaches(1_000)
    False
    >>> for at in range(1_000, 1_100):
    ...     evidence.update(-0.1 if at % 2 else 0.4, at)
    >>> evidence.reaches(1_000), evidence.since, round(evidence.mean, 2)
    (True, 1000, 0.15)
    """

    logs: list[float] = msgspec.field(default_factory=lambda: [0.0] * len(_SLOPES))
    """What each bet owns, as a logarithm."""
    n: int = 0
    """Numbers since the likely onset."""
    total: float = 0.0
    since: int = -1
    """When the first of them came, as `update` was told."""

    def update(self, x: float, at: int, *, share: float = 1.0) -> None:
        """Take in a number from -1 to 1.

        Parameters
        ----------
        share
            What part of it counts: 1/k where groups of k tell one thing.
        """
        if self.n == 0:
            self.since = at
        self.n += 1
        self.total += x
        logs = self.logs
        for i, slope in enumerate(_SLOPES):
            logs[i] = min(logs[i] + share * math.log1p(slope * x), _MOST_LOG)
        most = max(logs)
        if most <= 0.0 or (most < _ENOUGH_LOG and self.log < 0.0):
            self.begin()

    def begin(self) -> None:
        """Forget what was."""
        self.logs = [0.0] * len(_SLOPES)
        self.n, self.total, self.since = 0, 0.0, -1

    @property
    def log(self) -> float:
        """What the bets own together, as a natural logarithm."""
        most = max(self.logs)
        return most + math.log(
            math.fsum(math.exp(each - most) for each in self.logs) / len(_SLOPES)
        )

    @property
    def mean(self) -> float:
        """Mean of the numbers since the likely onset; 0 without any."""
        return self.total / self.n if self.n else 0.0

    def reaches(self, threshold: float) -> bool:
        """Tell whether it is enough for one false alarm in so many numbers."""
        least = math.log(threshold)
        return max(self.logs) >= least and self.log >= least
