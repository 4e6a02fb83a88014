"""How much is it? Labels are amounts, and so are scores."""

from typing import Final

import msgspec

from online_models.amount_evaluation import AmountEvaluation
from online_models.amount_scorer import AmountScorer
from online_models.estimator import Estimator
from online_models.held_back import Frozen
from online_models.progress import Counts, LearnerState
from online_models.tasks.task import Task
from schemas.labels import LARGEST_AMOUNT
from schemas.outcomes import Outcome


class AmountProgress(Counts):
    """What a learner of amounts has seen so far."""

    mean: float = 0.0
    """Of the labels learned."""
    last_label: float = 0.0
    prequential: AmountEvaluation = msgspec.field(default_factory=AmountEvaluation)
    base_rate: AmountEvaluation = msgspec.field(default_factory=AmountEvaluation)
    """The same outcomes judged by the mean so far."""
    last_class: AmountEvaluation = msgspec.field(default_factory=AmountEvaluation)
    """The same outcomes judged by the label before."""

    def accepts(self, outcome: Outcome) -> bool:
        """Tell whether a label is an amount that does not ruin the model."""
        return isinstance(outcome.label, float) and abs(outcome.label) <= LARGEST_AMOUNT

    def learned(self, outcome: Outcome) -> None:
        """Count an outcome that was learned."""
        self.count(outcome)
        self.mean += (_amount(outcome) - self.mean) / self.n_learned
        self.known(outcome)

    def known(self, outcome: Outcome) -> None:
        """Note that a label became known, be it learned or not."""
        self.known_until = max(self.known_until, outcome.labelled_at)
        if outcome.judged > 0.0:
            self.last_label = _amount(outcome)

    def judge(self, outcome: Outcome, features: dict[str, float], then: Frozen) -> float:
        """Hold what an earlier self says, and both baselines, against the label."""
        score, label = then.scorer.score(features), _amount(outcome)
        self.prequential.update(label, score)
        base_rate: float = then.scorer.base_rate
        self.base_rate.update(label, base_rate)
        self.accuracy.hold(closeness(label, score, base_rate), outcome.event_at)
        self.last_class.update(label, then.last_label)
        return score

    def scorer(self, model: Estimator) -> AmountScorer:
        """Show a model, which has seen this, as the hot path sees it; the scorer owns it then."""
        return _scorer(model, self.n_learned, self.mean)


def closeness(label: float, estimate: float, base_rate: float) -> float:
    """Tell how much closer an estimate came than the mean of labels so far, whatever the unit.

    Errors have no bound, but this has: 1 is right, .5 as far off as the mean, 0 is wrong where the
    mean was right.

    >>> closeness(10.0, estimate=11.0, base_rate=7.0), closeness(10.0, 7.0, 7.0)
    (0.75, 0.5)
    """
    error, of_base_rate = abs(estimate - label), abs(base_rate - label)
    both = error + of_base_rate
    return of_base_rate / both if both > 0.0 else 0.5


def _amount(outcome: Outcome) -> float:
    return float(outcome.label or 0.0)


def _scorer(model: Estimator, n_learned: int, base_rate: float) -> AmountScorer:
    return AmountScorer(model, n_learned=n_learned, base_rate=base_rate)


REGRESSION: Final = Task(
    name="regression",
    progress=AmountProgress,
    state=LearnerState[AmountProgress],
    scorer=_scorer,
)
