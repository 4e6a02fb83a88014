"""River's KSWIN, alarm for alarm, at a small part of its cost."""

import random
import warnings
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from functools import cache
from itertools import repeat
from operator import sub

from river import drift
from scipy import stats  # type: ignore[import-untyped]


class QuickKSWIN(drift.KSWIN):
    """Look up what River has computed for each value.

    The p-value of two samples of one size depends on their distance alone, and there are few
    distances. Which values are drawn follows from the seed and the number of tests since the last
    alarm, after which River begins with the seed again.

    Parameters
    ----------
    alpha, seed
        As River has them.

    Examples
    --------
    >>> quick, slow = QuickKSWIN(alpha=0.01, seed=3), drift.KSWIN(alpha=0.01, seed=3)
    >>> values = [(n * 0.618034 % 1.0) ** (1 + (n > 300)) for n in range(500)]
    >>> def alarms(detector):
    ...     for n, value in enumerate(values):
    ...         detector.update(value)
    ...         if detector.drift_detected:
    ...             yield n
    >>> list(alarms(quick)) == list(alarms(slow)) != []
    True
    """

    def __init__(self, alpha: float = 0.005, *, seed: int) -> None:
        super().__init__(alpha=alpha, seed=seed)
        self._draws = _draws(seed, self.window_size - self.stat_size, self.stat_size)

    def update(self, x: float) -> None:
        """Take in a value."""
        if self.drift_detected:
            self._reset()  # type: ignore[no-untyped-call]
        self.n += 1
        self.window.append(x)
        if self.n < self.window_size:
            return
        size = self.stat_size
        window = list(self.window)
        drawn = [window[at] for at in self._draws[self.n - self.window_size]]
        steps = _steps(drawn, window[-size:])
        self._drift_detected = _p_value(steps, size) <= self.alpha and steps / size > 0.1

    def __deepcopy__(self, memo: dict[int, object]) -> "QuickKSWIN":
        copy = QuickKSWIN(self.alpha, seed=self.seed or 0)
        copy.n = self.n
        copy.window = self.window.copy()
        copy._drift_detected = self._drift_detected
        return copy


class _Draws:
    """Which of the older values are drawn in each test."""

    def __init__(self, seed: int, n: int, size: int) -> None:
        self._rng = random.Random(seed)
        self._among = range(n)
        self._size = size
        self._known: list[bytes] = []

    def __getitem__(self, test: int) -> bytes:
        while test >= len(self._known):
            self._known.append(bytes(self._rng.sample(self._among, self._size)))
        return self._known[test]


_draws = cache(_Draws)


def _steps(first: Sequence[float], second: Sequence[float]) -> int:
    """Tell how far two distributions are apart at most, in values of which either has as many.

    The second is ahead most at one of its values, and behind most just before one.
    """
    others = repeat(sorted(first))
    second = sorted(second)
    ranks = range(len(second))
    ahead: int = max(map(sub, ranks, map(bisect_right, others, second))) + 1
    behind: int = max(map(sub, map(bisect_left, others, second), ranks))
    return max(ahead, behind)


@cache
def _p_value(steps: int, size: int) -> float:
    """Ask SciPy of two samples that are so far apart."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # as River does: the largest are estimated
        return float(stats.ks_2samp(range(size), range(steps, size + steps), method="auto").pvalue)
