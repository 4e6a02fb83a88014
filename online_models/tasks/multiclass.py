"""Which class is it? Labels are their names; the score is the probability of the most probable."""

from collections.abc import Mapping
from typing import Final

import msgspec

from online_models.accuracy import AccuracyWatch
from online_models.class_evaluation import ClassEvaluation
from online_models.class_scorer import ClassScorer
from online_models.estimator import Estimator
from online_models.held_back import Frozen
from online_models.progress import Counts, LearnerState
from online_models.tasks.task import Task
from schemas.outcomes import Outcome

MOST_CLASSES: Final = 1_000
"""A model learns no more than so many: labels that are never the same would fill its memory."""


class ClassProgress(Counts):
    """What a learner of classes has seen so far."""

    classes: dict[str, int] = msgspec.field(default_factory=dict)
    """Outcomes learned of each."""
    last_label: str | None = None
    prequential: ClassEvaluation = msgspec.field(default_factory=ClassEvaluation)
    base_rate: ClassEvaluation = msgspec.field(default_factory=ClassEvaluation)
    """The same outcomes judged by the shares of classes so far."""
    last_class: ClassEvaluation = msgspec.field(default_factory=ClassEvaluation)
    """The same outcomes judged by the label before."""
    accuracy: AccuracyWatch = msgspec.field(default_factory=lambda: AccuracyWatch(chance=0.0))

    def accepts(self, outcome: Outcome) -> bool:
        """Tell whether a label is a class, and one that there is room for."""
        label = outcome.label
        return isinstance(label, str) and (
            label in self.classes or len(self.classes) < MOST_CLASSES
        )

    def learned(self, outcome: Outcome) -> None:
        """Count an outcome that was learned."""
        self.count(outcome)
        label = str(outcome.label)
        self.classes[label] = self.classes.get(label, 0) + 1
        self.known(outcome)

    def known(self, outcome: Outcome) -> None:
        """Note that a label became known, be it learned or not."""
        self.known_until = max(self.known_until, outcome.labelled_at)
        if outcome.judged > 0.0:
            self.last_label = str(outcome.label)

    def judge(self, outcome: Outcome, features: dict[str, float], then: Frozen) -> float:
        """Hold what an earlier self says, and both baselines, against the label."""
        scorer = then.scorer
        score = scorer.score(features)
        label = str(outcome.label)
        scores: dict[str, float] = scorer.scores  # type: ignore[attr-defined]  # our own
        self.prequential.update(label, scores)
        is_right = bool(scores) and max(scores, key=scores.__getitem__) == label
        self.accuracy.hold(float(is_right), outcome.event_at)
        self.base_rate.update(label, scorer.base_rate)
        self.last_class.update(label, {} if then.last_label is None else {then.last_label: 1.0})
        return score

    def scorer(self, model: Estimator) -> ClassScorer:
        """Show a model, which has seen this, as the hot path sees it; the scorer owns it then."""
        n = self.n_learned
        return _scorer(model, n, {name: count / n for name, count in self.classes.items()})


def _scorer(model: Estimator, n_learned: int, base_rate: Mapping[str, float]) -> ClassScorer:
    return ClassScorer(model, n_learned=n_learned, base_rate=base_rate)


MULTICLASS: Final = Task(
    name="multiclass",
    progress=ClassProgress,
    state=LearnerState[ClassProgress],
    scorer=_scorer,
)
