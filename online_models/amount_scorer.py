"""The face of a model that estimates an amount."""

from collections.abc import Callable
from math import isfinite

from online_models.estimator import Estimator
from online_models.unanswered import FAILED, NOT_A_NUMBER, UNTRAINED


class AmountScorer:
    """A frozen model of amounts.

    Whatever happens to the model, there is an answer, as `online_models.scorer.Scorer` has one:
    here the mean of the labels so far, 0 before there was one.

    Parameters
    ----------
    model
        A River regressor that nobody teaches any more.
    base_rate
        Mean of the labels it has learned.

    Examples
    --------
    >>> from river import dummy, stats
    >>> model = dummy.StatisticRegressor(stats.Max())
    >>> model.learn_one({}, 3.0)
    >>> AmountScorer(model, n_learned=1).score({})
    3.0
    """

    __slots__ = ("_ask", "base_rate", "degraded_reason", "model", "n_learned")

    def __init__(self, model: Estimator, *, n_learned: int, base_rate: float = 0.0) -> None:
        self.model = model
        self.n_learned = n_learned
        self.base_rate = base_rate
        self.degraded_reason: str | None = UNTRAINED if n_learned == 0 else None
        # `dict` is invariant: River asks for any hashable names.
        self._ask: Callable[[dict[str, float]], float] = model.predict_one  # type: ignore[assignment,union-attr]

    def score(self, features: dict[str, float]) -> float:
        """Estimate the amount."""
        if self.n_learned == 0:
            return self.base_rate
        try:
            amount = float(self._ask(features))
        except Exception:  # noqa: BLE001  # whatever a model raises, the event gets its answer
            self.degraded_reason = FAILED
            return self.base_rate
        if isfinite(amount):
            self.degraded_reason = None
            return amount
        self.degraded_reason = NOT_A_NUMBER
        return self.base_rate
