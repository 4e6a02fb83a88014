"""Have the scores of all partitions changed? A detector of their means, visit after visit.

Visits of one hour resemble each other (a campaign, a sale), though the order within it tells
nothing: one by one they would alarm several times as often as promised. Means of ten do not.
"""

from dataclasses import replace
from typing import Final

import msgspec

from online_models.drift.detector import DriftAlarm, ScoreDrift, Standing
from online_models.drift.run_length import RunLength

BLOCK: Final = 10
"""Visits of which the mean is watched."""


class BlockDrift:
    """Watches means of ten visits.

    Parameters
    ----------
    run_length, warmup_scores
        As `ScoreDrift` has them, of visits.

    Examples
    --------
    >>> drift = BlockDrift(RunLength.scores(100_000), warmup_scores=200)
    >>> steady = [0.1 + 0.8 * (n * n * 7 % 997 / 997) for n in range(3_000)]
    >>> [alarm for score in steady if (alarm := drift.update(score, at_ms=0))]
    []
    >>> alarms = [alarm for score in steady if (alarm := drift.update(score / 2, at_ms=9))]
    >>> alarms[0].signal, alarms[0].n - 3_000
    ('score_mean', 90)
    """

    def __init__(self, run_length: RunLength, *, warmup_scores: int) -> None:
        self._run_length: Final = _of_blocks(run_length)
        self._drift = ScoreDrift(self._run_length, warmup_scores=_warmup(warmup_scores))
        self._block: list[float] = []

    def update(self, score: float, at_ms: int) -> DriftAlarm | None:
        """Take in a visit of an event time; tell if by now scores are not what they were."""
        self._block.append(score)
        if len(self._block) < BLOCK:
            return None
        block, self._block = self._block, []
        alarm = self._drift.update(sum(block) / BLOCK, at_ms)
        if alarm is None:
            return None
        return replace(alarm, n=alarm.n * BLOCK, n_since_onset=alarm.n_since_onset * BLOCK)

    @property
    def threshold(self) -> float:
        """The statistic at which an alarm is raised, in blocks where scores are counted."""
        return self._drift.threshold

    def standings(self) -> list[Standing]:
        """Tell of each signal where it stands."""
        return self._drift.standings()

    def encode(self) -> bytes:
        """Write the state; its size is bounded."""
        return msgspec.msgpack.encode((self._drift.encode(), self._block))

    @classmethod
    def decode(cls, blob: bytes, run_length: RunLength, *, warmup_scores: int) -> "BlockDrift":
        """Go on where the encoded detector was, under a policy that may have changed."""
        drift = cls(run_length, warmup_scores=warmup_scores)
        encoded, drift._block = msgspec.msgpack.decode(blob, type=tuple[bytes, list[float]])
        drift._drift = ScoreDrift.decode(
            encoded, drift._run_length, warmup_scores=_warmup(warmup_scores)
        )
        return drift


def _of_blocks(run_length: RunLength) -> RunLength:
    return run_length if run_length.in_time else run_length.times(1 / BLOCK)


def _warmup(scores: int) -> int:
    return max(2, scores // BLOCK)
