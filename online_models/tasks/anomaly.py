"""How odd is it? Models learn without labels; where there are some, they are judged by them."""

from collections.abc import Sequence
from math import isfinite
from typing import Any, Final

import msgspec

from online_models.anomaly_scorer import LEAST_RANKED, ORDINARY, AnomalyScorer
from online_models.estimator import Estimator
from online_models.held_back import Frozen
from online_models.prequential import Prequential
from online_models.progress import Counts, LearnerState
from online_models.tasks.task import Task
from schemas.outcomes import Outcome

MOST_RANKED: Final = 1_000
"""The latest outcomes among which a score is a rank."""
BEGINNING: Final = 250
"""What a model says of its first outcomes is no measure: half-space trees say 0 of all of them."""


class AnomalyEvaluation(Prequential):
    """How well scores tell anomalies from the rest: a rank is no probability."""

    def figures(self) -> dict[str, float]:
        """Tell all of it by name."""
        return {"roc_auc": self.roc_auc, "recent_roc_auc": self.recent_roc_auc}


class AnomalyProgress(Counts):
    """What a learner of what is ordinary has seen so far."""

    oddities: list[float] = msgspec.field(default_factory=list)
    """What the model said of the latest outcomes before it learned them; the oldest is the next to
    be overwritten."""
    last_label: bool = False
    prequential: AnomalyEvaluation = msgspec.field(default_factory=AnomalyEvaluation)
    base_rate: AnomalyEvaluation = msgspec.field(default_factory=AnomalyEvaluation)
    """The same outcomes judged by saying the same of all."""
    last_class: AnomalyEvaluation = msgspec.field(default_factory=AnomalyEvaluation)
    """The same outcomes judged by the label before."""

    def accepts(self, outcome: Outcome) -> bool:
        """Tell whether a label says that it was an anomaly, or that it was none, or is missing."""
        return outcome.label is None or isinstance(outcome.label, bool)

    def teach(
        self,
        estimator: Estimator,
        features: dict[str, float],
        outcome: Outcome,
        *,
        takes_weights: bool,  # no detector does
    ) -> None:
        """Ask the model how odd an outcome is, then teach it, whatever its label."""
        detector: Any = estimator
        oddity = float(detector.score_one(features))
        detector.learn_one(features)
        if self.n_learned < BEGINNING or not isfinite(oddity):
            return
        if len(self.oddities) < MOST_RANKED:
            self.oddities.append(oddity)
        else:
            self.oddities[(self.n_learned - BEGINNING) % MOST_RANKED] = oddity

    def learned(self, outcome: Outcome) -> None:
        """Count an outcome that was learned."""
        self.count(outcome)
        self.known(outcome)

    def known(self, outcome: Outcome) -> None:
        """Note that a label became known, be it learned or not."""
        self.known_until = max(self.known_until, outcome.labelled_at)
        if outcome.judged > 0.0:
            self.last_label = outcome.label is True

    def judge(self, outcome: Outcome, features: dict[str, float], then: Frozen) -> float:
        """Hold what an earlier self says, and both baselines, against the label."""
        score, label = then.scorer.score(features), outcome.label is True
        self.prequential.update(label, score)
        self.accuracy.update(label, score, outcome.event_at)
        self.base_rate.update(label, ORDINARY)
        self.last_class.update(label, float(then.last_label))
        return score

    def scorer(self, model: Estimator) -> AnomalyScorer:
        """Show a model, which has seen this, as the hot path sees it; the scorer owns it then."""
        ranked = sorted(self.oddities) if len(self.oddities) >= LEAST_RANKED else []
        return _scorer(model, self.n_learned, ranked)


def _scorer(model: Estimator, n_learned: int, base_rate: Sequence[float]) -> AnomalyScorer:
    return AnomalyScorer(model, n_learned=n_learned, base_rate=base_rate)


ANOMALY: Final = Task(
    name="anomaly",
    progress=AnomalyProgress,
    state=LearnerState[AnomalyProgress],
    scorer=_scorer,
    needs_no_label=True,
)
