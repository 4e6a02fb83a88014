"""The face of a model that tells how odd something is."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from math import isfinite
from typing import Final

from online_models.estimator import Estimator
from online_models.unanswered import FAILED, NOT_A_NUMBER, UNTRAINED

ORDINARY: Final = 0.5
"""The score where nobody can tell: as odd as half of all."""
LEAST_RANKED: Final = 250
"""Fewer tell no rank."""


class AnomalyScorer:
    """A frozen model of what is ordinary.

    What its model says has no unit. So the score is the share of the latest outcomes that were
    less odd: of 1,000 events that are like those before, ten have a score above 0.99. While too
    few are known to compare with, and whatever happens to the model, the score is 0.5.

    Parameters
    ----------
    model
        A River anomaly detector that nobody teaches any more.
    base_rate
        What it said of the latest outcomes before it learned them, ascending.

    Examples
    --------
    >>> from river import anomaly
    >>> model = anomaly.GaussianScorer()
    >>> scorer = AnomalyScorer(model, n_learned=500, base_rate=[n / 1_000 for n in range(500)])
    >>> scorer.score({}), scorer.degraded_reason
    (0.5, 'model_failed')
    """

    __slots__ = ("_ask", "base_rate", "degraded_reason", "model", "n_learned")

    def __init__(
        self, model: Estimator, *, n_learned: int, base_rate: Sequence[float] = ()
    ) -> None:
        self.model = model
        self.n_learned = n_learned
        self.base_rate = list(base_rate)
        is_warm = len(self.base_rate) >= LEAST_RANKED
        self.degraded_reason: str | None = None if is_warm else UNTRAINED
        # `dict` is invariant: River asks for any hashable names.
        self._ask: Callable[[dict[str, float]], float] = model.score_one  # type: ignore[assignment,union-attr]

    def score(self, features: dict[str, float]) -> float:
        """Tell the share of the latest outcomes that were less odd, half of those as odd."""
        ranked = self.base_rate
        if len(ranked) < LEAST_RANKED:
            return ORDINARY
        try:
            oddity = float(self._ask(features))
        except Exception:  # noqa: BLE001  # whatever a model raises, the event gets its answer
            self.degraded_reason = FAILED
            return ORDINARY
        if not isfinite(oddity):
            self.degraded_reason = NOT_A_NUMBER
            return ORDINARY
        self.degraded_reason = None
        return (bisect_left(ranked, oddity) + bisect_right(ranked, oddity)) / (2 * len(ranked))
