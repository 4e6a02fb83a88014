"""What scores are worth: the share of positives among outcomes that were scored so.

Of outcomes by bins of their score a monotone curve is fitted (isotonic regression by pooling
adjacent violators; Ayer et al. 1955, Zadrozny & Elkan 2002). Older outcomes count less and less,
since models learn and the world goes on.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from math import log, log1p
from typing import Final

_BINS_PER_LOGIT: Final = 8
_LARGEST_LOGIT: Final = 8.0
_EPSILON: Final = 1e-15
_RESCALE: Final = 1e12


@dataclass(frozen=True, slots=True)
class Calibration:
    """A monotone curve from scores to probabilities, in steps."""

    edges: Sequence[float]
    """Where a step begins, in logits, ascending; the first one begins at the left end."""
    shares: Sequence[float]
    """What each step is worth, one more than there are edges, ascending."""

    def __call__(self, score: float) -> float:
        """Tell the probability of a positive that was scored so."""
        return self.shares[bisect_right(self.edges, _logit(score))]


class Reliability:
    """Outcomes by their score, of which a calibration can be made.

    Parameters
    ----------
    half_life
        An outcome counts half as much when so many have come after it.

    Examples
    --------
    Every score of .2 and .4 turned out positive half as often as it says:

    >>> reliability = Reliability()
    >>> for n in range(100):
    ...     reliability.update(n % 10 == 0, 0.2)
    ...     reliability.update(n % 5 == 0, 0.4)
    >>> calibrated = reliability.calibration()
    >>> round(calibrated(0.2), 2), round(calibrated(0.4), 2), reliability.n
    (0.1, 0.2, 200)
    """

    def __init__(self, *, half_life: float = 5_000.0) -> None:
        self.n = 0
        """Outcomes that were counted."""
        self._growth = 2.0 ** (1.0 / half_life)
        self._weight = 1.0
        self._positives: dict[int, float] = {}
        self._all: dict[int, float] = {}

    def update(self, label: bool, score: float, weight: float = 1.0) -> None:
        """Count an outcome and the score it was given beforehand.

        `weight` says how many outcomes it stands for.
        """
        bin_ = round(_logit(score) * _BINS_PER_LOGIT)
        amount = self._weight * weight
        self._all[bin_] = self._all.get(bin_, 0.0) + amount
        if label:
            self._positives[bin_] = self._positives.get(bin_, 0.0) + amount
        self._weight *= self._growth
        self.n += 1
        if self._weight > _RESCALE:
            self._rescale()

    def calibration(self) -> Calibration:
        """Fit the curve.

        Raises
        ------
        ValueError
            There was no outcome yet.
        """
        if not self._all:
            raise ValueError("nothing to calibrate with: no outcome was counted")
        bins = sorted(self._all)
        pools = pool_adjacent(
            [self._positives.get(bin_, 0.0) for bin_ in bins], [self._all[bin_] for bin_ in bins]
        )
        starts = [0]
        for _, size in pools[:-1]:
            starts.append(starts[-1] + size)
        # Between two bins with outcomes a step begins half way.
        edges = [(bins[at - 1] + bins[at]) / (2 * _BINS_PER_LOGIT) for at in starts[1:]]
        return Calibration(edges, [share for share, _ in pools])

    def _rescale(self) -> None:
        for counts in (self._all, self._positives):
            for bin_ in counts:
                counts[bin_] /= self._weight
        self._weight = 1.0


def pool_adjacent(positives: Sequence[float], weights: Sequence[float]) -> list[tuple[float, int]]:
    """Fit shares that never fall from group to group, closest in weighted squares.

    Returns
    -------
    list
        The share of each pool, and how many groups are in it.

    Examples
    --------
    >>> pool_adjacent([1, 0, 3], [4, 4, 4])
    [(0.125, 2), (0.75, 1)]
    """
    pools: list[tuple[float, float, int]] = []
    for positive, weight in zip(positives, weights, strict=True):
        pool = (positive, weight, 1)
        while pools and pools[-1][0] * pool[1] >= pool[0] * pools[-1][1]:
            below = pools.pop()
            pool = (below[0] + pool[0], below[1] + pool[1], below[2] + pool[2])
        pools.append(pool)
    return [(positive / weight, size) for positive, weight, size in pools]


def _logit(score: float) -> float:
    p = min(max(score, _EPSILON), 1.0 - _EPSILON)
    return min(max(log(p) - log1p(-p), -_LARGEST_LOGIT), _LARGEST_LOGIT)
