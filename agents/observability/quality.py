"""Tell when data has become bad, by more than is tolerated and more than chance explains.

Each kind of finding in each field is a signal, and so are the score and the features that are
missing. A signal is a share with a tolerance; its level rises when the lower end of the share's
confidence interval is above the line, so that a few bad events among the first hundred raise no
alarm, and is left when the share itself is below half of that line, so that it does not flap.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Final, NamedTuple

from online_models.levels import is_worse, next_level
from schemas.alerts import Level
from streams.expectations import TOLERANCE, Expectation
from streams.quality import OF_FIELDS, RECORD, Finding, Tally

GOAL: Final = 0.95
"""The score that data should have."""
RECORD_TOLERANCE: Final = 0.05
"""Share of events that may be set aside for one reason, be duplicates, or late."""
LINES: Final[Mapping[Level, float]] = {"warning": 1.0, "critical": 10.0}
"""How many times as much as is tolerated is where a level begins, mildest first."""
CONFIDENCE_Z: Final = 3.0
"""Standard errors: each signal is looked at every second."""
MIN_EVENTS: Final = 200
"""Shares of fewer events are not judged."""
SCORE: Final = "score"
MISSING_FEATURES: Final = "missing_features"


class Signal(NamedTuple):
    """What is watched: a finding in a field, or a whole."""

    field: str
    finding: str

    def __str__(self) -> str:
        return self.finding if self.field == RECORD else f"{self.field}.{self.finding}"

    @classmethod
    def read(cls, text: str) -> "Signal":
        """Read what `str` wrote.

        >>> Signal.read("platform.null") == Signal("platform", "null")
        True
        >>> str(Signal.read("score"))
        'score'
        """
        field, _, finding = text.rpartition(".")
        return cls(field or RECORD, finding)


@dataclass(frozen=True, slots=True)
class Share:
    """How much of something is bad."""

    bad: int
    of: int
    events: int
    """On which that rests: the checks of one event fail together."""
    tolerance: float

    @property
    def rate(self) -> float:
        """The share; of nothing it is 0."""
        return self.bad / self.of if self.of else 0.0

    @property
    def lower(self) -> float:
        """The lower end of its confidence interval (Wilson, 1927).

        >>> round(Share(bad=10, of=100, events=100, tolerance=0.01).lower, 3)
        0.041
        """
        n, rate, z = self.events, self.rate, CONFIDENCE_Z
        if n == 0:
            return 0.0
        center = rate + z * z / (2 * n)
        margin = z * sqrt(rate * (1 - rate) / n + z * z / (4 * n * n))
        return max(0.0, (center - margin) / (1 + z * z / n))


@dataclass(frozen=True, slots=True)
class QualityChange:
    """A signal has entered another level."""

    signal: Signal
    level: Level
    before: Level
    share: Share
    line: float
    """The rate that was crossed."""


def shares(
    tally: Tally, expectations: Mapping[str, Expectation], n_features: int
) -> Iterator[tuple[Signal, Share]]:
    """Read every signal off a tally, the score first.

    Parameters
    ----------
    expectations
        By field.
    n_features
        How many features can be missing.
    """
    n_fields, n_events = len(expectations), tally.events
    failed, checks = tally.n_failed(n_fields), tally.n_checks(n_fields)
    yield Signal(RECORD, SCORE), Share(failed, checks, n_events, 1 - GOAL)
    if n_features:
        missing = sum(tally.missing.values())
        n_values = tally.served * n_features
        yield Signal(RECORD, MISSING_FEATURES), Share(missing, n_values, tally.served, TOLERANCE)
    for whole, n in ((Finding.DUPLICATE, tally.duplicates), (Finding.LATE, tally.late)):
        yield Signal(RECORD, whole), Share(n, n_events, n_events, RECORD_TOLERANCE)
    for (field, finding), n in tally.found.items():
        of = tally.checks.get(field, 0) if finding in OF_FIELDS else n_events
        yield Signal(field, finding), Share(n, of, of, tolerance_of(field, expectations))


def tolerance_of(field: str, expectations: Mapping[str, Expectation]) -> float:
    """Tell which share of one kind of finding in a field raises no alert."""
    expectation = expectations.get(field)
    return RECORD_TOLERANCE if expectation is None else expectation.tolerance


class QualityLevels:
    """Remembers the level of each signal; those that are normal cost nothing.

    >>> levels, tv = QualityLevels(), Signal("platform", "unknown_category")
    >>> [change] = levels.update([(tv, Share(90, 1_000, 1_000, tolerance=0.01))])
    >>> str(change.signal), change.before, change.level, change.line
    ('platform.unknown_category', 'normal', 'warning', 0.01)
    >>> levels.update([(tv, Share(6, 1_000, 1_000, tolerance=0.01))])
    []
    >>> [change] = levels.update([(tv, Share(4, 1_000, 1_000, tolerance=0.01))])
    >>> change.level, change.line
    ('normal', 0.005)
    """

    def __init__(self) -> None:
        self.raised: dict[Signal, Level] = {}
        """Signals above normal."""

    def update(self, readings: Iterable[tuple[Signal, Share]]) -> list[QualityChange]:
        """Take readings in; tell which lead to another level.

        A signal of which nothing is read any more stands at its level: read it with a share of 0.
        """
        changes = []
        for signal, share in readings:
            if share.events < MIN_EVENTS:
                continue
            before = self.raised.get(signal, "normal")
            level = next_level(
                before,
                entered=_rank(share.lower, share.tolerance),
                not_left=_rank(share.rate, share.tolerance / 2),
            )
            if level == before:
                continue
            factor = LINES[level] if is_worse(level, than=before) else LINES[before] / 2
            changes.append(QualityChange(signal, level, before, share, share.tolerance * factor))
            if level == "normal":
                del self.raised[signal]
            else:
                self.raised[signal] = level
        return changes


def _rank(rate: float, tolerance: float) -> int:
    return sum(rate > tolerance * factor for factor in LINES.values())
