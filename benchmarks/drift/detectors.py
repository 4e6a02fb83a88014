"""Detectors under one interface: ours, River's as they come, and two that look at nothing."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from river import drift

from benchmarks.drift.quick_kswin import QuickKSWIN
from online_models.drift import RunLength, ScoreDrift

WARMUP_SCORES: Final = 100
_PERIOD: Final = 10_000


Detector = Callable[[float, int], bool]
"""Is told a score and its event time, and tells whether it raises an alarm; then it begins anew.
A deep copy goes on from where it is."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A detector with its name."""

    name: str
    make: Callable[[], Detector]
    promise: float | None = None
    """Scores to a false alarm."""


class _Ours:
    def __init__(self, run_length: RunLength, detector: ScoreDrift | None = None) -> None:
        self._run_length = run_length
        self._detector = detector or ScoreDrift(run_length, warmup_scores=WARMUP_SCORES)

    def __call__(self, score: float, at_ms: int) -> bool:
        return self._detector.update(score, at_ms) is not None

    def __deepcopy__(self, _: dict[int, Any]) -> "_Ours":
        state = self._detector.encode()
        run_length = self._run_length
        detector = ScoreDrift.decode(state, run_length, warmup_scores=WARMUP_SCORES)
        return _Ours(run_length, detector)


class _Rivers:
    def __init__(self, detector: Any, *, of_correctness: bool) -> None:  # noqa: ANN401
        self._detector = detector
        self._of_correctness = of_correctness

    def __call__(self, value: float, _: int) -> bool:
        self._detector.update(1 - value if self._of_correctness else value)
        return bool(self._detector.drift_detected)


class _Periodic:
    def __init__(self, period: int) -> None:
        self._period = period
        self._n = 0

    def __call__(self, _score: float, _at_ms: int) -> bool:
        self._n += 1
        return self._n % self._period == 0


def ours(run_length: RunLength) -> Detector:
    """Make this project's detector."""
    return _Ours(run_length)


def rivers(make: Callable[[], object], *, of_correctness: bool = False) -> Detector:
    """Make one of River's; it knows no time.

    `of_correctness`: it is told 1 for what was right. All of River's but one want 1 for an error.
    FHDDM says so too, but fires when what it is told falls.
    """
    return _Rivers(make(), of_correctness=of_correctness)


def periodic(period: int = _PERIOD) -> Detector:
    """Raise an alarm each so many scores, whatever they are.

    >>> alarms = periodic()
    >>> sum(alarms(0.5, 0) for _ in range(25_000))
    2
    """
    return _Periodic(period)


def never(_score: float, _at_ms: int) -> bool:
    """Raise none."""
    return False


CANDIDATES: Final = (
    Candidate("bets, 1 per 10,000", lambda: ours(RunLength.scores(10_000)), promise=10_000),
    Candidate("bets, 1 per 100,000", lambda: ours(RunLength.scores(100_000)), promise=100_000),
    Candidate("ADWIN", lambda: rivers(drift.ADWIN)),
    Candidate("PageHinkley", lambda: rivers(drift.PageHinkley)),
    Candidate("KSWIN", lambda: rivers(lambda: QuickKSWIN(seed=1))),
    Candidate("KSWIN, alpha 0.0001", lambda: rivers(lambda: QuickKSWIN(0.0001, seed=1))),
    Candidate("periodic, each 10,000", periodic, promise=_PERIOD),
    Candidate("never", lambda: never),
)
