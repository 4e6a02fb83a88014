"""Whether values are still what they were: PSI and KS, held against what chance alone does to them.

The usual limits of the population stability index, .1 and .2, know nothing of how many values there
were: of fifty it exceeds .1 nearly always, and of a million it never does although all has changed.
Without a change it is distributed as chi-squared times (1/n + 1/m) (Yurdakul, 2018), and the
distance of Kolmogorov and Smirnov as these two found. Here n and m are users, not values
(`Sketch.effective_n`).
"""

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from online_models.sketch import Sketch

BINS: Final = 8
"""As many as fifty users can fill."""
MIN_USERS: Final = 50
"""Fewer on either side say nothing."""

Name = TypeVar("Name", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Comparison:
    """How far two samples differ, and how probable that is if nothing changed."""

    psi: float
    psi_by_chance: float
    """Its mean without a change."""
    psi_p: float
    ks: float
    ks_p: float
    n_reference: float
    """Effective."""
    n_recent: float

    @property
    def p(self) -> float:
        """Probability of what is as improbable by either measure (Bonferroni)."""
        return min(1.0, 2.0 * min(self.psi_p, self.ks_p))

    @property
    def moved(self) -> float:
        """What of the PSI is not chance; 0 and more."""
        return max(0.0, self.psi - self.psi_by_chance)


def compare(reference: Sketch, recent: Sketch) -> Comparison | None:
    """Hold recent values against those of the reference; `None`: of too few users.

    >>> reference = Sketch.of({cell: 100 for cell in range(16)}, squares=1_600)
    >>> same = compare(reference, Sketch.of({cell: 10 for cell in range(16)}, squares=160))
    >>> other = compare(reference, Sketch.of({cell: 20 for cell in range(8)}, squares=160))
    >>> same.p, other.p < 1e-9, round(other.ks, 2)
    (1.0, True, 0.5)
    >>> compare(reference, Sketch.of({0: 9}, squares=9)) is None
    True
    """
    n, m = reference.effective_n, recent.effective_n
    if min(n, m) < MIN_USERS:
        return None
    # A quarter of a second, which who has not yet read anything does not wait for.
    from scipy.special import chdtrc, kolmogorov  # type: ignore[import-untyped]  # noqa: PLC0415

    level = max(reference.level, recent.level)
    before, now = reference.at(level), recent.at(level)
    psi, n_bins = _psi(before, now, n, m)
    noise = 1.0 / n + 1.0 / m
    ks = _largest_distance(before, now)
    degrees = n_bins - 1
    return Comparison(
        psi=psi,
        psi_by_chance=degrees * noise,
        psi_p=float(chdtrc(degrees, psi / noise)) if degrees else 1.0,
        ks=ks,
        ks_p=float(kolmogorov(ks / math.sqrt(noise))),
        n_reference=n,
        n_recent=m,
    )


def holm(probabilities: Mapping[Name, float]) -> dict[Name, float]:
    """Correct for having asked of each: that any is false is then as improbable as it says (Holm).

    >>> holm({"a": 0.01, "b": 0.04, "c": 0.03})
    {'a': 0.03, 'c': 0.06, 'b': 0.06}
    """
    corrected: dict[Name, float] = {}
    reached = 0.0
    for rank, name in enumerate(sorted(probabilities, key=probabilities.__getitem__)):
        reached = min(1.0, max(reached, (len(probabilities) - rank) * probabilities[name]))
        corrected[name] = reached
    return corrected


def _psi(
    before: Mapping[int, int], now: Mapping[int, int], n: float, m: float
) -> tuple[float, int]:
    """Give the index over bins that hold about as much of the reference each, and their number."""
    n_before, n_now = sum(before.values()), sum(now.values())
    bins: list[tuple[int, int]] = []
    in_bin = of_now = 0
    for cell in sorted(before.keys() | now.keys()):
        was = before.get(cell, 0)
        # What is a bin of its own, such as all the zeros, does not hide what lies beside it.
        if was * BINS >= n_before and (in_bin or of_now):
            bins.append((in_bin, of_now))
            in_bin = of_now = 0
        in_bin += was
        of_now += now.get(cell, 0)
        if in_bin * BINS >= n_before:
            bins.append((in_bin, of_now))
            in_bin = of_now = 0
    if in_bin or of_now:
        bins.append((in_bin, of_now))
    psi, more = 0.0, 1.0 / min(n, m)
    for was, is_now in bins:
        # Each bin gets a share more, which is one of the smaller side: an empty bin would be an
        # infinite surprise, and few values would surprise more often than they may.
        expected = (was / n_before + more) / (1.0 + more * len(bins))
        found = (is_now / n_now + more) / (1.0 + more * len(bins))
        psi += (found - expected) * math.log(found / expected)
    return psi, len(bins)


def _largest_distance(before: Mapping[int, int], now: Mapping[int, int]) -> float:
    """Tell the largest difference of the shares that are not above a cell's end."""
    n_before, n_now = sum(before.values()), sum(now.values())
    at_before = at_now = 0
    largest = 0.0
    for cell in sorted(before.keys() | now.keys()):
        at_before += before.get(cell, 0)
        at_now += now.get(cell, 0)
        largest = max(largest, abs(at_before / n_before - at_now / n_now))
    return largest
