"""What a policy would have been worth, by what others chose: weighted by propensities.

An outcome that was chosen with probability p, and that a policy would have chosen with probability
q, stands for q / p of those of the policy (inverse propensity scoring, IPS: Horvitz & Thompson
1952). Its mean is unbiased whatever the features and whoever chose, as long as p is what was chosen
by. Divided by the mean of the weights it is as good as unbiased and steadier (self-normalised,
SNIPS: Swaminathan & Joachims 2015); that is what intervals are of.
"""

import math
from typing import Final

import msgspec

from online_models.experiment import MIN_USERS, boundary
from online_models.prequential import WINDOW

ERROR: Final = 0.05
"""Probability that an interval ever misses the truth, over all looks."""


class PolicyValue(msgspec.Struct):
    """The reward of a policy.

    Examples
    --------
    >>> value = PolicyValue()
    >>> for weight, reward in [(2.0, 1.0), (0.0, 0.0), (2.0, 0.5), (0.0, 1.0)]:
    ...     value.update(weight, reward)
    >>> value.ips, value.snips
    (0.75, 0.75)
    """

    n: int = 0
    weight: float = 0.0
    """Of all outcomes together."""
    reward: float = 0.0
    """The sum of weight times reward."""
    squares: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """The sum of the squared weight, that times the reward, that times the squared reward."""
    ring: list[tuple[float, float]] = []
    """Weight and reward of the latest outcomes; the oldest is the next to be overwritten."""

    def update(self, weight: float, reward: float) -> None:
        """Count an outcome."""
        self.weight += weight
        self.reward += weight * reward
        self.squares = crossed(self.squares, weight * weight, reward)
        if len(self.ring) < WINDOW:
            self.ring.append((weight, reward))
        else:
            self.ring[self.n % WINDOW] = weight, reward
        self.n += 1

    @property
    def ips(self) -> float:
        """Mean of the weighted rewards; NaN before the first outcome."""
        return self.reward / self.n if self.n else math.nan

    @property
    def snips(self) -> float:
        """The same by the mean weight; NaN while nothing was chosen as the policy would have."""
        return self.reward / self.weight if self.weight > 0.0 else math.nan

    @property
    def recent_snips(self) -> float:
        """The same over the latest outcomes."""
        weight = math.fsum(each for each, _ in self.ring)
        rewards = math.fsum(each * reward for each, reward in self.ring)
        return rewards / weight if weight > 0.0 else math.nan

    def figures(self) -> dict[str, float]:
        """Tell all of it by name."""
        return {"reward": self.snips, "ips": self.ips, "recent_reward": self.recent_snips}


class BanditEvaluation(msgspec.Struct):
    """The reward of a policy, and how much it is above that of two others on the same outcomes.

    Examples
    --------
    >>> evaluation = BanditEvaluation()
    >>> for n in range(400):  # an arm of two by chance; the first one is worth 1, the other 0
    ...     is_first = n % 2 == 0
    ...     evaluation.update(float(is_first), own=2.0 * is_first, by_chance=1.0, by_best=1.0)
    >>> figures = evaluation.figures()
    >>> figures["reward"], figures["over_chance"], 0.2 < figures["over_chance_low"] < 0.5
    (1.0, 0.5, True)
    """

    own: PolicyValue = msgspec.field(default_factory=PolicyValue)
    by_chance: PolicyValue = msgspec.field(default_factory=PolicyValue)
    """With the same share for every arm."""
    by_best: PolicyValue = msgspec.field(default_factory=PolicyValue)
    """With the one arm that was the best until then."""
    with_chance: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """As `PolicyValue.squares`, of the product of both weights."""
    with_best: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def update(self, reward: float, *, own: float, by_chance: float, by_best: float) -> None:
        """Count an outcome, by its weight for each policy."""
        self.own.update(own, reward)
        self.by_chance.update(by_chance, reward)
        self.by_best.update(by_best, reward)
        self.with_chance = crossed(self.with_chance, own * by_chance, reward)
        self.with_best = crossed(self.with_best, own * by_best, reward)

    @property
    def n(self) -> int:
        """Outcomes."""
        return self.own.n

    def figures(self) -> dict[str, float]:
        """Tell all of it by name."""
        told = {"reward": self.own.snips, "ips": self.own.ips}
        for name, other, both in (
            ("over_chance", self.by_chance, self.with_chance),
            ("over_best_arm", self.by_best, self.with_best),
        ):
            difference = self.own.snips - other.snips
            half = half_width(self.own, other, both)
            told[name] = difference
            told[f"{name}_low"], told[f"{name}_high"] = difference - half, difference + half
        return told | {"recent_reward": self.own.recent_snips}


def half_width(one: PolicyValue, other: PolicyValue, both: tuple[float, float, float]) -> float:
    """Tell how far the difference of two policies may be off, however often one looks.

    By the delta method, as an asymptotic confidence sequence (Waudby-Smith et al. 2024). NaN while
    too little is known.
    """
    n = one.n
    if n < MIN_USERS or not (one.weight > 0.0 and other.weight > 0.0):
        return math.nan
    variance = (
        _spread(one.squares, one.snips, one.snips) / (one.weight / n) ** 2
        + _spread(other.squares, other.snips, other.snips) / (other.weight / n) ** 2
        - 2.0 * _spread(both, one.snips, other.snips) / (one.weight * other.weight / n / n)
    ) / n
    return math.sqrt(max(variance, 0.0)) * boundary(n, ERROR)


def crossed(
    sums: tuple[float, float, float], weight: float, reward: float
) -> tuple[float, float, float]:
    """Add a product of weights, that times the reward, and that times the squared reward.

    >>> crossed((1.0, 1.0, 1.0), 2.0, 3.0)
    (3.0, 7.0, 19.0)
    """
    none, one, two = sums
    return none + weight, one + weight * reward, two + weight * reward * reward


def _spread(sums: tuple[float, float, float], mean: float, other: float) -> float:
    """Sum weights times `(reward - mean) * (reward - other)`."""
    none, one, two = sums
    return two - (mean + other) * one + mean * other * none
