"""Watches the scores of one partition, and knows whose scores they are."""

from typing import Final, Literal

import msgspec

from online_models.drift import DriftAlarm, RunLength, ScoreDrift

Reset = Literal["model", "schema"]
"""Why a detector began anew: another model serves, or its features are other ones."""


class _Watched(msgspec.Struct, array_like=True):
    """A detector as it is stored, with what it watches."""

    model: str
    schema: str
    detector: bytes


class DriftWatch:
    """A detector for the scores of one model on one schema of features.

    Two models may be as good as each other and score differently: their scores have no reference
    in common. So a detector begins anew where another model serves, and where a model learns
    anew because features changed.

    Parameters
    ----------
    encoded
        What `encode` wrote.

    Examples
    --------
    >>> watch = DriftWatch(None, RunLength.scores(1_000), warmup_scores=100, schema="s")
    >>> [watch.begin("a"), watch.watch(0.5, at_ms=0), watch.detector.n]
    [None, None, 1]
    >>> successor = DriftWatch(
    ...     watch.encode(), RunLength.scores(1_000), warmup_scores=100, schema="s"
    ... )
    >>> [successor.begin("a"), successor.detector.n, successor.begin("b"), successor.detector.n]
    [None, 1, 'model', 0]
    """

    def __init__(
        self, encoded: bytes | None, run_length: RunLength, *, warmup_scores: int, schema: str
    ) -> None:
        self._run_length: Final = run_length
        self._warmup_scores: Final = warmup_scores
        self._schema: Final = schema
        if encoded is None:
            self._watched = _Watched("", schema, b"")
            self.detector = self._new_detector()
            return
        self._watched = msgspec.msgpack.decode(encoded, type=_Watched)
        self.detector = ScoreDrift.decode(
            self._watched.detector, run_length, warmup_scores=warmup_scores
        )

    def begin(self, model: str) -> Reset | None:
        """Say whose score comes next; tell why all is forgotten, if it is."""
        watched = self._watched
        if watched.model == model and watched.schema == self._schema:
            return None
        reason: Reset = "schema" if watched.schema != self._schema else "model"
        had_watched = self.detector.n > 0
        self._watched = _Watched(model, self._schema, b"")
        self.detector = self._new_detector()
        return reason if had_watched else None

    def watch(self, score: float, at_ms: int) -> DriftAlarm | None:
        """Take in a score of the model; tell if by now its scores are not what they were."""
        return self.detector.update(score, at_ms)

    def encode(self) -> bytes:
        """Write what `DriftWatch` goes on from."""
        self._watched.detector = self.detector.encode()
        return msgspec.msgpack.encode(self._watched)

    def _new_detector(self) -> ScoreDrift:
        return ScoreDrift(self._run_length, warmup_scores=self._warmup_scores)
