"""A learner as data: what it has seen, and who it was."""

from typing import Final

import msgspec
from river import base

from online_models.held_back import NEVER, Frozen
from online_models.prequential import Prequential
from online_models.scorer import Scorer
from schemas.outcomes import Outcome

_SAMPLES: Final = 8


class Progress(msgspec.Struct):
    """What a learner has seen so far."""

    through: int = -1
    """Offset of the last outcome taken in; earlier ones never count again."""
    n_learned: int = 0
    n_positives: int = 0
    n_skipped: int = 0
    """Outcomes of another feature schema or label rule, with a feature that is no usable number, or
    that made the model raise."""
    n_unjudged: int = 0
    """Outcomes learned but not evaluated: their label took longer than declared."""
    known_until: int = NEVER
    """Latest time at which a label became known that was taken in (event time, ms)."""
    last_label: bool = False
    prequential: Prequential = msgspec.field(default_factory=Prequential)
    base_rate: Prequential = msgspec.field(default_factory=Prequential)
    """The same outcomes judged by the share of positives so far."""
    last_class: Prequential = msgspec.field(default_factory=Prequential)
    """The same outcomes judged by the label before."""
    samples: list[list[float]] = msgspec.field(default_factory=list)
    """Feature vectors learned last, to try a snapshot with."""
    extra_weight: float = 0.0
    """By how much the weights of all learned outcomes together exceed their number."""
    extra_positive_weight: float = 0.0
    """The same of the positives among them."""
    n_unweighted: int = 0
    """Outcomes learned as if each weighed 1, since the model takes no weights."""

    def learned(self, outcome: Outcome) -> None:
        """Count an outcome that was learned.

        One that revises another replaces it in the base rate: the former label was the other one,
        a positive weighs 1, and the weight of both together says what a negative weighs.
        """
        if len(self.samples) < _SAMPLES:
            self.samples.append(outcome.features)
        else:
            self.samples[self.n_learned % _SAMPLES] = outcome.features
        self.n_learned += 1
        self.n_positives += outcome.label
        if outcome.revises:
            of_negative = outcome.weight - 1.0
            self.extra_weight += -of_negative if outcome.label else of_negative - 2.0
            self.extra_positive_weight -= not outcome.label
        else:
            self.extra_weight += outcome.weight - 1.0
            if outcome.label:
                self.extra_positive_weight += outcome.weight - 1.0
        self.known(outcome)

    def known(self, outcome: Outcome) -> None:
        """Note that a label became known, be it learned or not."""
        self.known_until = max(self.known_until, outcome.labelled_at)
        if outcome.judged > 0.0:
            self.last_label = outcome.label

    def scorer(self, model: base.Classifier) -> Scorer:
        """Show a model, which has seen this, as the hot path sees it; the scorer owns it then."""
        weight = self.n_learned + self.extra_weight
        positive = self.n_positives + self.extra_positive_weight
        # Outside of [0, 1] only if an outcome was skipped that another one revises.
        base_rate = min(max(positive / weight, 0.0), 1.0) if weight > 0 else 0.5
        return Scorer(model, n_learned=self.n_learned, base_rate=base_rate)


class EarlierSelf(msgspec.Struct, frozen=True, array_like=True):
    """All of a `Frozen` but its model."""

    known_until: int
    n_learned: int
    base_rate: float
    last_label: bool

    @classmethod
    def of(cls, frozen: Frozen) -> "EarlierSelf":
        """Leave the model out."""
        scorer = frozen.scorer
        return cls(frozen.known_until, scorer.n_learned, scorer.base_rate, frozen.last_label)

    def with_model(self, model: base.Classifier, pickled: bytes) -> Frozen:
        """Put the model back."""
        scorer = Scorer(model, n_learned=self.n_learned, base_rate=self.base_rate)
        return Frozen(self.known_until, scorer, self.last_label, pickled)


class LearnerState(msgspec.Struct, frozen=True):
    """A learner as data."""

    label_delay_ms: int
    progress: Progress
    older: EarlierSelf
    newer: EarlierSelf
    model: bytes
    """Pickle of the model now: all that serving needs."""
    earlier_models: bytes = b""
    """Pickle of its older and its newer earlier self together, as former releases wrote it."""
    older_model: bytes = b""
    newer_model: bytes = b""
