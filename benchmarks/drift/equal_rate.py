"""Every detector at the same rate of false alarms, or none of them can be told to be better."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.drift.episodes import Drift, Episode
from benchmarks.drift.families import Family
from benchmarks.drift.replay import Alarms, Counts, alarms, counted, raised

RATE: Final = 0.5
"""False alarms per 1,000 rows."""
_HALVINGS: Final = 6


@dataclass(frozen=True, slots=True)
class Bracket:
    """Two parameters with the rate between theirs, and how often the looser one is to be taken.

    A detector that draws one of both for each episode has that rate exactly, if it can be had.
    """

    looser: float
    stricter: float
    weight: float

    @property
    def parameter(self) -> float:
        """The one in between."""
        return math.exp(
            self.weight * math.log(self.looser) + (1 - self.weight) * math.log(self.stricter)
        )


def bracket(rate_of: Callable[[float], float], loose: float, strict: float) -> Bracket:
    """Look for the parameter that has `RATE`, by halves of the logarithm.

    >>> found = bracket(lambda parameter: 1_000 / parameter, loose=1, strict=10_000)
    >>> found.looser < 2_000 < found.stricter, 1_900 < found.parameter < 2_100
    (True, True)

    Where even one end is too strict, or too loose, it is that end.

    >>> bracket(lambda _: 0.1, 1, 10).parameter, bracket(lambda _: 0.9, 1, 10).parameter
    (1.0, 10.0)
    """
    rates: dict[float, float] = {}
    for _ in range(_HALVINGS):
        middle = math.sqrt(loose * strict)
        rates[middle] = rate_of(middle)
        loose, strict = (middle, strict) if rates[middle] > RATE else (loose, middle)
    above = rates[loose] if loose in rates else rate_of(loose)
    below = rates[strict] if strict in rates else rate_of(strict)
    if above <= RATE:
        return Bracket(loose, strict, 1.0)
    if below > RATE:
        return Bracket(loose, strict, 0.0)
    return Bracket(loose, strict, (RATE - below) / (above - below))


@dataclass(frozen=True, slots=True)
class AtRate:
    """What a detector does at `RATE` on one dataset: with the looser parameter, and the stricter.

    One of both has no alarms of any episode where its weight is nothing.
    """

    bracket: Bracket
    looser: Sequence[Alarms]
    stricter: Sequence[Alarms]

    def counts(self) -> dict[Drift, Counts]:
        """Count alarms over all episodes."""
        return self._mixed(self.looser, self.stricter)

    def by_episode(self) -> list[Counts]:
        """Count alarms over all drifts of an episode."""
        n = max(len(self.looser), len(self.stricter))
        mixed = (
            self._mixed(self.looser[at : at + 1], self.stricter[at : at + 1]) for at in range(n)
        )
        return [sum(each.values(), Counts()) for each in mixed]

    def _mixed(self, looser: Sequence[Alarms], stricter: Sequence[Alarms]) -> dict[Drift, Counts]:
        weight = self.bracket.weight
        these, those = counted(looser), counted(stricter)
        return {
            drift: these.get(drift, Counts()).times(weight)
            + those.get(drift, Counts()).times(1 - weight)
            for drift in these or those
        }

    @property
    def nearer(self) -> Sequence[Alarms]:
        """Those of the parameter that is taken more often."""
        return self.looser if self.bracket.weight > 0.5 else self.stricter


def at_rate(family: Family, some: Sequence[Episode], told: str) -> AtRate:
    """Find the parameter on these very episodes, which nobody could in life, and count with it."""
    found = bracket(
        lambda parameter: false_per_1000(family, parameter, some, told),
        family.loose,
        family.strict,
    )
    looser, stricter = (
        [alarms(family.of(parameter), each, told) for each in some] if weight else []
        for parameter, weight in (
            (found.looser, found.weight),
            (found.stricter, 1 - found.weight),
        )
    )
    return AtRate(found, looser, stricter)


def false_per_1000(family: Family, parameter: float, some: Sequence[Episode], told: str) -> float:
    """Count false alarms per 1,000 rows before the drifts."""
    n_false = n_rows = 0
    for each in some:
        values = getattr(each.before, told)
        n_rows += len(values)
        n_false += len(raised(family.make(parameter), values))
    return 1_000 * n_false / n_rows
