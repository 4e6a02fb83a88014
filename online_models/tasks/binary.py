"""Will it come true? Labels are true or false, scores are probabilities."""

from typing import Final

import msgspec

from online_models.estimator import Estimator
from online_models.held_back import Frozen
from online_models.prequential import Prequential
from online_models.progress import Counts, LearnerState
from online_models.scorer import Scorer
from online_models.tasks.task import Task
from schemas.outcomes import Outcome


class Progress(Counts):
    """What a learner of yes and no has seen so far."""

    n_positives: int = 0
    last_label: bool = False
    prequential: Prequential = msgspec.field(default_factory=Prequential)
    base_rate: Prequential = msgspec.field(default_factory=Prequential)
    """The same outcomes judged by the share of positives so far."""
    last_class: Prequential = msgspec.field(default_factory=Prequential)
    """The same outcomes judged by the label before."""
    extra_weight: float = 0.0
    """By how much the weights of all learned outcomes together exceed their number."""
    extra_positive_weight: float = 0.0
    """The same of the positives among them."""

    def accepts(self, outcome: Outcome) -> bool:
        """Tell whether a label is true or false."""
        return outcome.label is True or outcome.label is False

    def learned(self, outcome: Outcome) -> None:
        """Count an outcome that was learned.

        One that revises another replaces it in the base rate: the former label was the other one,
        a positive weighs 1, and the weight of both together says what a negative weighs.
        """
        self.count(outcome)
        is_positive = bool(outcome.label)
        self.n_positives += is_positive
        if outcome.revises:
            of_negative = outcome.weight - 1.0
            self.extra_weight += -of_negative if is_positive else of_negative - 2.0
            self.extra_positive_weight -= not is_positive
        else:
            self.extra_weight += outcome.weight - 1.0
            if is_positive:
                self.extra_positive_weight += outcome.weight - 1.0
        self.known(outcome)

    def known(self, outcome: Outcome) -> None:
        """Note that a label became known, be it learned or not."""
        self.known_until = max(self.known_until, outcome.labelled_at)
        if outcome.judged > 0.0:
            self.last_label = bool(outcome.label)

    def judge(self, outcome: Outcome, features: dict[str, float], then: Frozen) -> float:
        """Hold what an earlier self says, and both baselines, against the label."""
        score = then.scorer.score(features)
        label, weight = bool(outcome.label), outcome.judged
        self.prequential.update(label, score, weight)
        self.accuracy.update(label, score, outcome.event_at)
        self.base_rate.update(label, then.scorer.base_rate, weight)
        self.last_class.update(label, float(then.last_label), weight)
        return score

    def scorer(self, model: Estimator) -> Scorer:
        """Show a model, which has seen this, as the hot path sees it; the scorer owns it then."""
        weight = self.n_learned + self.extra_weight
        positive = self.n_positives + self.extra_positive_weight
        # Outside of [0, 1] only if an outcome was skipped that another one revises.
        base_rate = min(max(positive / weight, 0.0), 1.0) if weight > 0 else 0.5
        return _scorer(model, self.n_learned, base_rate)


def _scorer(model: Estimator, n_learned: int, base_rate: float) -> Scorer:
    return Scorer(model, n_learned=n_learned, base_rate=base_rate)


BINARY: Final = Task(name="binary", progress=Progress, state=LearnerState[Progress], scorer=_scorer)
