"""Detectors by the one parameter that makes them more patient or less."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from river import drift

from benchmarks.drift.detectors import Detector, never, ours, periodic, rivers
from benchmarks.drift.quick_kswin import QuickKSWIN
from online_models.drift import RunLength


@dataclass(frozen=True, slots=True)
class Family:
    """A detector whose false alarms become rarer from one end of a parameter to the other."""

    name: str
    make: Callable[[float], Detector]
    loose: float
    strict: float
    default: float
    """What River's have by default, and ours a pipeline that says nothing."""

    def of(self, parameter: float) -> Callable[[], Detector]:
        """Hold a parameter fast."""
        return partial(self.make, parameter)


def _eddm(distance: float) -> Detector:
    beta = 1 - distance
    return rivers(lambda: drift.binary.EDDM(alpha=max(0.95, beta), beta=beta))


def _rivers(make: Callable[[float], Any], *, of_correctness: bool = False) -> Any:  # noqa: ANN401
    return lambda parameter: rivers(partial(make, parameter), of_correctness=of_correctness)


BETS: Final = Family("bets", lambda n: ours(RunLength.scores(n)), 100, 100_000, 100_000)
PERIODIC: Final = Family("periodic", lambda n: periodic(round(n)), 100, 100_000, 10_000)
NEVER: Final = Family("never", lambda _: never, 1, 2, 1)
_BLIND: Final = (PERIODIC, NEVER)
_OF_NUMBERS: Final = (
    BETS,
    Family("ADWIN", _rivers(drift.ADWIN), 10, 1e-6, 0.002),
    Family("PageHinkley", _rivers(lambda at: drift.PageHinkley(threshold=at)), 0.5, 500, 50),
    Family("KSWIN", _rivers(lambda alpha: QuickKSWIN(alpha, seed=1)), 0.9, 1e-9, 0.005),
)
_OF_BITS: Final = (
    Family("DDM", _rivers(lambda at: drift.binary.DDM(drift_threshold=at)), 1, 30, 3),
    Family("EDDM", _eddm, 0.01, 0.9, 0.1),
    Family(
        "HDDM_A, two-sided",
        _rivers(partial(drift.binary.HDDMA, two_sided_test=True)),
        *(0.9, 1e-9, 0.001),
    ),
    Family(
        "HDDM_W, two-sided",
        _rivers(partial(drift.binary.HDDMW, two_sided_test=True)),
        *(0.9, 1e-9, 0.001),
    ),
    Family(
        "FHDDM",
        _rivers(lambda c: drift.binary.FHDDM(confidence_level=c), of_correctness=True),
        *(0.9999, 1e-12, 1e-6),
    ),
)
"""What River has for errors and nothing else."""

BY_INPUT: Final[dict[str, Sequence[Family]]] = {
    "errors": (*_OF_NUMBERS, *_OF_BITS, *_BLIND),
    "scores": (*_OF_NUMBERS, *_BLIND),
}
