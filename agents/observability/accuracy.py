"""Tell when a model has become worse, by more than chance explains.

A model is held against the best it has kept up: a windowed ROC AUC that did not fall below some
value while a whole window of outcomes went by. A drop counts when the upper end of the confidence
interval of the present value is below the line, so fifty labels raise no alarm; a level is left
again halfway between its line and the best, so that it does not flap.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Final, NamedTuple

from schemas.alerts import Level

DROPS: Final[Mapping[Level, float]] = {"warning": 0.05, "critical": 0.15}
"""Relative drop from the best at which a level begins, mildest first."""
LEVELS: Final[tuple[Level, ...]] = ("normal", *DROPS)
CONFIDENCE_Z: Final = 3.0
"""Standard errors. Every reading is a chance to be wrong, and the best is itself a lucky draw."""
DESIGN_EFFECT: Final = 3.0
"""How much larger the variance is than that of as many independent outcomes. Those of one visit
resemble each other: on the bundled shop data, windows of 1,000 outcomes vary 2.9 times as much."""
MIN_PER_LABEL: Final = 30
"""Fewer positives or negatives in the window say nothing; the interval below is asymptotic."""


class Reading(NamedTuple):
    """The windowed accuracy of one model."""

    roc_auc: float
    positives: int
    negatives: int
    """Outcomes in the window, by label."""
    evaluated: int
    """Outcomes since the model's first."""


@dataclass(frozen=True, slots=True)
class LevelChange:
    """A model's accuracy has entered another level."""

    level: Level
    before: Level
    roc_auc: float
    upper: float
    """Upper end of its confidence interval."""
    best: float
    """The best that was kept up for a whole window."""
    threshold: float
    """The line that was crossed."""


def roc_auc_error(roc_auc: float, positives: int, negatives: int) -> float:
    """Estimate the standard error of a ROC AUC of independent outcomes (Hanley and McNeil, 1982).

    >>> roc_auc_error(0.75, positives=100, negatives=900)
    0.0290...
    >>> roc_auc_error(0.75, positives=5, negatives=45)
    0.131...
    """
    a = roc_auc
    one_positive_two_negatives = a / (2 - a) - a * a
    two_positives_one_negative = 2 * a * a / (1 + a) - a * a
    variance = a * (1 - a)
    variance += (positives - 1) * one_positive_two_negatives
    variance += (negatives - 1) * two_positives_one_negative
    return sqrt(variance / (positives * negatives))


class AccuracyWatch:
    """Follows the windowed ROC AUC of one model.

    Memory is bounded by the readings that arrive while one window of outcomes goes by; readings
    without a new outcome are skipped, and fewer outcomes than before mean that the model has begun
    anew: its level stays until it earns another, its best is forgotten.

    Parameters
    ----------
    design_effect
        1 for independent outcomes.

    Examples
    --------
    >>> watch = AccuracyWatch(design_effect=1.0)
    >>> for evaluated in range(1_000, 3_001, 100):
    ...     change = watch.update(Reading(0.80, 500, 500, evaluated))
    >>> change, watch.best
    (None, 0.8)
    >>> change = watch.update(Reading(0.70, 500, 500, 3_100))
    >>> change.before, change.level, change.threshold
    ('normal', 'warning', 0.76)
    """

    def __init__(self, design_effect: float = DESIGN_EFFECT) -> None:
        self._z = CONFIDENCE_Z * sqrt(design_effect)
        self.level: Level = "normal"
        self.best: float | None = None
        """The highest value kept up for a whole window; `None` until there is one."""
        self._recent: deque[tuple[int, float]] = deque()
        """(evaluated, ROC AUC) over the last window; holds what the minimum may become."""
        self._first: int | None = None
        self._evaluated = 0

    def update(self, reading: Reading) -> LevelChange | None:
        """Take a reading in; tell when it leads to another level."""
        if reading.evaluated < self._evaluated:
            self._begin_anew()
        if reading.evaluated <= self._evaluated:
            return None
        self._evaluated = reading.evaluated
        if min(reading.positives, reading.negatives) < MIN_PER_LABEL:
            return None
        self._sustain(reading)
        if self.best is None:
            return None

        error = roc_auc_error(reading.roc_auc, reading.positives, reading.negatives)
        upper = min(1.0, reading.roc_auc + self._z * error)
        entered = _rank(upper, self.best, share_of_drop=1.0)
        not_left = _rank(reading.roc_auc, self.best, share_of_drop=0.5)
        before, rank = self.level, LEVELS.index(self.level)
        self.level = LEVELS[max(entered, min(rank, not_left))]
        if self.level == before:
            return None
        worsens = LEVELS.index(self.level) > rank
        drop = DROPS[self.level] if worsens else DROPS[before] / 2
        return LevelChange(
            self.level, before, reading.roc_auc, upper, self.best, self.best * (1 - drop)
        )

    def _begin_anew(self) -> None:
        """Forget a model that was replaced by one that has learned less: another lineage."""
        self.best = self._first = None
        self._recent.clear()
        self._evaluated = 0

    def _sustain(self, reading: Reading) -> None:
        """Raise the best to the minimum over the last window, once a window has gone by."""
        if self._first is None:
            self._first = reading.evaluated
        window = reading.positives + reading.negatives
        recent = self._recent
        while recent and recent[-1][1] >= reading.roc_auc:
            recent.pop()
        recent.append((reading.evaluated, reading.roc_auc))
        while recent[0][0] <= reading.evaluated - window:
            recent.popleft()
        if reading.evaluated - self._first >= window:
            self.best = max(self.best or 0.0, recent[0][1])


def _rank(roc_auc: float, best: float, share_of_drop: float) -> int:
    return sum(roc_auc < best * (1 - share_of_drop * drop) for drop in DROPS.values())
