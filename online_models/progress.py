"""A learner as data: what it has seen, and who it was."""

from collections.abc import Callable, Mapping
from typing import Any, Final, Generic, Protocol, TypeVar

import msgspec

from online_models.accuracy import AccuracyWatch
from online_models.estimator import Estimator
from online_models.held_back import NEVER, Frozen
from online_models.scorer import Prior, Scores
from schemas.labels import LabelValue
from schemas.outcomes import Outcome

_SAMPLES: Final = 8


class Evaluation(Protocol):
    """How good answers were."""

    n: int
    """Outcomes they were held against."""

    def figures(self) -> Mapping[str, float]:
        """Tell it in numbers, by name; NaN where there is nothing to tell yet."""


class Counts(msgspec.Struct):
    """What a learner has seen so far, whatever its task."""

    through: int = -1
    """Offset of the last outcome taken in; earlier ones never count again."""
    n_learned: int = 0
    n_skipped: int = 0
    """Outcomes of another feature schema or label rule, with a feature or a label that is of no
    use, or that made the model raise."""
    n_unjudged: int = 0
    """Outcomes learned but not evaluated: their label took longer than declared."""
    known_until: int = NEVER
    """Latest time at which a label became known that was taken in (event time, ms)."""
    samples: list[list[float]] = msgspec.field(default_factory=list)
    """Feature vectors learned last, to try a snapshot with."""
    n_unweighted: int = 0
    """Outcomes learned as if each weighed 1, since the model takes no weights."""
    first: int = -1
    """Offset of the first outcome learned; -1 before it, and where a former release wrote this."""
    lineage: str = ""
    """What it comes from (`online_models.lineage`); empty likewise."""
    n_raised: int = 0
    """Outcomes that made the model raise, each of which it may have learned in part."""
    accuracy: AccuracyWatch = msgspec.field(default_factory=AccuracyWatch)
    """Whether it became worse; begins with the first release that looks."""

    def count(self, outcome: Outcome) -> None:
        """Count an outcome that was learned."""
        if len(self.samples) < _SAMPLES:
            self.samples.append(outcome.features)
        else:
            self.samples[self.n_learned % _SAMPLES] = outcome.features
        self.n_learned += 1

    def teach(
        self,
        estimator: Estimator,
        features: dict[str, float],
        outcome: Outcome,
        *,
        takes_weights: bool,
    ) -> None:
        """Teach the model; one that takes no weights learns as if all were 1."""
        learn_one: Callable[..., None] = estimator.learn_one
        if outcome.weight == 1.0 or not takes_weights:
            learn_one(features, outcome.label)
        else:
            learn_one(features, outcome.label, w=outcome.weight)


class Progress(Protocol):
    """What a learner of one task has seen: `Counts`, and how well it did."""

    through: int
    n_learned: int
    n_skipped: int
    n_unjudged: int
    known_until: int
    samples: list[list[float]]
    n_unweighted: int
    first: int
    lineage: str
    n_raised: int
    accuracy: AccuracyWatch
    last_label: Any
    # Each task has evaluations of its own.
    prequential: Any
    """How good the model has been."""

    @property
    def base_rate(self) -> Any:  # noqa: ANN401
        """The same outcomes judged by what labels were so far, whatever the features."""

    @property
    def last_class(self) -> Any:  # noqa: ANN401
        """The same outcomes judged by the label before."""

    def accepts(self, outcome: Outcome) -> bool:
        """Tell whether its label is one that the task learns."""

    def teach(
        self,
        estimator: Estimator,
        features: dict[str, float],
        outcome: Outcome,
        *,
        takes_weights: bool,
    ) -> None:
        """Teach the model."""

    def learned(self, outcome: Outcome) -> None:
        """Count an outcome that was learned."""

    def known(self, outcome: Outcome) -> None:
        """Note that a label became known, be it learned or not."""

    def judge(self, outcome: Outcome, features: dict[str, float], then: Frozen) -> float:
        """Hold the answers of an earlier self against the label; tell its score."""

    def scorer(self, model: Estimator) -> Scores:
        """Show a model, which has seen this, as the hot path sees it; the scorer owns it then."""


P = TypeVar("P", bound=Progress)


class EarlierSelf(msgspec.Struct, frozen=True, array_like=True):
    """All of a `Frozen` but its model."""

    known_until: int
    n_learned: int
    base_rate: Prior
    last_label: LabelValue | None

    @classmethod
    def of(cls, frozen: Frozen) -> "EarlierSelf":
        """Leave the model out."""
        scorer = frozen.scorer
        return cls(frozen.known_until, scorer.n_learned, scorer.base_rate, frozen.last_label)

    def with_model(
        self, model: Estimator, pickled: bytes, scorer: Callable[[Estimator, int, Any], Scores]
    ) -> Frozen:
        """Put the model back, as its task shows models."""
        shown = scorer(model, self.n_learned, self.base_rate)
        return Frozen(self.known_until, shown, self.last_label, pickled)


class LearnerState(msgspec.Struct, Generic[P], frozen=True):
    """A learner as data."""

    label_delay_ms: int
    progress: P
    older: EarlierSelf
    newer: EarlierSelf
    model: bytes
    """Pickle of the model now: all that serving needs."""
    earlier_models: bytes = b""
    """Pickle of its older and its newer earlier self together, as former releases wrote it."""
    older_model: bytes = b""
    newer_model: bytes = b""
