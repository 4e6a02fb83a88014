"""Tells that the champion became worse, and puts `previous` back: `learn` sees all outcomes.

How good each model is it knows itself (`online_models.accuracy`). What was told of who serves, and
what speaks for `previous`, is a record on `models`, the changelog of the role. It is written in the
transaction of the batch with which it came to be so, and with it leave the alert and the decision:
whoever takes over tells nothing twice, and forgets nothing.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from agents.deployments import decisions
from agents.deployments.deployed import Deployed
from agents.kafka.batch import Batch
from agents.learning.own_decisions import BY, OwnDecisions
from agents.learning.pinned_previous import PinnedPrevious
from agents.observability.accuracy_alert import accuracy_alert
from agents.observability.alert_desk import AlertDesk
from agents.pipeline import Pipeline
from online_models.accuracy import DESIGN_EFFECT, AccuracyWatch
from online_models.change_evidence import ChangeEvidence
from online_models.learner import Learner
from schemas.alerts import Level
from schemas.deployments import split
from schemas.errors import UNREADABLE, ThalwegError
from schemas.outcomes import Outcome
from schemas.tasks import LABELS

logger = logging.getLogger(__name__)

KEY: Final = b"accuracy/told"
"""Of the record on `models`; no model has such a name."""
SURE: Final = 1_000.0
"""Labels until a `previous` that is as good seems better by chance, on average at the earliest; and
then only if the champion is critical is anything done."""

Scores = Mapping[str, float | None]
"""What the models' earlier selves gave an outcome; `None`: it is not to be judged."""

AnswerOfPrevious = Callable[[Outcome, Scores], float | None]
"""How good it was, from 0 to 1; `None`: it tells nothing."""


class Told(msgspec.Struct, array_like=True):
    """What was told, and what is known of who may replace the champion."""

    model: str = ""
    """The champion."""
    previous: str = ""
    level: Level = "normal"
    """What was told last, of whoever served then."""
    is_silenced: bool = False
    """It was told in a silence: nobody was called."""
    better: ChangeEvidence = msgspec.field(default_factory=ChangeEvidence)
    """That the answers of `previous` are better than the champion's to the same events."""
    served: AccuracyWatch = msgspec.field(default_factory=AccuracyWatch)
    """Of a version that serves, how good its answers are; of what learns its learner knows."""
    other: AccuracyWatch | None = None
    """The same of a `previous` that is a version; `None`: it was not asked yet."""


_decode = msgspec.msgpack.Decoder(Told).decode
_encode = msgspec.msgpack.Encoder().encode


class AccuracyGuard:
    """The level of who serves.

    Parameters
    ----------
    models, deployments
        Full names of the topics.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        deployed: Deployed,
        desk: AlertDesk,
        *,
        models: str,
        deployments: str,
    ) -> None:
        self._pipeline = pipeline
        self._deployed = deployed
        self._desk = desk
        self._models = models
        self._decisions = OwnDecisions(deployed, topic=deployments)
        self.pinned: Final = PinnedPrevious(deployed)
        self.begin(None)

    def begin(self, record: bytes | None) -> None:
        """Go on from what stands on `models`."""
        self._told = _decoded(record)
        self._written = record
        self._decisions.begin()
        self.pinned.begin()
        self._changes: list[tuple[int, Level, AccuracyWatch]] = []
        """Offset, level before, and the watch as it was then."""
        self._watch: AccuracyWatch | None = None

    def watching(self, learners: Mapping[str, Learner]) -> Callable[[int, Outcome, Scores], None]:
        """Tell what to do with each outcome of a batch that begins, once it was learned."""
        self._decisions.look()
        roles, told = self._deployed.roles, self._told
        previous = roles.previous or ""
        if (told.model, told.previous) != (roles.champion, previous):
            told.model, told.previous = roles.champion, previous
            told.better.begin()
            told.served, told.other = AccuracyWatch(), None
        name, version = split(roles.champion)
        # Only where labels are yes and no alone, a score says how near its answer came to one.
        judges_scores = LABELS[self._pipeline.task] == (bool,)
        learner = learners.get(name)
        if version is not None:
            ours = told.served
        elif learner is not None:
            ours = learner.progress.accuracy
        else:  # it has not caught up
            self._watch = None
            return lambda offset, outcome, scores: None
        self._watch = ours
        other = self._answers_of_previous(learners)

        def watch(offset: int, outcome: Outcome, scores: Scores) -> None:
            if version is None:
                if scores.get(name) is None:
                    return
            elif not judges_scores or not _judge_served(ours, outcome, name, version):
                return
            theirs = other(outcome, scores)
            if theirs is not None and ours.latest is not None:
                better = theirs - ours.latest
                told.better.update(better, outcome.event_at, share=1 / DESIGN_EFFECT)
            if ours.level != told.level and ours.best is not None:
                self._changes.append((offset, told.level, msgspec.structs.replace(ours)))
                told.level = ours.level

        return watch

    def level(self) -> tuple[str, Level]:
        """Tell who serves and at which level, as far as this is judged here: of a version."""
        return self._told.model, self._told.served.level

    def _answers_of_previous(self, learners: Mapping[str, Learner]) -> AnswerOfPrevious:
        """Tell how to find how good the answer of `previous` was; it is asked about all."""
        told = self._told
        previous, learner = told.previous, learners.get(told.previous)
        if learner is not None:
            watch = learner.progress.accuracy
            return lambda _, scores: None if scores.get(previous) is None else watch.latest
        found = self.pinned.answers(previous, told.other)
        if found is None:
            return lambda outcome, scores: None
        answer, told.other = found
        return lambda outcome, _: answer(outcome)

    def settle(self, batch: Batch, now_ms: int) -> None:
        """Tell what changed, roll back if that is due, and write down what was told."""
        told, watch = self._told, self._watch
        changes, self._changes = self._changes, []
        silence = self._desk.silence("accuracy", now_ms)
        if told.level == "normal":
            told.is_silenced = False
        elif watch is None:  # whoever has caught up tells what is left of it
            pass
        elif changes:  # these are told
            told.is_silenced = silence is not None
        elif told.is_silenced and silence is None and watch.level == told.level:
            changes.append((batch.next_offset, told.level, msgspec.structs.replace(watch)))
            told.is_silenced = False
        action = "none"
        is_free = silence is None and not self._decisions.is_underway
        if watch is not None and watch.level == "critical" and is_free:
            action = self._roll_back(batch, now_ms)
            if not changes and self._decisions.is_underway:
                changes.append((batch.next_offset, told.level, msgspec.structs.replace(watch)))
        for n, (offset, before, then) in enumerate(changes, 1):
            alert = accuracy_alert(
                then,
                use_case=self._pipeline.use_case,
                model=told.model,
                before=before,
                offset=offset,
                raised_at=now_ms,
                action=action if n == len(changes) else "none",
            )
            logger.warning("accuracy of %s: %s, %s", told.model, alert.level, alert.action)
            self._desk.emit(batch, alert)
        self._write(batch)

    def _write(self, batch: Batch) -> None:
        told = self._told
        is_followed = told.served.n_negatives or told.other is not None
        is_news = told.level != "normal" or told.better.n or is_followed
        if self._written is None and not is_news:
            return
        if (encoded := _encode(told)) != self._written:
            self._written = encoded
            batch.emit(self._models, encoded, KEY, partition=0)

    def _roll_back(self, batch: Batch, now_ms: int) -> str:
        """Put `previous` back if it is better for sure; tell what was done, or why not."""
        told = self._told
        if not told.previous:
            return "none: there is no previous version"
        if "@" in told.previous and not self.pinned.is_at_hand(told.previous):
            return f"none: {told.previous} is not loaded, so nobody knows whether it is better"
        if not told.better.reaches(SURE):
            return f"none: {told.previous} is not better for sure"
        try:
            event = decisions.rollback(
                self._pipeline,
                self._decisions.registry,
                at=now_ms,
                by=BY,
                why=f"{told.model} is critical, and {told.previous} better by"
                f" {told.better.mean:.3f} over {told.better.n} labels",
            )
        except ThalwegError as refusal:
            return f"none: {refusal}"
        self._decisions.take(event, batch)
        return f"rolled back to {event.reference}"


def _judge_served(watch: AccuracyWatch, outcome: Outcome, name: str, version: int) -> bool:
    """Judge what a version said itself; tell whether it did."""
    if outcome.judged == 0.0 or (outcome.model, outcome.model_version) != (name, version):
        return False
    if not isinstance(outcome.label, bool):  # nobody said
        return False
    watch.update(outcome.label, outcome.score, outcome.event_at)
    return True


def _decoded(record: bytes | None) -> Told:
    """Read what was told; what cannot be read was written by another release: begin anew."""
    if record is None:
        return Told()
    try:
        return _decode(record)
    except UNREADABLE as error:
        logger.warning("what was told of accuracy is forgotten: %s", error)
        return Told()
