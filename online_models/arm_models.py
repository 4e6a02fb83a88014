"""Models that say what an arm is worth, and how to choose among arms, given that.

As all models they learn one outcome at a time and say nothing by chance
(`online_models.arms.chosen` does that). What is chosen by is the model's: its name in the catalogue
stands for both.
"""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from math import sqrt
from typing import Any, Final, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from river import base, preprocessing, stats

from online_models.arms import even, explored, greedy, shares_of_best
from schemas.tasks import MOST_ARMS

T = TypeVar("T")
Vector = NDArray[np.float64]
Weighed = tuple[Sequence[float], list[float]]
"""Of each arm the reward that is expected of it, and the probability to choose it by."""

_FURTHEST: Final = 5.0
"""Standard deviations that a feature counts for at most: a broken sensor must not choose alone."""


class ArmModel(base.Estimator):
    """What models of a bandit have in common."""

    explore: float
    """Part of the questions that chance alone answers."""

    @abstractmethod
    def learn_one(self, x: dict[str, float], arm: str, reward: float) -> None:
        """Learn what choosing an arm was worth."""

    @abstractmethod
    def weigh_one(self, x: dict[str, float], arms: Sequence[str]) -> Weighed:
        """Tell what is expected of each arm, and with what probability to choose it."""


class MeanRewards(ArmModel):
    """The mean reward of each arm, whatever the features; chance explores.

    An arm that was never tried is expected to be worth as much as all were on average, and has its
    part of what chance chooses.

    Examples
    --------
    >>> model = MeanRewards(explore=0.1)
    >>> for arm, reward in [("a", 1.0), ("b", 3.0), ("b", 5.0)]:
    ...     model.learn_one({}, arm, reward)
    >>> rewards, shares = model.weigh_one({}, ["a", "b", "new"])
    >>> [round(each, 3) for each in rewards], [round(each, 3) for each in shares]
    ([1.0, 4.0, 3.0], [0.033, 0.933, 0.033])
    """

    def __init__(self, explore: float = 0.1) -> None:
        self.explore = explore
        self.mean = stats.Mean()
        self.means: dict[str, stats.Mean] = {}

    def learn_one(self, x: dict[str, float], arm: str, reward: float) -> None:
        """Learn what choosing an arm was worth."""
        self.mean.update(reward)
        latest_last(self.means, arm, stats.Mean).update(reward)

    def weigh_one(self, x: dict[str, float], arms: Sequence[str]) -> Weighed:
        """Tell the mean of each arm; the largest is chosen, but for what chance chooses."""
        means = [self.means.get(arm) for arm in arms]
        prior = self.mean.get()
        rewards = [prior if mean is None else mean.get() for mean in means]
        tried = [float("-inf") if mean is None else mean.get() for mean in means]
        return rewards, explored(greedy(tried), self.explore)


class Ridge:
    """What is known of one arm: a linear regression whose weights are normally distributed.

    `inverse` is that of `I + sum(x x')`, `rewards` the sum of `reward * x`, `features` that of `x`.
    """

    __slots__ = ("features", "inverse", "rewards")

    def __init__(self, n: int) -> None:
        self.inverse: Vector = np.eye(n)
        self.rewards: Vector = np.zeros(n)
        self.features: Vector = np.zeros(n)

    def learn(self, x: Vector, reward: float) -> None:
        """Take in a reward (Sherman & Morrison 1950)."""
        projected = _product(self.inverse, x)
        self.inverse -= np.outer(projected, projected) / (1.0 + _dot(x, projected))
        self.rewards += reward * x
        self.features += x

    def estimate(self, x: Vector, prior: float) -> tuple[float, float]:
        """Tell the mean, beside a prior one, and the variance in units of that of the noise."""
        projected = _product(self.inverse, x)
        mean = prior + _dot(projected, self.rewards - prior * self.features)
        return mean, max(_dot(projected, x), 0.0)

    # As bytes, so that a pickle names no function of numpy.

    def __getstate__(self) -> tuple[bytes, bytes, bytes]:
        return self.inverse.tobytes(), self.rewards.tobytes(), self.features.tobytes()

    def __setstate__(self, state: tuple[bytes, bytes, bytes]) -> None:
        inverse, self.rewards, self.features = (np.frombuffer(each).copy() for each in state)
        self.inverse = inverse.reshape(len(self.rewards), -1)


def _product(matrix: Vector, x: Vector) -> Vector:
    # Not by BLAS: it sums in an order of its own on each processor, and in threads when it likes.
    found: Vector = (matrix * x).sum(axis=1)
    return found


def _dot(a: Vector, b: Vector) -> float:
    return float((a * b).sum())


class LinearRewards(ArmModel):
    """A linear regression of the reward of each arm on scaled features, and how sure it is.

    Each arm has one of its own (disjoint, as Li et al. 2010 have it), drawn towards the mean of all
    rewards. The variance of the noise is learned, so rewards may have any unit.

    Parameters
    ----------
    by
        `"ucb"`: the arm is chosen whose upper confidence bound is the largest, `width` standard
        deviations above what is expected. `"thompson"`: each is chosen as probably as it is the
        best one.
    explore
        Part of the questions that is answered by chance, so that no arm has nothing.

    Examples
    --------
    >>> model = LinearRewards(by="ucb")
    >>> for n in range(40):
    ...     is_mobile = float(n % 2)
    ...     model.learn_one({"mobile": is_mobile}, "short", is_mobile)
    ...     model.learn_one({"mobile": is_mobile}, "long", 1.0 - is_mobile)
    >>> rewards, shares = model.weigh_one({"mobile": 1.0}, ["short", "long"])
    >>> [round(each, 2) for each in rewards], shares
    ([0.95, 0.02], [0.975, 0.025])
    """

    def __init__(
        self,
        by: Literal["ucb", "thompson"] = "thompson",
        *,
        explore: float = 0.05,
        width: float = 1.0,
    ) -> None:
        self.by = by
        self.explore = explore
        self.width = width
        self.scaler: Any = preprocessing.StandardScaler()
        self.names: tuple[str, ...] | None = None
        self.mean = stats.Mean()
        self.noise = stats.Mean()
        """Squared errors of what was expected before it was learned."""
        self.arms: dict[str, Ridge] = {}

    def learn_one(self, x: dict[str, float], arm: str, reward: float) -> None:
        """Learn what choosing an arm was worth."""
        self.scaler.learn_one(x)
        if self.names is None:
            self.names = tuple(x)
        vector = self._vector(x, self.names)
        ridge = latest_last(self.arms, arm, lambda: Ridge(len(vector)))
        if self.mean.n > 0:
            expected, _ = ridge.estimate(vector, self.mean.get())
            self.noise.update((reward - expected) ** 2)
        self.mean.update(reward)
        ridge.learn(vector, reward)

    def weigh_one(self, x: dict[str, float], arms: Sequence[str]) -> Weighed:
        """Tell what is expected of each arm with these features, and how to choose."""
        if self.names is None:
            return [0.0] * len(arms), even(len(arms))
        vector, prior = self._vector(x, self.names), self.mean.get()
        unknown = prior, _dot(vector, vector)
        found = [
            unknown if (ridge := self.arms.get(arm)) is None else ridge.estimate(vector, prior)
            for arm in arms
        ]
        rewards = [mean for mean, _ in found]
        noise = self.noise.get()
        deviations = [sqrt(noise * variance) for _, variance in found]
        if self.by == "ucb":
            bounds = [mean + self.width * by for mean, by in zip(rewards, deviations, strict=True)]
            shares = greedy(bounds)
        else:
            shares = shares_of_best(rewards, deviations)
        return rewards, explored(shares, self.explore)

    def _vector(self, x: dict[str, float], names: tuple[str, ...]) -> Vector:
        scaled: dict[Any, float] = self.scaler.transform_one(x)
        vector = np.array([*(scaled[name] for name in names), 1.0])
        limited: Vector = np.minimum(np.maximum(vector, -_FURTHEST), _FURTHEST)
        return limited


def latest_last(known: dict[str, T], arm: str, new: Callable[[], T]) -> T:
    """Find what is known of an arm, and let what was tried longest ago make room for a new one.

    >>> known = {"a": 1, "b": 2}
    >>> latest_last(known, "a", int), known
    (1, {'b': 2, 'a': 1})
    """
    found = known.pop(arm) if arm in known else new()
    known[arm] = found
    if len(known) > MOST_ARMS:
        del known[next(iter(known))]
    return found
