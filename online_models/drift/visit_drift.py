"""Tells of the visits of all partitions if answers or scores are no longer what they were."""

import msgspec

from online_models.drift.answer_drift import AnswerDrift
from online_models.drift.block_drift import BlockDrift
from online_models.drift.detector import DriftAlarm, Standing
from online_models.drift.run_length import RunLength
from online_models.drift.twin_drift import Moved


class VisitDrift:
    """A detector of answers, and one of scores, each with a promise of its own.

    Parameters
    ----------
    of_answers
        Average number of visits, or time, to a false alarm of answers.
    of_scores
        The same of scores; `None`: they are not watched here.
    warmup
        Visits before the first bets.

    Examples
    --------
    >>> drift = VisitDrift(RunLength.scores(10_000), None, warmup=100)
    >>> [drift.update(0.5, 0.5 if n % 2 else -0.5, at_ms=n) for n in range(2)], drift.n
    ([[], []], 2)
    """

    def __init__(self, of_answers: RunLength, of_scores: RunLength | None, *, warmup: int) -> None:
        self.n = 0
        """Visits since it was made."""
        self._answers = AnswerDrift(of_answers, warmup=warmup)
        self._scores: BlockDrift | None = None
        if of_scores is not None:
            self._scores = BlockDrift(of_scores, warmup_scores=warmup)

    def update(self, score: float, rest: float, at_ms: int) -> list[tuple[Moved, DriftAlarm]]:
        """Take in a visit of an event time; tell what moved by now.

        Parameters
        ----------
        score
            What the twin said.
        rest
            The answer less that (`rest_of`).
        """
        self.n += 1
        found: list[tuple[Moved, DriftAlarm]] = []
        alarm = None if self._scores is None else self._scores.update(score, at_ms)
        if alarm is not None:
            found.append(("world", alarm))
        alarm = self._answers.update(rest, at_ms)
        if alarm is not None:
            found.append(("answers", alarm))
        return found

    def standings(self) -> list[tuple[Standing, float]]:
        """Tell of each signal where it stands, with its threshold."""
        found = [(each, self._answers.threshold) for each in self._answers.standings()]
        if self._scores is not None:
            found += [(each, self._scores.threshold) for each in self._scores.standings()]
        return found

    def encode(self) -> bytes:
        """Write the state; its size is bounded."""
        scores = b"" if self._scores is None else self._scores.encode()
        return msgspec.msgpack.encode((self.n, self._answers.encode(), scores))

    @classmethod
    def decode(
        cls, blob: bytes, of_answers: RunLength, of_scores: RunLength | None, *, warmup: int
    ) -> "VisitDrift":
        """Go on where the encoded ones were, under a policy that may have changed."""
        drift = cls(of_answers, of_scores, warmup=warmup)
        drift.n, answers, scores = msgspec.msgpack.decode(blob, type=tuple[int, bytes, bytes])
        drift._answers = AnswerDrift.decode(answers, of_answers, warmup=warmup)
        if of_scores is not None and scores:
            drift._scores = BlockDrift.decode(scores, of_scores, warmup_scores=warmup)
        return drift
