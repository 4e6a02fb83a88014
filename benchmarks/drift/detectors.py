"""Detectors under one interface: ours, River's as they come, and two that look at nothing."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from river import drift

from online_models.drift import RunLength, ScoreDrift

WARMUP_SCORES: Final = 100
_PERIOD: Final = 10_000


Detector = Callable[[float, int], bool]
"""Is told a score and its event time, and tells whether it raises an alarm; then it begins anew."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A detector with its name."""

    name: str
    make: Callable[[], Detector]
    promise: float | None = None
    """Scores to a false alarm."""
    is_slow: bool = False
    """Costs far more a score than others: it is given less to do."""


def ours(run_length: RunLength) -> Detector:
    """Make this project's detector."""
    detector = ScoreDrift(run_length, warmup_scores=WARMUP_SCORES)
    return lambda score, at_ms: detector.update(score, at_ms) is not None


def rivers(make: Callable[[], drift.ADWIN | drift.PageHinkley | drift.KSWIN]) -> Detector:
    """Make one of River's; it knows no time."""
    detector = make()

    def update(score: float, _: int) -> bool:
        detector.update(score)  # type: ignore[no-untyped-call]
        return bool(detector.drift_detected)

    return update


def periodic() -> Detector:
    """Raise an alarm each so many scores, whatever they are.

    >>> alarms = periodic()
    >>> sum(alarms(0.5, 0) for _ in range(25_000))
    2
    """
    n = 0

    def update(_score: float, _at_ms: int) -> bool:
        nonlocal n
        n += 1
        return n % _PERIOD == 0

    return update


def _never(_score: float, _at_ms: int) -> bool:
    return False


CANDIDATES: Final = (
    Candidate("bets, 1 per 10,000", lambda: ours(RunLength.scores(10_000)), promise=10_000),
    Candidate("bets, 1 per 100,000", lambda: ours(RunLength.scores(100_000)), promise=100_000),
    Candidate("ADWIN", lambda: rivers(drift.ADWIN)),
    Candidate("PageHinkley", lambda: rivers(drift.PageHinkley)),
    Candidate("KSWIN", lambda: rivers(lambda: drift.KSWIN(seed=1)), is_slow=True),
    Candidate(
        "KSWIN, alpha 0.0001", lambda: rivers(lambda: drift.KSWIN(0.0001, seed=1)), None, True
    ),
    Candidate("periodic, each 10,000", periodic, promise=_PERIOD),
    Candidate("never", lambda: _never),
)
