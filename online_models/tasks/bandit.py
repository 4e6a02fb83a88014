"""Which arm to choose? Labels are rewards, of the arm that was chosen alone."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from online_models.arm_models import latest_last
from online_models.bandit_evaluation import BanditEvaluation, PolicyValue
from online_models.bandit_scorer import BanditScorer
from online_models.estimator import Estimator
from online_models.held_back import Frozen
from online_models.progress import Counts, LearnerState
from online_models.tasks.task import Task
from schemas.labels import LARGEST_AMOUNT
from schemas.outcomes import Outcome
from schemas.tasks import MOST_ARMS


class Worth(msgspec.Struct, array_like=True):
    """What always choosing one arm would have been worth."""

    weight: float = 0.0
    reward: float = 0.0
    """Sum of one by the propensity, and of the reward by it."""

    @property
    def mean(self) -> float:
        """Reward of an outcome."""
        return self.reward / self.weight


class BanditProgress(Counts):
    """What a learner of rewards has seen so far."""

    arms: dict[str, Worth] = msgspec.field(default_factory=dict)
    """Of always choosing each arm; the one that was learned last stands last."""
    last_label: float = 0.0
    prequential: BanditEvaluation = msgspec.field(default_factory=BanditEvaluation)

    @property
    def base_rate(self) -> PolicyValue:
        """The same outcomes judged by choosing by chance."""
        return self.prequential.by_chance

    @property
    def last_class(self) -> PolicyValue:
        """The same outcomes judged by choosing the one arm that was the best until then."""
        return self.prequential.by_best

    def accepts(self, outcome: Outcome) -> bool:
        """Tell whether its label is a reward, of an arm that was chosen among some by chance."""
        return (
            isinstance(outcome.label, bool | float)
            and abs(outcome.label) <= LARGEST_AMOUNT
            and outcome.arm in outcome.arms
            and len(outcome.arms) <= MOST_ARMS
            and 0.0 < outcome.propensity <= 1.0
        )

    def teach(
        self,
        estimator: Estimator,
        features: dict[str, float],
        outcome: Outcome,
        *,
        takes_weights: bool,  # no policy does
    ) -> None:
        """Teach the model what the arm was worth."""
        model: Any = estimator
        model.learn_one(features, outcome.arm, _reward(outcome))

    def learned(self, outcome: Outcome) -> None:
        """Count an outcome that was learned."""
        self.count(outcome)
        worth = latest_last(self.arms, outcome.arm, Worth)
        worth.weight += 1.0 / outcome.propensity
        worth.reward += _reward(outcome) / outcome.propensity
        self.known(outcome)

    def known(self, outcome: Outcome) -> None:
        """Note that a label became known, be it learned or not."""
        self.known_until = max(self.known_until, outcome.labelled_at)
        if outcome.judged > 0.0:
            self.last_label = _reward(outcome)

    def judge(self, outcome: Outcome, features: dict[str, float], then: Frozen) -> float:
        """Weigh an outcome by how probably an earlier self would have chosen its arm.

        Returns what that self expected of it.
        """
        scorer: Any = then.scorer
        arms, arm, p = outcome.arms, outcome.arm, outcome.propensity
        number = arms.index(arm)
        own: float = scorer.shares(features, arms)[number]
        best = max(arms, key=lambda each: scorer.base_rate.get(each, float("-inf")))
        is_any_known = best in scorer.base_rate
        self.prequential.update(
            _reward(outcome),
            own=own / p,
            by_chance=1.0 / len(arms) / p,
            by_best=float(best == arm) / p if is_any_known else 1.0 / len(arms) / p,
        )
        return float(scorer.rewards[number])

    def scorer(self, model: Estimator) -> BanditScorer:
        """Show a model, which has seen this, as the hot path sees it; the scorer owns it then."""
        return _scorer(model, self.n_learned, {name: each.mean for name, each in self.arms.items()})


def _reward(outcome: Outcome) -> float:
    return float(outcome.label or 0.0)


def _scorer(model: Estimator, n_learned: int, base_rate: Mapping[str, float]) -> BanditScorer:
    return BanditScorer(model, n_learned=n_learned, base_rate=base_rate)


BANDIT: Final = Task(
    name="bandit", progress=BanditProgress, state=LearnerState[BanditProgress], scorer=_scorer
)
