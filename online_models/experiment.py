"""What an experiment says: a difference between two groups of users, with an interval.

Users are what was shuffled, so users are what is counted: the events of one resemble each other. A
figure is a ratio of sums over users (labels per outcome, loss per outcome), its variance by the
delta method (Deng et al., KDD 2018). The interval holds however often one looks: an asymptotic
confidence sequence (Waudby-Smith et al., Annals of Statistics 2024).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum, inf, log, sqrt
from typing import Final

TUNED_FOR: Final = 2_000
"""Users after which the interval is narrowest, compared with one that is looked at once."""
MIN_USERS: Final = 30
"""Fewer in a group say nothing: the interval is asymptotic."""


@dataclass(frozen=True, slots=True)
class Group:
    """A figure of one group: of each user a sum, and how many outcomes it is of."""

    sums: Sequence[float]
    counts: Sequence[float]

    @property
    def n(self) -> int:
        """Users."""
        return len(self.counts)

    @property
    def mean(self) -> float:
        """The figure per outcome; NaN without any."""
        n = sum(self.counts)
        return fsum(self.sums) / n if n else float("nan")

    @property
    def variance(self) -> float:
        """Of the mean, by the delta method; infinite with fewer than two users."""
        if self.n < 2:  # noqa: PLR2004  # a variance needs two
            return inf
        mean, per_user = self.mean, sum(self.counts) / self.n
        off = [
            (total - mean * count) / per_user
            for total, count in zip(self.sums, self.counts, strict=True)
        ]
        return fsum(each * each for each in off) / (self.n - 1) / self.n


@dataclass(frozen=True, slots=True)
class Effect:
    """How much more the candidate's users have of a figure than the control's."""

    control: float
    candidate: float
    low: float
    high: float
    """Ends of the interval of the difference; infinite while there are too few users."""

    @property
    def difference(self) -> float:
        """Candidate less control."""
        return self.candidate - self.control

    @property
    def is_sure(self) -> bool:
        """Whether the interval leaves no doubt about the direction."""
        return self.low > 0 or self.high < 0


def effect(control: Group, candidate: Group, *, error: float = 0.05) -> Effect:
    """Compare two groups.

    Parameters
    ----------
    error
        Probability that the interval ever misses the truth, over all looks.

    Examples
    --------
    >>> control = Group([0, 1, 0, 0] * 500, [1] * 2_000)
    >>> candidate = Group([0, 1, 0, 1] * 500, [1] * 2_000)
    >>> found = effect(control, candidate)
    >>> found.difference, round(found.low, 2), round(found.high, 2), found.is_sure
    (0.25, 0.2, 0.3, True)
    """
    n = control.n + candidate.n
    half = inf
    if min(control.n, candidate.n) >= MIN_USERS:
        variance = n * (control.variance + candidate.variance)  # of one user's share in it
        half = sqrt(variance) * boundary(n, error)
    difference = candidate.mean - control.mean
    return Effect(control.mean, candidate.mean, difference - half, difference + half)


def boundary(n: int, error: float) -> float:
    """Give the half-width for a variance of one after n users, however often one looks."""
    rho2 = (-2 * log(error) + log(-2 * log(error)) + 1) / TUNED_FOR
    return sqrt(2 * (n * rho2 + 1) / (n * n * rho2) * log(sqrt(n * rho2 + 1) / error))
