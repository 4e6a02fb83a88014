"""All learners of a pipeline, and where in the log they are."""

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import msgspec

from agents.dead_letter_limit import note_dead_letters
from agents.dead_letters import DeadLetters
from agents.deployments.deployed import Deployed
from agents.deployments.versions import Versions
from agents.kafka.batch import Batch, Headers
from agents.kafka.keyed_state import Restoring
from agents.learning.accuracy_guard import AccuracyGuard
from agents.learning.own_decisions import SOURCE
from agents.learning.publication import Publication
from agents.learning.rebuild import Beginning, Rebuilds
from agents.learning.restoring import Curriculum, LearnersRestoring
from agents.learning.rollout_gate import RolloutGate
from agents.learning.twins import Twins
from agents.learning.visit_watch import VisitWatch
from agents.observability.alert_desk import AlertDesk
from agents.observability.learner_metrics import LearnerMetrics
from agents.observability.metrics import Metrics
from agents.outcome_log import OutcomeLog
from agents.pipeline import Pipeline
from agents.prediction.served_models import LEARNED_SINCE
from online_models.chunks import is_part
from online_models.late_learners import At, Gap, LateLearners
from online_models.learner import Learner
from online_models.signing import Signer, Verifier
from schemas import topics
from schemas.deployments import split
from schemas.errors import UNREADABLE, DeliveryFailed, SnapshotRefused
from schemas.outcomes import Outcome
from schemas.reasons import Reason
from streams.feature_set import FeatureSet
from streams.state import Table

if TYPE_CHECKING:
    from agents.observability.spans import Tracer

logger = logging.getLogger(__name__)

Publish = Callable[[str, bytes, bytes, Headers | None], None]
"""Sends topic, value, key and headers of a record beside all transactions (`App.publish`)."""

_decode_outcome = msgspec.msgpack.Decoder(Outcome).decode


class Training:
    """All learners of a pipeline, and where in the log they are.

    Also the keyed state of the role (`agents.kafka.keyed_state`): its changelog is `models`.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        features: FeatureSet,
        log: OutcomeLog,
        *,
        models: str,
        dead_letters: str,
        signer: Signer,
        verifier: Verifier,
        metrics: Metrics,
        dead_letter_limit: float = 1.0,
        deployed: Deployed | None = None,
        deployments: str = topics.DEPLOYMENTS.name,
        alerts: str = topics.ALERTS.name,
        environment: str = "",
        objection: Callable[[str], str | None] = lambda candidate: None,
        version: Callable[[str], bytes | None] = lambda reference: None,
        stopwatch: Callable[[], float] = time.thread_time,
        tracer: "Tracer | None" = None,
    ) -> None:
        self.changelog: Final = models
        self.learners: dict[str, Learner] = {}
        """Those that learn every outcome as it comes, the champion among them."""
        self.late = LateLearners((), 0)
        """Those that still learn what the others have learned."""
        self._deployed = deployed or Deployed(pipeline)
        self._curriculum = Curriculum(
            pipeline=pipeline,
            features=features,
            log=log,
            verifier=verifier,
            environment=environment,
            version=version,
        )
        self._rebuilds = Rebuilds(
            self._deployed, schema=features.schema, target=pipeline.label.target
        )
        self._dead_letter_limit = dead_letter_limit
        self._tracer = tracer
        # In memory alone: the changelog is the models'.
        self._shares: Table[bytes] = Table("s", bytes, bytes)
        self._dead_letters = DeadLetters(dead_letters, SOURCE, metrics)
        self._metrics = LearnerMetrics(metrics)
        self._publication = Publication(
            lambda: self._deployed.roles.champion,
            signer,
            self._metrics,
            environment=environment,
            rebuilt=self._rebuilds.of,
            stopwatch=stopwatch,
        )
        self._versions = Versions(
            pipeline,
            self._deployed,
            models=models,
            deployments=deployments,
            encode=self._publication.version,
        )
        self._twins = Twins(
            self._deployed,
            self._rebuilds,
            models=models,
            warm_from=pipeline.drift.model_warmup_outcomes,
            encode=self._publication.pinned,
        )
        self._gate = RolloutGate(
            self._deployed,
            metrics,
            models=models,
            deployments=deployments,
            objection=objection,
            rebuilds=self._rebuilds,
        )
        desk = AlertDesk(self._deployed, metrics, topic=alerts, source=SOURCE)
        self._guard = AccuracyGuard(
            pipeline, self._deployed, desk, models=models, deployments=deployments
        )
        self._visits = VisitWatch(pipeline, features, self._deployed, desk, metrics, models=models)
        self._learned_again: frozenset[str] = frozenset()
        """Models that know more than their snapshots, of what no batch will carry."""
        self._learned_late: set[str] = set()
        """Late ones that know more than their snapshots."""

    # ---- restore -------------------------------------------------------------------------------

    def begin_restore(self, partition: int) -> LearnersRestoring:
        """Start from newest snapshots."""
        return LearnersRestoring(
            self._curriculum,
            lambda: split(self._deployed.roles.champion)[0],
            self._metrics,
            beginning=self._rebuilds.beginning,
        )

    def install(self, partition: int, restored: Restoring) -> None:
        """Go on with what was restored."""
        if isinstance(restored, LearnersRestoring):
            self.learners = restored.learners
            self.late = restored.late
            self._learned_again = restored.learned_again
            self._learned_late.clear()
            self._rebuilds.begin(restored.rebuilt, restored.begun)
            for learner in self.learners.values():
                self._rebuilds.caught_up(learner, None)
            self._versions.begin(restored.versions)
            self._twins.begin(restored.versions, restored.twins, restored.frozen)
            self._gate.begin(restored.comparison)
            self._guard.begin(restored.told)
            self._visits.begin(restored.watched)
            self._publication.begin(restored.places)

    def discard(self, partition: int) -> None:
        """Stop learning: another worker is the writer now, and publishes what was learned."""
        self.learners = {}
        self.late = LateLearners((), 0)
        self._learned_again = frozenset()
        self._learned_late.clear()
        self._rebuilds.begin({}, {})
        self._publication.begin({})
        self._gate.begin(None)
        self._guard.begin(None)
        self._visits.no_longer_ours()
        self._metrics.no_longer_ours()

    # ---- who is late ---------------------------------------------------------------------------

    def outcomes(self, gap: Gap) -> list[At]:
        """Read what the late ones need; waits for the broker, so not for the event loop."""
        return list(self._curriculum.outcomes(*gap))

    def due(self) -> list[Beginning]:
        """Tell which models are to be learned anew, because that was decided, or to be asked."""
        asked = self._guard.pinned.due() if self.learners else None
        return [*self._rebuilds.due(self.learners), *([] if asked is None else [asked])]

    def prepared(self, beginning: Beginning) -> Learner | None:
        """Make the learner of a model that begins anew; `None`: the version was refused.

        Waits for the broker, so not for the event loop.
        """
        try:
            return self._curriculum.begin(beginning)
        except SnapshotRefused as refusal:
            self._metrics.refused(beginning.origin or beginning.model, str(refusal))
            return None

    def begin_anew(self, beginning: Beginning, learner: Learner | None) -> None:
        """Let a learner catch up, to take the place of the present one of its model.

        Where there is none, since its version was refused, the present one goes on. A version that
        is to be asked alone learns nothing.
        """
        if beginning not in self.due():
            return  # another worker is the writer by now, or something else was decided
        if beginning == self._guard.pinned.due():
            self._guard.pinned.loaded(beginning, learner)
        elif learner is None:
            self._rebuilds.refused(beginning)
        else:
            self._rebuilds.begun(learner, beginning)
            self.late.begin_anew(learner)

    def teach_late(self, may_go_on: Callable[[], bool], elapsed_s: float) -> None:
        """Let late learners go on for a slice; who has caught up learns with the others.

        One that begins anew because that was decided is late, too, and leaves its place to the
        former one until it has caught up.
        """
        n_before = {learner.model: learner.n_learned for learner in self.late.learners}
        late = {learner.model: learner for learner in self.late.learners}
        in_time = self.late.teach(may_go_on)
        for name, learner in late.items():
            if learner.n_learned > n_before[name] and name not in self.learners:
                self._learned_late.add(name)
                self._publication.wait_from(name, elapsed_s)
        for learner in in_time:
            logger.info("%s has caught up", learner.model)
            if self._rebuilds.caught_up(learner, self.learners.get(learner.model)):
                self._learned_late.add(learner.model)
            self.learners[learner.model] = learner
            self._publication.wait_no_longer(learner.model)
        # On its way each is published, too: who dies meanwhile need not begin anew.
        due = {
            name
            for name in self._learned_late
            if name in self.learners or self._publication.due_in_s(name, elapsed_s) <= 0
        }
        self._learned_late -= due
        self._learned_again |= due

    def tell(self) -> None:
        """Set the metrics of all models; takes a millisecond a model, so once a second."""
        self._metrics.tell(self.learners.values())
        self._metrics.lags(dict.fromkeys(self.learners, 0) | self.late.lags())
        self._metrics.version_level(*self._guard.level())
        self._gate.tell()

    # ---- learn ---------------------------------------------------------------------------------

    def learn(self, batch: Batch, now_ms: int) -> None:
        """Judge and learn a batch of outcomes."""
        if not self.learners:
            raise DeliveryFailed("outcomes came before the learners were restored")
        set_aside: dict[int, Reason] = {}
        learned: list[At] = []
        compare = self._gate.comparing()
        watch = self._guard.watching(self.learners)
        watch_visit = self._visits.watching(self._twins.frozen)
        tracer = self._tracer
        for record in batch:
            span = None if tracer is None else tracer.of(record, batch.tp)
            try:
                outcome = _decode_outcome(record.value() or b"")
            except UNREADABLE as error:
                # Nobody but predict should write the log.
                self._dead_letters.emit(
                    batch,
                    record,
                    Reason.INVALID_FIELD,
                    str(error),
                    exception=type(error),
                    now_ms=now_ms,
                )
                set_aside[record.offset() or 0] = Reason.INVALID_FIELD
                if span is not None:
                    span.fail(Reason.INVALID_FIELD)
                    span.end()
                continue
            offset = record.offset() or 0
            learned.append((offset, outcome))
            scores = {
                name: learner.learn(outcome, offset) for name, learner in self.learners.items()
            }
            if compare is not None:
                compare(offset, outcome, scores)
            watch(offset, outcome, scores)
            watch_visit(offset, outcome)
            if span is not None:
                span.tell(prediction_id=outcome.prediction_id, models=list(scores))
                span.end()
        self._metrics.known([outcome for _, outcome in learned])
        self._gate.settle(batch, now_ms)
        self._guard.settle(batch, now_ms)
        self._visits.settle(batch, now_ms)
        note_dead_letters(
            self._shares, batch.tp, batch.records, set_aside, limit=self._dead_letter_limit
        )
        self._dead_letters.count(set_aside.values())
        self.late.went_on(learned, batch.next_offset)
        # Of those that this batch taught it leaves with that.
        self._learned_again -= self.learners.keys()
        _, known_at_ms = batch.records[0].timestamp()
        for name in self.learners:
            self._publication.note_news(name, known_at_ms)

    def publish_due(self, batch: Batch, elapsed_s: float, now_ms: int) -> None:
        """Emit a snapshot of every model that is due.

        Parameters
        ----------
        elapsed_s
            By a clock that nobody sets: it tells who is due.
        now_ms
            Wall time: it tells readers of a snapshot when it was made.
        """
        for name, since_ms in self._publication.due(elapsed_s):
            for key, value in self._publication.records(self.learners[name], elapsed_s, now_ms):
                headers = None if is_part(key) else _since(since_ms)
                batch.emit(self.changelog, value, key, partition=0, headers=headers)
        if batch.records:  # it comes to pass with them
            self._versions.settle(batch, self.learners, now_ms)
            self._twins.settle(batch, self.learners, now_ms)

    def due_in_s(self, name: str, elapsed_s: float) -> float:
        """Tell how long a model that learned may still wait for its snapshot."""
        return self._publication.due_in_s(name, elapsed_s)

    def champion_due_in_s(self, elapsed_s: float) -> float:
        """Tell how long the champion's news may still wait; 0 when there is none."""
        return self._publication.champion_due_in_s(elapsed_s)

    def publish_news(self, publish: Publish, elapsed_s: float, now_ms: int) -> None:
        """Publish what became due after the batch that taught it was committed.

        In a quiet time no further batch comes to carry a snapshot that had to wait for long. It is
        as safe beside the transactions as what was learned again, once all batches are committed.
        """
        for name, since_ms in self._publication.due(elapsed_s):
            self._publish_beside(publish, name, elapsed_s, now_ms, _since(since_ms))

    def publish_learned_again(self, publish: Publish, elapsed_s: float, now_ms: int) -> None:
        """Publish what was learned again since `install`, unless an outcome came meanwhile.

        No batch is there to carry it, so it goes out beside the transactions. That is safe: what a
        model knows follows from the log alone, and from how far it was read, which the snapshot
        says. So whoever goes on from it comes to the same models. At worst a writer that was
        replaced at this very moment puts it behind a newer snapshot: then it is served until the
        next one.
        """
        for name in self._learned_again:
            self._publish_beside(publish, name, elapsed_s, now_ms, None)
        self._learned_again = frozenset()

    def _publish_beside(
        self, publish: Publish, name: str, elapsed_s: float, now_ms: int, headers: Headers | None
    ) -> None:
        learner = self.learners.get(name) or self._late(name)
        for key, value in self._publication.records(learner, elapsed_s, now_ms):
            publish(self.changelog, value, key, None if is_part(key) else headers)

    def _late(self, name: str) -> Learner:
        return next(learner for learner in self.late.learners if learner.model == name)


def _since(ms: int) -> Headers:
    return [(LEARNED_SINCE, str(ms).encode())]
