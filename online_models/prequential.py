"""Test, then train: how good the scores were before their labels were known."""

import math
import operator
from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import repeat
from typing import Final, TypeVar

import msgspec

WINDOW: Final = 1_000
"""Outcomes that `recent_roc_auc` and `recent_log_loss` look back on."""

_BINS_PER_LOGIT: Final = 256
_LARGEST_LOGIT: Final = 20.0
_EPSILON: Final = 1e-15
"""Keeps one sure and wrong score from making the log loss infinite (River's choice too)."""


K = TypeVar("K", int, float)
"""Score, or bin of scores."""


class Prequential(msgspec.Struct):
    """ROC AUC and log loss over the lifetime of a model and over its latest outcomes.

    Bounded memory: the lifetime's ROC AUC takes scores within 1/256 of a logit for equal, so it
    is off by at most half the share of (positive, negative) pairs that lie that close. The
    window's is exact. Both are NaN until both labels were seen. An outcome that stands for several
    counts as that many; the window is of outcomes as they came.

    Examples
    --------
    >>> prequential = Prequential()
    >>> for label, score in [(False, 0.1), (False, 0.4), (True, 0.35), (True, 0.8)]:
    ...     prequential.update(label, score)
    >>> prequential.roc_auc, prequential.recent_roc_auc
    (0.75, 0.75)
    >>> round(prequential.log_loss, 3), prequential.n, prequential.positives
    (0.472, 4, 2)
    """

    n: int = 0
    positives: int = 0
    total_loss: float = 0.0
    positives_by_bin: dict[int, int | float] = {}
    negatives_by_bin: dict[int, int | float] = {}
    ring: list[tuple[bool, float]] = []
    """The latest outcomes; the oldest is the next to be overwritten."""
    extra_weight: float = 0.0
    """By how much all weights together exceed their number."""
    ring_weights: list[float] = []
    """Of the latest outcomes; empty as long as all are 1."""

    def update(self, label: bool, score: float, weight: float = 1.0) -> None:
        """Count one outcome and the score it was given beforehand, in [0, 1].

        `weight` > 0 says how many outcomes it stands for.
        """
        in_favour, against, bin_ = _said(score)
        # Whole numbers stay so: they are half as long in a snapshot.
        amount = 1 if weight == 1.0 else int(weight) if weight.is_integer() else weight
        if label:
            self.positives += 1
            self.total_loss -= in_favour * weight
            by_bin = self.positives_by_bin
        else:
            self.total_loss -= against * weight
            by_bin = self.negatives_by_bin
        by_bin[bin_] = by_bin.get(bin_, 0) + amount
        n = self.n
        if weight != 1.0 or self.ring_weights:
            self._remember_weight(weight)
        if n < WINDOW:
            self.ring.append((label, score))
        else:
            self.ring[n % WINDOW] = (label, score)
        self.n = n + 1

    @property
    def roc_auc(self) -> float:
        """Probability that a positive was scored above a negative, a tie counting half."""
        return _roc_auc(self.positives_by_bin, self.negatives_by_bin)

    @property
    def log_loss(self) -> float:
        """Mean negative log likelihood, in nats."""
        return self.total_loss / (self.n + self.extra_weight) if self.n > 0 else math.nan

    @property
    def recent_roc_auc(self) -> float:
        """ROC AUC of the latest outcomes."""
        return _roc_auc(self._recent_weights(True), self._recent_weights(False))

    @property
    def recent_log_loss(self) -> float:
        """Log loss of the latest outcomes."""
        if not self.ring:
            return math.nan
        losses = list(_losses(self.ring))
        if not self.ring_weights:
            return math.fsum(losses) / len(losses)
        weighted = math.fsum(map(operator.mul, losses, self.ring_weights))
        return weighted / math.fsum(self.ring_weights)

    def figures(self) -> dict[str, float]:
        """Tell all of it by name."""
        return {
            "roc_auc": self.roc_auc,
            "log_loss": self.log_loss,
            "recent_roc_auc": self.recent_roc_auc,
            "recent_log_loss": self.recent_log_loss,
        }

    def _remember_weight(self, weight: float) -> None:
        """Let a weight be that of the latest outcome."""
        self.extra_weight += weight - 1.0
        if not self.ring_weights:
            self.ring_weights = [1.0] * len(self.ring)
        if len(self.ring_weights) < WINDOW:
            self.ring_weights.append(weight)
        else:
            self.ring_weights[self.n % WINDOW] = weight

    def _recent_weights(self, label: bool) -> dict[float, float]:
        """Sum the weights of the latest outcomes of one label, by score."""
        sums: dict[float, float] = {}
        weights = self.ring_weights or repeat(1.0)
        for (found, score), weight in zip(self.ring, weights, strict=False):
            if found == label:
                sums[score] = sums.get(score, 0.0) + weight
        return sums


@lru_cache(maxsize=8)  # what needs no model says the same for long
def _said(score: float) -> tuple[float, float, int]:
    """Tell the log of a score, that of what it leaves to the other label, and its bin."""
    p = min(max(score, _EPSILON), 1.0 - _EPSILON)
    against = math.log1p(-p)
    in_favour = math.log(p)
    logit = min(max(in_favour - against, -_LARGEST_LOGIT), _LARGEST_LOGIT)
    return in_favour, against, round(logit * _BINS_PER_LOGIT)


def _losses(outcomes: Iterable[tuple[bool, float]]) -> Iterable[float]:
    for label, score in outcomes:
        p = min(max(score, _EPSILON), 1.0 - _EPSILON)
        yield -math.log(p) if label else -math.log1p(-p)


def _roc_auc(positives: Mapping[K, float], negatives: Mapping[K, float]) -> float:
    pairs = sum(positives.values()) * sum(negatives.values())
    if pairs == 0:
        return math.nan
    twice_won = negatives_below = 0.0
    for score in sorted(positives.keys() | negatives.keys()):
        ties = negatives.get(score, 0)
        twice_won += positives.get(score, 0) * (2 * negatives_below + ties)
        negatives_below += ties
    return twice_won / (2 * pairs)
