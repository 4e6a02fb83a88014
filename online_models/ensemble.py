"""Several models that answer together, each with the more to say the better it was of late."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, isnan
from typing import Final, Protocol

from schemas.errors import InvalidDeclaration

NAME: Final = "ensemble"
"""What stands as `model` in predictions that several models made."""
_FEWEST: Final = 2


class Member(Protocol):
    """As much of a `Scorer` as an ensemble asks."""

    @property
    def n_learned(self) -> int:
        """Labels it has learned."""

    @property
    def degraded_reason(self) -> str | None:
        """Why the last score is not the model's own."""

    def score(self, features: dict[str, float], /) -> float:
        """Estimate the probability of a positive label."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ensemble:
    """Answers by the weighted mean of its members' scores.

    A member weighs `exp(-(its log loss - the best one's) / temperature)`, by the log loss over its
    latest outcomes. The log loss of a mean is never above the mean of the log losses.

    Examples
    --------
    >>> ensemble = Ensemble(members=("a", "b", "c"), temperature=0.02)
    >>> weights = ensemble.weights({"a": 0.30, "b": 0.32, "c": 0.4})
    >>> {name: round(weight, 2) for name, weight in weights.items()}
    {'a': 0.73, 'b': 0.27, 'c': 0.0}
    """

    members: tuple[str, ...]
    """Models that learn."""
    temperature: float = 0.02
    """Nats of log loss that make a member weigh e times less."""

    def __post_init__(self) -> None:
        if len(set(self.members)) < max(_FEWEST, len(self.members)):
            raise InvalidDeclaration(f"an ensemble has different members, not {self.members}")
        if not self.temperature > 0:
            raise InvalidDeclaration(f"temperature is above 0, not {self.temperature}")

    def weights(self, log_losses: Mapping[str, float]) -> dict[str, float]:
        """Tell what each member weighs; all together 1.

        Who was not judged yet (NaN) weighs nothing beside those who were.
        """
        judged = {name: loss for name, loss in log_losses.items() if not isnan(loss)}
        if not judged:
            return dict.fromkeys(log_losses, 1.0 / len(log_losses))
        best = min(judged.values())
        parts = {
            name: exp((best - judged[name]) / self.temperature) if name in judged else 0.0
            for name in log_losses
        }
        whole = sum(parts.values())
        return {name: part / whole for name, part in parts.items()}

    def is_enough(self, n_members: int) -> bool:
        """Tell whether so many of its members are an ensemble."""
        return n_members >= _FEWEST


class EnsembleScorer:
    """The face an ensemble shows in the hot path: that of a model.

    Members that cannot answer an event are left out of its answer; where only those can that weigh
    nothing, they answer alike.

    Parameters
    ----------
    members
        Weight and scorer of each.

    Examples
    --------
    >>> from river import dummy
    >>> from online_models.scorer import Scorer
    >>> def constant(p):
    ...     class Constant(dummy.NoChangeClassifier):
    ...         def predict_proba_one(self, x):
    ...             return {True: p}
    ...     return Scorer(Constant(), n_learned=7)
    >>> ensemble = EnsembleScorer([(0.75, constant(0.2)), (0.25, constant(0.6))])
    >>> round(ensemble.score({}), 2), ensemble.degraded_reason
    (0.3, None)
    >>> failing = Scorer(dummy.NoChangeClassifier(), n_learned=0)
    >>> ensemble = EnsembleScorer([(1.0, failing), (0.0, constant(0.6))])
    >>> ensemble.score({}), ensemble.degraded_reason
    (0.6, None)
    """

    __slots__ = ("_members", "degraded_reason", "n_learned")

    def __init__(self, members: Sequence[tuple[float, Member]]) -> None:
        self._members = tuple(members)
        self.n_learned = min(member.n_learned for _, member in members)
        self.degraded_reason: str | None = None

    def score(self, features: dict[str, float]) -> float:
        """Estimate the probability of a positive label."""
        total = whole = 0.0
        unweighed: list[float] = []
        fallback: float | None = None
        reason: str | None = None
        for weight, member in self._members:
            score = member.score(features)
            if member.degraded_reason is None:
                total += weight * score
                whole += weight
                if weight == 0.0:  # not judged yet, or far behind
                    unweighed.append(score)
            elif fallback is None:
                fallback, reason = score, member.degraded_reason
        if whole > 0.0 or unweighed:
            self.degraded_reason = None
            return total / whole if whole > 0.0 else sum(unweighed) / len(unweighed)
        self.degraded_reason = reason
        return 0.5 if fallback is None else fallback
