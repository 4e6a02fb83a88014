"""Is the promise on false alarms kept? A detector's own past, drawn anew, with nothing changed.

Whole days are drawn, or runs of them: within a run scores depend on each other as they did, and
from run to run on nothing. What is drawn so has no change in it, so that each alarm is a false one.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from scipy.special import pdtrc  # type: ignore[import-untyped]

from online_models.drift.detector import ScoreDrift
from online_models.drift.run_length import RunLength

DAY_MS: Final = 86_400_000
ENOUGH_PROMISED: Final = 30.0
"""False alarms that the promise allows for, by when no more is drawn."""
_TELL_EVERY: Final = 1_000
_SURE: Final = 0.01
_FEWEST_PROMISED: Final = 5.0
"""With fewer, a promise that is broken twofold might not be seen."""


class Scored(NamedTuple):
    """A score that is watched."""

    score: float
    at_ms: int
    partition: int


class Kept(NamedTuple):
    """What came of drawing runs of so many days."""

    length: int
    scores: int
    promised: float
    """False alarms that are allowed in what went by, at most; warm-ups do not count."""
    alarms: int

    @property
    def p(self) -> float:
        """Probability of so many alarms, or more, if the promise is kept (Poisson)."""
        return float(pdtrc(self.alarms - 1, self.promised)) if self.alarms else 1.0

    @property
    def verdict(self) -> str:
        """Say what it means.

        >>> Kept(1, 9_000, 30.0, 33).verdict, Kept(7, 9_000, 30.0, 90).verdict
        ('kept', 'broken')
        >>> Kept(1, 900, 0.3, 0).verdict, Kept(1, 900, 0.3, 9).verdict
        ('too little to say', 'broken')
        """
        if self.p < _SURE:
            return "broken"
        return "kept" if self.promised >= _FEWEST_PROMISED else "too little to say"


def check(
    days: Sequence[Sequence[Scored]],
    length: int,
    run_length: RunLength,
    *,
    warmup_scores: int,
    most_scores: int,
    seed: int,
    report: Callable[[int, int], None] = lambda _done, _of: None,
) -> Kept:
    """Draw runs of days, give them to a detector of each partition, and count the alarms.

    Parameters
    ----------
    days
        The past, day by day, each in the order of time.
    length
        Of a run, in days; at most as many as there are.
    run_length
        What each partition's detector promises.
    most_scores
        Draw no more, be it enough or not.
    report
        Called now and then with how much is drawn, and how much will be at most.

    Examples
    --------
    >>> rng = random.Random(1)
    >>> steady = [
    ...     [Scored(rng.random(), day * DAY_MS + n, n % 2) for n in range(100)] for day in range(30)
    ... ]
    >>> policy = RunLength.scores(500)
    >>> kept = check(steady, 7, policy, warmup_scores=50, most_scores=20_000, seed=2)
    >>> kept.alarms <= 1.5 * kept.promised, kept.verdict
    (True, 'kept')
    """
    drifts: dict[int, ScoreDrift] = {}
    last_ms: dict[int, int] = {}
    n = alarms = 0
    owed = 0.0
    rng = random.Random(seed)  # noqa: S311  # no secret hangs on it
    for each in _drawn(days, length, rng):
        if n >= most_scores or owed >= ENOUGH_PROMISED * run_length.amount:
            break
        if n % _TELL_EVERY == 0:
            report(n, most_scores)
        n += 1
        drift = drifts.get(each.partition)
        if drift is None:
            drift = drifts[each.partition] = ScoreDrift(run_length, warmup_scores=warmup_scores)
        elif drift.n >= warmup_scores:
            owed += run_length.step(each.at_ms - last_ms[each.partition])
        last_ms[each.partition] = each.at_ms
        alarms += drift.update(each.score, each.at_ms) is not None
    report(most_scores, most_scores)
    return Kept(length, n, owed / run_length.amount, alarms)


def _drawn(days: Sequence[Sequence[Scored]], length: int, rng: random.Random) -> Iterator[Scored]:
    """Put runs of days one after the other, for ever."""
    today = 0
    while any(days):
        first = rng.randrange(len(days) - length + 1)
        for day in days[first : first + length]:
            for each in day:
                yield each._replace(at_ms=today * DAY_MS + each.at_ms % DAY_MS)
            today += 1
