"""The face a model shows in the hot path: read-only, and always with an answer."""

from collections.abc import Callable
from typing import Any, Protocol

from online_models.estimator import Estimator
from online_models.linear import fold
from online_models.unanswered import FAILED, NOT_A_PROBABILITY, UNTRAINED

Prior = float | dict[str, float] | list[float]
"""What is known whatever the features: a share of positives, shares of classes, a mean, or what the
model said of others."""


class Scores(Protocol):
    """A frozen model, whatever its task."""

    model: Estimator
    n_learned: int
    base_rate: Any  # a `Prior`, as its task has it
    degraded_reason: str | None
    """Why the last score is not the model's own; `None` when it is."""

    def score(self, features: dict[str, float]) -> float:
        """Answer with a number."""


class Scorer:
    """A frozen model of yes and no.

    Whatever happens to the model, there is an answer: when the model has learned nothing,
    raises, or gives something that is no probability, the answer is the base rate and
    `degraded_reason` says why.

    Parameters
    ----------
    model
        A River classifier of booleans that nobody teaches any more: the scorer owns it.
    n_learned
        Labels it has learned.
    base_rate
        Share of positives among them; the answer when the model has none.

    Attributes
    ----------
    degraded_reason
        Why the last score is not the model's own; `None` when it is.

    Examples
    --------
    >>> from online_models import catalogue
    >>> scorer = Scorer(catalogue.make("binary_logistic_v1"), n_learned=0)
    >>> scorer.score({"clicks": 3.0}), scorer.degraded_reason
    (0.5, 'model_untrained')
    """

    __slots__ = ("_p_true", "base_rate", "degraded_reason", "model", "n_learned")

    def __init__(self, model: Estimator, *, n_learned: int, base_rate: float = 0.5) -> None:
        self.model = model
        self.n_learned = n_learned
        self.base_rate = base_rate
        self.degraded_reason: str | None = UNTRAINED if n_learned == 0 else None
        self._p_true = _p_true(model) if n_learned > 0 else None

    def score(self, features: dict[str, float]) -> float:
        """Estimate the probability of a positive label."""
        if self._p_true is None:
            return self.base_rate
        try:
            p = self._p_true(features)
        except Exception:  # noqa: BLE001  # whatever a model raises, the event gets its answer
            self.degraded_reason = FAILED
            return self.base_rate
        if 0.0 <= p <= 1.0:  # false for NaN
            self.degraded_reason = None
            return p
        self.degraded_reason = NOT_A_PROBABILITY
        return self.base_rate


def _p_true(model: Estimator) -> Callable[[dict[str, float]], float]:
    # `dict` is invariant: River asks for any hashable names.
    ask: Callable[[dict[str, float]], dict[bool, float]] = model.predict_proba_one  # type: ignore[assignment,union-attr]

    def by_river(features: dict[str, float]) -> float:
        # A label that was never seen has no entry.
        return float(ask(features).get(True, 0.0))

    folded = fold(model)
    if folded is None:
        return by_river

    def by_dot_product(features: dict[str, float]) -> float:
        try:
            return folded(features)
        except KeyError:  # River leaves missing features out
            return by_river(features)

    return by_dot_product
