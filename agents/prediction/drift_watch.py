"""Watches the scores of one partition, and knows whose scores they are."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Literal

import msgspec

from online_models.drift import RunLength, ScoreDrift, TwinAlarm, TwinDrift

NEVER: Final = -1

Reset = Literal["model", "schema"]
"""Why a detector began anew: the scores are another model's, or its features are other ones."""


class _Watched(msgspec.Struct, array_like=True):
    """Detectors as they are stored, with what they watch."""

    model: str
    schema: str
    detector: bytes
    beside: bytes = b""
    pinned_at: int = NEVER
    """When the twin was pinned whose scores these are; `NEVER`: they are of who answered."""
    answered: str = ""
    """Whose scores are held against the twin's."""


class DriftWatch:
    """Detectors for the scores of one model on one schema of features.

    What is watched is the frozen twin of the champion, and how far from it the champion is; before
    there ever was a twin, the champion itself. Two models may be as good as each other and score
    differently: their scores have no reference in common. So a detector begins anew where another
    model is watched, and where a model learns anew because features changed.

    Parameters
    ----------
    encoded
        What `encode` wrote.
    of_classes
        Whether the model tells classes apart.

    Examples
    --------
    >>> watch = DriftWatch(None, RunLength.scores(1_000), warmup_scores=100, schema="s")
    >>> watch.begin("a@twin", 7, answered="a"), watch.watch(0.5, 0.6, at_ms=0), watch.detector.n
    (None, None, 1)
    >>> successor = DriftWatch(
    ...     watch.encode(), RunLength.scores(1_000), warmup_scores=100, schema="s"
    ... )
    >>> successor.begin("a@twin", 7, answered="a"), successor.detector.n
    (None, 1)
    >>> successor.begin("b@twin", 9, answered="b"), successor.detector.n
    ('model', 0)
    """

    def __init__(
        self,
        encoded: bytes | None,
        run_length: RunLength,
        *,
        warmup_scores: int,
        schema: str,
        of_classes: bool = False,
    ) -> None:
        self._run_length: Final = run_length
        self._warmup_scores: Final = warmup_scores
        self._of_classes: Final = of_classes
        self._schema: Final = schema
        if encoded is None:
            self._watched = _Watched("", schema, b"")
            self._drift = self._new_drift()
            return
        self._watched = watched = msgspec.msgpack.decode(encoded, type=_Watched)
        self._drift = TwinDrift.decode(
            *(watched.detector, watched.beside, run_length),
            warmup_scores=warmup_scores,
            of_classes=of_classes,
        )

    @property
    def detector(self) -> ScoreDrift:
        """What watches the scores, and keeps the promise."""
        return self._drift.twin

    def is_of_twin(self, twin: str) -> bool:
        """Tell whether what a twin of this name said is the reference."""
        watched = self._watched
        is_its = watched.model == twin and watched.pinned_at != NEVER
        return is_its and watched.schema == self._schema

    def begin(self, model: str, pinned_at: int = NEVER, *, answered: str = "") -> Reset | None:
        """Say whose scores come next; tell why all is forgotten, if it is.

        Parameters
        ----------
        model
            Whose scores are watched.
        pinned_at
            When that was, if it is a twin.
        answered
            Whose scores are held against those of a twin; empty: nobody's.
        """
        watched = self._watched
        is_same = watched.model == model and watched.pinned_at == pinned_at
        if is_same and watched.schema == self._schema:
            if watched.answered != answered and answered:
                watched.answered = answered
                self._drift.forget_difference()
            return None
        reason: Reset = "schema" if watched.schema != self._schema else "model"
        had_watched = self.detector.n > 0
        self._watched = _Watched(model, self._schema, b"", b"", pinned_at, answered)
        self._drift = self._new_drift()
        return reason if had_watched else None

    def watch(
        self,
        score: float,
        own: float | None,
        at_ms: int,
        *,
        segments: tuple[int, ...] = (),
        names: Sequence[str] = (),
        of_class: str | None = None,
    ) -> TwinAlarm | None:
        """Take in a score, and that of who answered; tell if by now they are not what they were.

        Parameters are those of `online_models.drift.TwinDrift.update`.
        """
        found = self._drift.update(
            *(score, own, at_ms), segments=segments, names=names, of_class=of_class
        )
        if found is None or self._watched.pinned_at != NEVER:
            return found
        return replace(found, moved="unknown")  # the scores are those of who learns

    def encode(self) -> bytes:
        """Write what `DriftWatch` goes on from."""
        self._watched.detector, self._watched.beside = self._drift.encode()
        return msgspec.msgpack.encode(self._watched)

    def _new_drift(self) -> TwinDrift:
        return TwinDrift(
            self._run_length, warmup_scores=self._warmup_scores, of_classes=self._of_classes
        )
