"""What is answered while no model can: rules that people wrote, over features."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import inf, isnan

from schemas.errors import InvalidDeclaration


@dataclass(frozen=True, slots=True)
class Condition:
    """Something about a feature that holds or not."""

    feature: str
    above: float
    below: float

    def holds(self, features: Mapping[str, float]) -> bool:
        """Tell whether the feature is strictly within the bounds."""
        return self.above < features[self.feature] < self.below


@dataclass(frozen=True, slots=True)
class Rule(Condition):
    """See `when`."""

    score: float


def when(feature: str, *, above: float = -inf, below: float = inf, score: float) -> Rule:
    """Declare what to answer if a feature is above, below, or between; bounds are excluded.

    Raises
    ------
    InvalidDeclaration
        The score is none, or the rule says nothing or can never hold.

    Examples
    --------
    >>> when("declined_count_1h", above=3, score=0.9).holds({"declined_count_1h": 4.0})
    True
    """
    if isnan(score) or not 0 <= score <= 1:
        raise InvalidDeclaration(f"a rule's score is from 0 to 1, not {score}: {feature}")
    checked(feature, above, below)
    return Rule(feature, above, below, score)


def checked(feature: str, above: float, below: float) -> None:
    """Refuse bounds that say nothing, or between which there is nothing."""
    if not above < below:
        raise InvalidDeclaration(f"nothing is above {above} and below {below}: {feature}")
    if (above, below) == (-inf, inf):
        raise InvalidDeclaration(f"say when it holds, above or below what: {feature}")


class RuleBook:
    """Rules in their order: the first that holds answers.

    Parameters
    ----------
    rules
        As declared.
    features
        Names of the features there are.

    Raises
    ------
    InvalidDeclaration
        Names the feature that a rule is about and nobody declares.

    Examples
    --------
    >>> book = RuleBook([when("a", above=1, score=0.9), when("a", above=0, score=0.6)], ["a"])
    >>> book.score({"a": 2.0}), book.score({"a": 1.0}), book.score({"a": 0.0})
    (0.9, 0.6, None)
    """

    def __init__(self, rules: Sequence[Rule], features: Collection[str]) -> None:
        for rule in rules:
            if rule.feature not in features:
                raise InvalidDeclaration(
                    f"a rule is about `{rule.feature}`, which is no feature of the pipeline"
                )
        self._rules = tuple(rules)

    def __len__(self) -> int:
        return len(self._rules)

    def score(self, features: Mapping[str, float]) -> float | None:
        """Answer; `None`: no rule holds."""
        for rule in self._rules:
            if rule.holds(features):
                return rule.score
        return None
