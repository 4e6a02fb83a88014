"""What a detector does in an episode, and what it comes to."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import astuple, dataclass
from typing import NamedTuple

from benchmarks.drift.detectors import Detector
from benchmarks.drift.episodes import MAX_DELAY, Drift, Episode


class Alarms(NamedTuple):
    """After which rows alarms were raised, counted from one: in all before, and since the drift."""

    before: Sequence[int]
    n_before: int
    after: Mapping[Drift, Sequence[int]]


def alarms(make: Callable[[], Detector], episode: Episode, told: str) -> Alarms:
    """Run one detector up to the drift, and copies of it through each that might follow.

    `told` is which of what could be told: `errors` or `scores`.
    """
    detector = make()
    values = getattr(episode.before, told)
    before = raised(detector, values)
    after = {
        drift: raised(deepcopy(detector), getattr(changed, told))
        for drift, changed in episode.after.items()
    }
    return Alarms(before, len(values), after)


def raised(detector: Detector, values: Iterable[float]) -> list[int]:
    """Tell after which values it raises alarms.

    >>> raised(lambda value, _: value > 1, [0.0, 2.0, 0.0, 2.0])
    [2, 4]
    """
    # These rows have no time: all of them are of one hour.
    return [at for at, value in enumerate(values, 1) if detector(value, 0)]


@dataclass(frozen=True, slots=True)
class Counts:
    """Alarms and drifts, over any number of episodes; fractions where two detectors are mixed.

    Each alarm from the start of a drift to `MAX_DELAY` rows after it is complete is a true one;
    each before, a false one.

    Examples
    --------
    >>> each = Counts(n_before=4_000, n_after=1_000, false=2, true=3, found=1, missed=1, delay=80)
    >>> each.f1, each.f1_of_alarms, each.recall, each.mean_delay
    (0.4, 0.667, 0.5, 80.0)
    >>> each.false_per_1000, each.per_1000, each.density
    (0.5, 1.0, 0.4)
    """

    n_before: float = 0.0
    n_after: float = 0.0
    false: float = 0.0
    true: float = 0.0
    found: float = 0.0
    """Drifts with a true alarm."""
    missed: float = 0.0
    """Drifts without."""
    delay: float = 0.0
    """Rows to the first true alarm, over all that were found."""

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    def times(self, weight: float) -> "Counts":
        """Count all so many times."""
        return Counts(*(weight * each for each in astuple(self)))

    @property
    def f1(self) -> float:
        """Of drifts: each that was found counts once, however many alarms told of it."""
        return 2 * self.found / (2 * self.found + self.false + self.missed)

    @property
    def f1_of_alarms(self) -> float:
        """As Cerqueira et al. have it: who tells of one drift five times found five."""
        return 2 * self.true / (2 * self.true + self.false + self.missed or 1)

    @property
    def recall(self) -> float:
        """Share of drifts that were found."""
        return self.found / (self.found + self.missed)

    @property
    def mean_delay(self) -> float:
        """Rows to the first true alarm, where there is one."""
        return self.delay / self.found if self.found else float("nan")

    @property
    def false_per_1000(self) -> float:
        """False alarms in 1,000 rows before a drift."""
        return 1_000 * self.false / self.n_before

    @property
    def per_1000(self) -> float:
        """Alarms in 1,000 rows of any kind."""
        return 1_000 * (self.false + self.true) / (self.n_before + self.n_after)

    @property
    def density(self) -> float:
        """Drifts in 1,000 rows: what F1 depends on, whoever detects."""
        return 1_000 * (self.found + self.missed) / (self.n_before + self.n_after)


def counted(some: Iterable[Alarms]) -> dict[Drift, Counts]:
    """Sum up episodes, drift by drift; what came before counts with each of them."""
    total: dict[Drift, Counts] = {}
    for each in some:
        for drift, after in each.after.items():
            counts = Counts(
                n_before=each.n_before,
                n_after=drift.width + MAX_DELAY,
                false=len(each.before),
                true=len(after),
                found=bool(after),
                missed=not after,
                delay=after[0] if after else 0,
            )
            total[drift] = total.get(drift, Counts()) + counts
    return total
