"""Whether a rollout may go on: the candidate's loss held against the champion's, label by label.

Both models judge every outcome before they learn it, so that a label tells of both: far fewer are
needed than where the labels of two groups of users are compared. What is compared is the log loss,
a difference being cut to one nat: no single label decides.
"""

import math
from dataclasses import dataclass
from typing import Final, Literal
from zlib import crc32

import msgspec

from online_models.confidence_sequence import ConfidenceSequence
from schemas.errors import InvalidDeclaration

MOST: Final = 1.0
"""Nats that one label may make of a difference."""
_EPSILON: Final = 1e-15
_MOST_HALVINGS: Final = 1_000
"""A probability stays above 0."""

Verdict = Literal["step", "stop"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Gates:
    """When a rollout steps by itself, and when it stops."""

    min_labels: int = 2_000
    """Labels that both models judged since the last step, before the next one."""
    error: float = 0.05
    """Probability of a wrong decision, over all looks and all steps: of a step though the candidate
    does harm, or of a stop though it does none."""
    tolerance: float = 0.0
    """Nats a label by which the candidate's log loss may be larger without being called harm. With
    0, a step needs a candidate that is better for sure."""
    one_in: int = 1
    """Of so many outcomes one counts, drawn by its prediction's id. Where the labels of a visit
    resemble each other, as many as a visit has: else the same is counted again and again."""
    promotes: bool = False
    """Whether, after the last step, the candidate becomes the champion by itself too."""

    def __post_init__(self) -> None:
        if self.min_labels < 1:
            raise InvalidDeclaration(f"min_labels is 1 or more, not {self.min_labels}")
        if self.one_in < 1:
            raise InvalidDeclaration(f"one_in is 1 or more, not {self.one_in}")
        if not 0 < self.error < 1:
            raise InvalidDeclaration(f"error is a probability between 0 and 1, not {self.error}")
        if not 0 <= self.tolerance < MOST:
            raise InvalidDeclaration(f"tolerance is from 0 to {MOST} nats, not {self.tolerance}")

    def counts(self, prediction_id: str) -> bool:
        """Tell whether an outcome is one of those that count; the same whoever asks again.

        >>> gates = Gates(one_in=10)
        >>> sum(gates.counts(f"shop:e{n}") for n in range(10_000))
        1031
        """
        return self.one_in == 1 or crc32(f"gate:{prediction_id}".encode()) % self.one_in == 0


class Comparison(msgspec.Struct, array_like=True):
    """What the labels said since a step of a rollout began.

    Examples
    --------
    >>> comparison = Comparison("tree-2026", exposure=0.02)
    >>> for offset in range(3_000):
    ...     comparison.update(offset, offset % 5 == 0, candidate=0.25, champion=0.4)
    >>> comparison.verdict(Gates(), n_steps=3)
    'step'
    >>> comparison.verdict(Gates(min_labels=5_000), n_steps=3) is None  # not enough labels
    True
    """

    rollout: str
    exposure: float
    since: int = -1
    """Offset on `deployments` of the decision that began the step; -1: the declaration did."""
    through: int = -1
    """Offset of the last outcome; earlier ones never count again."""
    differences: ConfidenceSequence = msgspec.field(default_factory=ConfidenceSequence)
    """Loss of the candidate less that of the champion."""
    candidate: str = ""
    champion: str = ""
    stage: int = 0
    """How often the rollout was compared anew before, whoever stepped it, back and forth too."""
    origin: int = -1
    """Offset on `deployments` of the last decision that says what one of both goes on from."""

    def update(self, offset: int, label: bool, *, candidate: float, champion: float) -> None:
        """Take in an outcome, and the scores both gave it before."""
        if offset <= self.through:
            return
        self.through = offset
        difference = _loss(label, candidate) - _loss(label, champion)
        self.differences.update(min(max(difference, -MOST), MOST))

    def verdict(self, gates: Gates, *, n_steps: int) -> Verdict | None:
        """Tell what is to be done; `None`: wait.

        Parameters
        ----------
        n_steps
            Steps that are declared, the beginning among them: they share the probability of an
            error.
        """
        error = self._error(gates, n_steps) / 2
        if self.differences.is_above(gates.tolerance, error=error):
            return "stop"
        if self.differences.n < gates.min_labels:
            return None
        return "step" if self.differences.is_below(gates.tolerance, error=error) else None

    def interval(self, gates: Gates, *, n_steps: int) -> tuple[float, float]:
        """Tell what the verdict rests on: between which bounds the difference lies."""
        return self.differences.interval(error=self._error(gates, n_steps))

    def _error(self, gates: Gates, n_steps: int) -> float:
        """Tell the share of this stage: all stages together, however many, have no more than all.

        Each has that of a step, but for the last one and those that people add: they halve what is
        left again and again.
        """
        n_halvings = min(max(0, self.stage - n_steps + 2), _MOST_HALVINGS)
        return gates.error / n_steps / 2.0**n_halvings


def _loss(label: bool, score: float) -> float:
    p = min(max(score, _EPSILON), 1.0 - _EPSILON)
    return -math.log(p) if label else -math.log1p(-p)
