"""Test, then train, of classes: log loss, accuracy, macro F1."""

import math
from collections.abc import Mapping
from typing import Final

import msgspec

from online_models.prequential import WINDOW

_EPSILON: Final = 1e-15
"""Keeps one sure and wrong score from making the log loss infinite."""


class Tally(msgspec.Struct, array_like=True):
    """How often a class was meant, and was said."""

    right: int = 0
    said: int = 0
    meant: int = 0


class ClassEvaluation(msgspec.Struct):
    """Log loss, accuracy and macro F1 over the lifetime of a model, the first two of late, too.

    Macro F1 is the mean of the F1 of each class that was ever meant or said. Memory grows with the
    number of classes alone. All are NaN before the first outcome.

    Examples
    --------
    >>> evaluation = ClassEvaluation()
    >>> for label, scores in [("a", {"a": 0.9, "b": 0.1}), ("b", {"a": 0.6, "b": 0.4})]:
    ...     evaluation.update(label, scores)
    >>> evaluation.accuracy, round(evaluation.macro_f1, 3), round(evaluation.log_loss, 3)
    (0.5, 0.333, 0.511)
    """

    n: int = 0
    total_loss: float = 0.0
    n_right: int = 0
    classes: dict[str, Tally] = {}
    ring: list[tuple[float, bool]] = []
    """Of the latest outcomes, the loss and whether the class was right; the oldest is the next to
    be overwritten."""

    def update(self, label: str, scores: Mapping[str, float]) -> None:
        """Count one outcome and the probabilities that classes were given beforehand."""
        loss = -math.log(min(max(scores.get(label, 0.0), _EPSILON), 1.0))
        meant = self.classes.setdefault(label, Tally())
        meant.meant += 1
        is_right = False
        if scores:
            prediction = max(scores, key=scores.__getitem__)
            is_right = prediction == label
            said = self.classes.setdefault(prediction, Tally())
            said.said += 1
            said.right += is_right
        self.total_loss += loss
        self.n_right += is_right
        if len(self.ring) < WINDOW:
            self.ring.append((loss, is_right))
        else:
            self.ring[self.n % WINDOW] = (loss, is_right)
        self.n += 1

    @property
    def log_loss(self) -> float:
        """Mean negative log likelihood, in nats."""
        return self.total_loss / self.n if self.n else math.nan

    @property
    def accuracy(self) -> float:
        """Share of outcomes whose class was the most probable one."""
        return self.n_right / self.n if self.n else math.nan

    @property
    def macro_f1(self) -> float:
        """Mean of the F1 of each class."""
        if not self.classes:
            return math.nan
        f1 = [2 * each.right / (each.said + each.meant) for each in self.classes.values()]
        return math.fsum(f1) / len(f1)

    def figures(self) -> dict[str, float]:
        """Tell all of it by name."""
        losses = [loss for loss, _ in self.ring]
        n_right = sum(is_right for _, is_right in self.ring)
        n = len(self.ring)
        return {
            "log_loss": self.log_loss,
            "accuracy": self.accuracy,
            "macro_f1": self.macro_f1,
            "recent_log_loss": math.fsum(losses) / n if n else math.nan,
            "recent_accuracy": n_right / n if n else math.nan,
        }
