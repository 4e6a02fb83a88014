"""The face of a model that tells classes apart."""

from collections.abc import Callable, Mapping
from typing import Final

from online_models.estimator import Estimator
from online_models.unanswered import FAILED, NOT_A_PROBABILITY, UNTRAINED

_NOTHING: Final[Mapping[str, float]] = {}


class ClassScorer:
    """A frozen model of classes.

    Whatever happens to the model, there is an answer, as `online_models.scorer.Scorer` has one:
    here the shares of the classes so far. Before any label was learned it names no class, and its
    score is 0.

    Parameters
    ----------
    model
        A River classifier of strings that nobody teaches any more.
    base_rate
        Share of each class among the labels it has learned.

    Attributes
    ----------
    scores
        Of the last answer, the probability of each class.
    prediction
        The class whose probability the last score is, the first one in a tie; `None`: no class is
        known.

    Examples
    --------
    >>> from river import naive_bayes
    >>> model = naive_bayes.GaussianNB()
    >>> for petals, kind in [(3.0, "iris"), (5.0, "rose"), (3.2, "iris"), (5.5, "rose")]:
    ...     model.learn_one({"petals": petals}, kind)
    >>> scorer = ClassScorer(model, n_learned=4, base_rate={"iris": 0.5, "rose": 0.5})
    >>> scorer.score({"petals": 5.4}) > 0.9, scorer.prediction, list(scorer.scores)
    (True, 'rose', ['iris', 'rose'])
    """

    __slots__ = (
        "_ask",
        "base_rate",
        "degraded_reason",
        "model",
        "n_learned",
        "prediction",
        "scores",
    )

    def __init__(
        self, model: Estimator, *, n_learned: int, base_rate: Mapping[str, float] = _NOTHING
    ) -> None:
        self.model = model
        self.n_learned = n_learned
        self.base_rate = dict(base_rate)
        self.degraded_reason: str | None = UNTRAINED if n_learned == 0 else None
        self.scores: Mapping[str, float] = _NOTHING
        self.prediction: str | None = None
        # `dict` is invariant: River asks for any hashable names, and answers with any.
        self._ask: Callable[[dict[str, float]], dict[str, float]] = model.predict_proba_one  # type: ignore[assignment,union-attr]

    def score(self, features: dict[str, float]) -> float:
        """Estimate the probability of the class that is most probable."""
        if self.n_learned == 0:
            return self._say(self.base_rate)
        try:
            found = self._ask(features)
        except Exception:  # noqa: BLE001  # whatever a model raises, the event gets its answer
            self.degraded_reason = FAILED
            return self._say(self.base_rate)
        # False for NaN, and where there is no class.
        if found and all(0.0 <= p <= 1.0 for p in found.values()):
            self.degraded_reason = None
            return self._say(found)
        self.degraded_reason = NOT_A_PROBABILITY
        return self._say(self.base_rate)

    def _say(self, scores: Mapping[str, float]) -> float:
        self.scores = scores
        if not scores:
            self.prediction = None
            return 0.0
        self.prediction = max(scores, key=scores.__getitem__)
        return float(scores[self.prediction])
