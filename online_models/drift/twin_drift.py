"""Did the model move, or the world? The scores of a frozen twin, and what the model's are beside.

A twin to which nothing is taught gives other scores only where its inputs are others: then the
world moved. Where the model's scores move away from its twin's, the model did.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, NamedTuple

import msgspec

from online_models.drift.class_mix import ClassMix
from online_models.drift.detector import DriftAlarm, ScoreDrift
from online_models.drift.moments import Moments
from online_models.drift.run_length import RunLength
from online_models.drift.segments import SegmentMove, SegmentSums

Moved = Literal["world", "model", "both", "unknown", "answers"]

N_RECENT: Final = 100
"""Visits that are kept one by one: what an alarm holds against all before. A model that moved is
told of after so many, when its twin has had the time to see what its inputs do."""

_FEWEST: Final = 20
"""Visits that tell what differences were just before an onset."""

_BLOCK: Final = 10
"""Differences of which the mean is watched: that is not urgent, and costs a tenth."""


class _Visit(NamedTuple):
    score: float
    """Of the twin."""
    difference: float | None
    """The model's score less the twin's; `None`: the model gave none."""
    segments: tuple[int, ...]


class _Beside(msgspec.Struct, array_like=True):
    """What there is beside the detector of the twin, as it is stored."""

    difference: bytes = b""
    recent: list[_Visit] = []
    sums: SegmentSums = msgspec.field(default_factory=SegmentSums)
    waiting: tuple[int, DriftAlarm] | None = None
    """An alarm of the difference, and after how many visits more it is told."""
    block: list[float] = []
    """Differences that are no whole block yet."""
    classes: bytes = b""


@dataclass(frozen=True, slots=True)
class TwinAlarm:
    """An alarm, and whose doing it is."""

    alarm: DriftAlarm
    is_of_twin: bool
    """Else it is of the difference between the model's scores and its twin's."""
    moved: Moved
    segment: SegmentMove | None = None
    """What part of the traffic moved most, if that can be told."""
    of_class: str | None = None
    """Which class comes more often, of an alarm of `class_mix`; empty: one of the rare ones."""
    of_action: str | None = None
    """Which action comes more often, of an alarm of `action_mix`."""


class TwinDrift:
    """Watches the scores of a twin, with a promise on false alarms, and those of the model beside.

    The promise is that of the twin's detector. What is told of the difference keeps none: a model
    that learns moves. After an alarm of the twin both begin anew.

    Parameters
    ----------
    run_length, warmup_scores
        As `ScoreDrift` has them.
    of_classes
        Whether the model tells classes apart: then how often each is named is watched, too, and
        takes half of the budget.

    Examples
    --------
    >>> drift = TwinDrift(RunLength.scores(100_000), warmup_scores=200)
    >>> steady = [0.1 + 0.8 * (i * 0.618034 % 1.0) for i in range(2_000)]
    >>> [alarm for score in steady if (alarm := drift.update(score, 0.9 * score, at_ms=0))]
    []
    >>> alarms = [
    ...     alarm for score in steady if (alarm := drift.update(score / 2, 0.45 * score, at_ms=9))
    ... ]
    >>> alarms[0].is_of_twin, alarms[0].moved
    (True, 'world')

    The model forgets what it knew, and its twin does not:

    >>> drift = TwinDrift(RunLength.scores(100_000), warmup_scores=200)
    >>> [alarm for score in steady if (alarm := drift.update(score, score, at_ms=0))]
    []
    >>> alarms = [alarm for score in steady if (alarm := drift.update(score, 1 - score, at_ms=9))]
    >>> alarms[0].is_of_twin, alarms[0].moved
    (False, 'model')
    """

    def __init__(
        self, run_length: RunLength, *, warmup_scores: int, of_classes: bool = False
    ) -> None:
        self._of_each = run_length.times(2) if of_classes else run_length
        self.twin = ScoreDrift(self._of_each, warmup_scores=warmup_scores)
        """Of the twin's scores."""
        self._classes = ClassMix(self._of_each, warmup=warmup_scores) if of_classes else None
        self._of_blocks = run_length if run_length.in_time else run_length.times(1 / _BLOCK)
        self._warmup_blocks = max(2, warmup_scores // _BLOCK)
        self.difference = self._new_difference()
        """Of the model's less the twin's, by blocks."""
        self._block: list[float] = []
        self._recent: list[_Visit] = []
        self._sums = SegmentSums()
        self._waiting: tuple[int, DriftAlarm] | None = None

    def update(
        self,
        score: float,
        own: float | None,
        at_ms: int,
        *,
        segments: tuple[int, ...] = (),
        names: Sequence[str] = (),
        of_class: str | None = None,
    ) -> TwinAlarm | None:
        """Take in what the twin says of a visit, and what the model does.

        Parameters
        ----------
        score
            The twin's.
        own
            The model's; `None`: it gave none.
        segments, names
            Where the visit is (`online_models.drift.segments`), and what all segments are called.
        of_class
            The class that the twin names, if it tells classes apart.
        """
        difference = None if own is None else own - score
        self._recent.append(_Visit(score, difference, segments))
        if len(self._recent) > N_RECENT:
            del self._recent[0]
        self._sums.add(score, segments)
        alarm = self.twin.update(score, at_ms)
        if alarm is not None:
            return self._told_of_twin(alarm, names)
        if self._classes is not None and of_class is not None:
            moved = self._classes.update(of_class, at_ms)
            if moved is not None:
                named, alarm = moved
                return TwinAlarm(alarm, is_of_twin=True, moved="world", of_class=named)
        if difference is None:
            return None
        self._block.append(difference)
        if len(self._block) == _BLOCK:
            alarm = self.difference.update(sum(self._block) / _BLOCK, at_ms)
            self._block = []
            if alarm is not None and self._waiting is None:
                before = alarm.moments.without(self._blocks()[-alarm.n_since_onset :])
                n_since = alarm.n_since_onset * _BLOCK
                alarm = replace(alarm, n=alarm.n * _BLOCK, n_since_onset=n_since, moments=before)
                self._waiting = max(0, N_RECENT - n_since), alarm
        return self._told_of_difference()

    def forget_difference(self) -> None:
        """Begin anew with the model's scores: another one answers."""
        self.difference = self._new_difference()
        self._block = []
        self._waiting = None
        self._recent = [visit._replace(difference=None) for visit in self._recent]

    def encode(self) -> tuple[bytes, bytes]:
        """Write the detector of the twin, and what there is beside it; their sizes are bounded."""
        beside = _Beside(
            *(self.difference.encode(), self._recent, self._sums, self._waiting, self._block),
            b"" if self._classes is None else self._classes.encode(),
        )
        return self.twin.encode(), msgspec.msgpack.encode(beside)

    @classmethod
    def decode(
        cls,
        twin: bytes,
        beside: bytes,
        run_length: RunLength,
        *,
        warmup_scores: int,
        of_classes: bool = False,
    ) -> "TwinDrift":
        """Go on from what `encode` wrote; from a detector alone, if `beside` is empty."""
        drift = cls(run_length, warmup_scores=warmup_scores, of_classes=of_classes)
        each = drift._of_each
        drift.twin = ScoreDrift.decode(twin, each, warmup_scores=warmup_scores)
        if beside:
            found = msgspec.msgpack.decode(beside, type=_Beside)
            drift._recent, drift._sums = found.recent, found.sums
            drift._waiting, drift._block = found.waiting, found.block
            drift.difference = ScoreDrift.decode(
                found.difference, drift._of_blocks, warmup_scores=drift._warmup_blocks
            )
            if of_classes and found.classes:
                drift._classes = ClassMix.decode(found.classes, each, warmup=warmup_scores)
        return drift

    def _new_difference(self) -> ScoreDrift:
        return ScoreDrift(self._of_blocks, warmup_scores=self._warmup_blocks)

    def _told_of_twin(self, alarm: DriftAlarm, names: Sequence[str]) -> TwinAlarm:
        since = self._recent[-alarm.n_since_onset :]
        scores = [visit.score for visit in since]
        differences = [visit.difference for visit in since if visit.difference is not None]
        # That it moved is known, and of the other it has to be shown.
        world = alarm.moments.without(scores).moved(scores, errors=0.0)
        before = [each for each in self._recent[: -len(since)] if each.difference is not None]
        # Just before, since a model that learns is no more what it was when the reference was set.
        model = 0.0
        if len(before) >= _FEWEST:
            of_before = [each.difference for each in before if each.difference is not None]
            model = Moments.of(of_before).moved(differences)
        segment = self._sums.moved([(visit.score, visit.segments) for visit in since], names)
        self.forget_difference()
        self._sums = SegmentSums()
        return TwinAlarm(
            alarm,
            is_of_twin=True,
            # A model that learns follows where the world goes: that alone is not its doing.
            moved="both" if model > world else "world",
            segment=segment,
        )

    def _told_of_difference(self) -> TwinAlarm | None:
        if self._waiting is None:
            return None
        left, alarm = self._waiting
        if left > 0:
            self._waiting = left - 1, alarm
            return None
        self._waiting = None
        model = alarm.moments.moved(self._blocks(), errors=0.0)
        # What inputs do to the twin they do to the model as well, and so to what is between them.
        scores = [visit.score for visit in self._recent if visit.difference is not None]
        world = self.twin.moments.without(scores).moved(scores)
        moved: Moved = "model"
        if 2 * world > model:
            moved = "world" if world > model else "both"
        return TwinAlarm(alarm, is_of_twin=False, moved=moved)

    def _blocks(self) -> list[float]:
        """Tell the means of the latest blocks of differences."""
        found = [each.difference for each in self._recent if each.difference is not None]
        end = len(found) - len(self._block)
        starts = range(end % _BLOCK, end, _BLOCK)
        return [sum(found[start : start + _BLOCK]) / _BLOCK for start in starts]
