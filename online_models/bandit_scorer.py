"""The face of a model that chooses among arms."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import Final

from online_models.arms import chosen, even
from online_models.estimator import Estimator
from online_models.unanswered import FAILED, NOT_A_NUMBER, UNTRAINED

_NOTHING: Final[Mapping[str, float]] = {}
_TOLERANCE: Final = 1e-9


class BanditScorer:
    """A frozen model of rewards.

    Whatever happens to the model, there is an answer, as `online_models.scorer.Scorer` has one:
    here chance, with the same share for every arm.

    Parameters
    ----------
    model
        A model of `online_models.arm_models` that nobody teaches any more.
    base_rate
        What each arm that was tried is worth on average; those are known.

    Attributes
    ----------
    rewards
        Of the last answer, what is expected of each arm.

    Examples
    --------
    >>> from online_models.arm_models import MeanRewards
    >>> model = MeanRewards(explore=0.1)
    >>> model.learn_one({}, "left", 0.0)
    >>> model.learn_one({}, "right", 1.0)
    >>> scorer = BanditScorer(model, n_learned=2, base_rate={"left": 0.0, "right": 1.0})
    >>> scorer.shares({}, ["left", "right"])
    [0.05, 0.95]
    >>> scorer.score({})
    0.95
    """

    __slots__ = ("base_rate", "degraded_reason", "model", "n_learned", "rewards")

    def __init__(
        self, model: Estimator, *, n_learned: int, base_rate: Mapping[str, float] = _NOTHING
    ) -> None:
        self.model = model
        self.n_learned = n_learned
        self.base_rate = dict(base_rate)
        self.degraded_reason: str | None = UNTRAINED if n_learned == 0 else None
        self.rewards: Sequence[float] = ()

    def shares(self, features: dict[str, float], arms: Sequence[str]) -> list[float]:
        """Tell with what probability to choose each arm."""
        if self.n_learned == 0:
            return self._by_chance(arms)
        try:
            rewards, shares = self.model.weigh_one(features, arms)  # type: ignore[union-attr]
        except Exception:  # noqa: BLE001  # whatever a model raises, the event gets its answer
            self.degraded_reason = FAILED
            return self._by_chance(arms)
        if (
            all(map(isfinite, rewards))
            and abs(sum(shares) - 1.0) <= _TOLERANCE  # false for NaN
            and min(shares) >= 0.0
        ):
            self.degraded_reason = None
            self.rewards = rewards
            return shares
        self.degraded_reason = NOT_A_NUMBER
        return self._by_chance(arms)

    def score(self, features: dict[str, float]) -> float:
        """Tell what is expected of its choice among the arms that it knows; 0 without any."""
        if not self.base_rate:
            return 0.0
        shares = self.shares(features, tuple(self.base_rate))
        return sum(share * reward for share, reward in zip(shares, self.rewards, strict=True))

    def _by_chance(self, arms: Sequence[str]) -> list[float]:
        self.rewards = [self.base_rate.get(arm, 0.0) for arm in arms]
        return even(len(arms))


class ArmChoice:
    """Chooses among the arms of a pipeline, and says which and with what probability.

    Parameters
    ----------
    scorer
        `None`: no model is there, and chance alone chooses.

    Attributes
    ----------
    arm, propensity
        Of the last answer.

    Examples
    --------
    >>> choice = ArmChoice(("short", "long"), None)
    >>> choice.choose("offers:e1", {}), choice.arm, choice.propensity
    (0.0, 'long', 0.5)
    """

    __slots__ = ("_scorer", "arm", "arms", "propensity")

    def __init__(self, arms: tuple[str, ...], scorer: BanditScorer | None) -> None:
        self.arms: Final = arms
        self._scorer = scorer
        self.arm = ""
        self.propensity = 0.0

    def choose(self, question: str, features: dict[str, float]) -> float:
        """Choose an arm for a question, by its id; tell the reward that is expected of it."""
        scorer, arms = self._scorer, self.arms
        shares = even(len(arms)) if scorer is None else scorer.shares(features, arms)
        number = chosen(question, shares)
        self.arm, self.propensity = arms[number], shares[number]
        return 0.0 if scorer is None else float(scorer.rewards[number])
