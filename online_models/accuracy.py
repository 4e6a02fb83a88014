"""Tell when a model has become worse than it was, by more than chance explains.

What is watched is ROC AUC, one positive at a time: the share of the latest negatives that a model
scored below a positive. Its mean is the ROC AUC, and it comes without a window, so that a deep fall
needs few labels and a small one many. Of models that name a class it is whether they were right, of
those that tell an amount how much closer than the mean they came (`online_models.tasks`).

A model is held against the best that it has kept up: the highest mean of a block of so many
positives, less one standard error, for the highest of many is a lucky one. Where a level begins is
a line below that best. A level is entered on evidence that the mean is below its line, and left on
evidence that it is above, each with the same promise on false alarms; what stands on the line
itself gives neither.
"""

from collections.abc import Mapping
from math import sqrt
from typing import Final

import msgspec

from online_models.change_evidence import ChangeEvidence
from online_models.levels import LEVELS, is_worse, next_level
from schemas.alerts import Level

DROPS: Final[Mapping[Level, float]] = {"warning": 0.05, "critical": 0.15}
"""Relative drop from the best at which a level begins, mildest first."""
NOTHING_LEFT: Final = 0.3
"""The drop at which a model whose answers are hardly better than chance knows nothing any more; of
such a model the lines are nearer. At 0.3 `critical` is half of what it knew."""
THRESHOLD: Final = 100.0
"""Positives until evidence is reached by chance, on average at the earliest, by a model that stands
on a line. One that stands on its best is far from any (`python -m benchmarks levels`)."""
DESIGN_EFFECT: Final = 3.0
"""How much larger the variance is than that of as many independent outcomes. Those of one visit
resemble each other: on the bundled shop data, windows of 1,000 outcomes vary 2.9 times as much."""
BLOCK: Final = 500
"""Positives whose mean may be the best; before so many, no model is called worse."""
KEPT: Final = 128
"""Negatives that a positive is held against, the latest."""
MIN_KEPT: Final = 30


class LevelChange(msgspec.Struct, frozen=True, array_like=True):
    """A model has entered another level."""

    level: Level
    before: Level
    value: float
    """Mean since the likely onset."""
    threshold: float
    """The line that was crossed."""
    best: float
    n: int
    """Positives since the likely onset; of classes and amounts, outcomes."""
    since: int
    """Time of the first of their events, ms since the epoch."""


class AccuracyWatch(msgspec.Struct, array_like=True):
    """Follows how good one model is.

    Memory is bounded.

    Examples
    --------
    >>> watch = AccuracyWatch()
    >>> for at in range(12_000):  # its scores tell something
    ...     watch.update(at % 10 == 0, (at * 7 % 11) / 22 + (at % 10 == 0) / 4, at)
    >>> watch.level, round(watch.best, 2)
    ('normal', 0.86)
    >>> for at in range(12_000, 15_000):  # and then nothing
    ...     watch.update(at % 10 == 0, (at * 7 % 11) / 22, at)
    >>> watch.level, watch.changed.since, round(watch.changed.threshold, 2)
    ('critical', 11990, 0.73)
    """

    level: Level = "normal"
    best: float | None = None
    """The best that was kept up; `None` before there is one."""
    changed: LevelChange | None = None
    """How it came to its present level."""
    negatives: list[float] = msgspec.field(default_factory=list)
    """Scores of the latest negatives; the oldest is the next to be overwritten."""
    n_negatives: int = 0
    n: int = 0
    """Numbers of the block that is being filled."""
    total: float = 0.0
    squares: float = 0.0
    below: list[ChangeEvidence] = msgspec.field(
        default_factory=lambda: [ChangeEvidence() for _ in DROPS]
    )
    """That the mean is below the line of each level."""
    above: ChangeEvidence = msgspec.field(default_factory=ChangeEvidence)
    """That it is above the line of the present one."""
    chance: float = 0.5
    """The mean of who knows nothing."""
    latest: float | None = None
    """How good the answer was that was judged last, from 0 to 1; `None`: a negative tells by
    itself nothing, and too few of them nothing of a positive."""

    def update(self, label: bool, score: float, at: int) -> None:
        """Take in a label, the score that was given before, and the time of its event (ms)."""
        self.latest = None
        if not label:
            self._remember(score)
        elif len(negatives := self.negatives) >= MIN_KEPT:
            below = sum(map(float(score).__gt__, negatives)) + negatives.count(score) / 2
            self.hold(below / len(negatives), at)

    def hold(self, share: float, at: int) -> None:
        """Take in how good an answer was, from 0 to 1, and the time of its event (ms)."""
        self.latest = share
        self._fill_block(share)
        if self.best is None:
            return
        lines = self.lines()
        for evidence, line in zip(self.below, lines, strict=True):
            evidence.update(line - share, at, share=1 / DESIGN_EFFECT)
        entered = sum(evidence.reaches(THRESHOLD) for evidence in self.below)
        rank = not_left = LEVELS.index(self.level)
        if rank:
            self.above.update(share - lines[rank - 1], at, share=1 / DESIGN_EFFECT)
            if self.above.reaches(THRESHOLD):
                not_left, entered = rank - 1, min(entered, rank - 1)
        level = next_level(self.level, entered=entered, not_left=not_left)
        if level != self.level:
            self._change(level, lines)

    def lines(self) -> list[float]:
        """Tell where each level begins, mildest first; without a best there are none.

        >>> [round(line, 3) for line in AccuracyWatch(best=0.8).lines()]
        [0.76, 0.68]
        >>> [round(line, 3) for line in AccuracyWatch(best=0.59).lines()]
        [0.575, 0.545]
        """
        if self.best is None:
            return []
        whole = min(self.best, (self.best - self.chance) / NOTHING_LEFT)
        return [self.best - drop * whole for drop in DROPS.values()]

    def _remember(self, score: float) -> None:
        if len(self.negatives) < KEPT:
            self.negatives.append(score)
        else:
            self.negatives[self.n_negatives % KEPT] = score
        self.n_negatives += 1

    def _fill_block(self, share: float) -> None:
        self.n += 1
        self.total += share
        self.squares += share * share
        if self.n < BLOCK:
            return
        mean = self.total / BLOCK
        variance = max(0.0, self.squares / BLOCK - mean * mean)
        kept_up = mean - sqrt(variance * DESIGN_EFFECT / BLOCK)
        self.n, self.total, self.squares = 0, 0.0, 0.0
        if kept_up > self.chance:
            self.best = kept_up if self.best is None else max(self.best, kept_up)

    def _change(self, level: Level, lines: list[float]) -> None:
        before, worsens = self.level, is_worse(level, than=self.level)
        line = lines[LEVELS.index(level if worsens else before) - 1]
        evidence = self.below[LEVELS.index(level) - 1] if worsens else self.above
        off = -evidence.mean if worsens else evidence.mean
        assert self.best is not None  # noqa: S101 - without it there are no levels
        self.level = level
        self.changed = LevelChange(
            *(level, before, line + off, line, self.best),
            n=evidence.n,
            since=evidence.since,
        )
        if not worsens:
            self.below[LEVELS.index(before) - 1].begin()
        self.above.begin()
