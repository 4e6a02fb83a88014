"""The learn role: the one writer of every model.

`outcomes` has one partition, hence one order and one learner; a second worker of the role waits
as a standby of the consumer group. What is learned is published as signed snapshots on `models`,
in the transaction that commits the outcomes. A successor starts from the newest snapshots and
learns again what the log holds between them and the committed offset: the same models, to the
last bit. What it learned again it publishes at once, without waiting for an outcome.
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Final

import faust
import msgspec

from agents.dead_letter_limit import note_dead_letters
from agents.dead_letters import DeadLetters
from agents.deployments.deployed import Deployed
from agents.deployments.versions import Versions
from agents.kafka.app import App, Batch
from agents.kafka.keyed_state import Restoring
from agents.observability.learner_metrics import LearnerMetrics
from agents.observability.metrics import Metrics
from agents.outcome_log import OutcomeLog
from agents.pipeline import Pipeline
from agents.prediction.served_models import LEARNED_SINCE
from online_models.learner import Learner
from online_models.signing import Signer, Verifier
from online_models.snapshot import decode, encode
from schemas import topics
from schemas.errors import DeliveryFailed, SnapshotRefused
from schemas.outcomes import Outcome
from schemas.reasons import Reason
from streams.feature_set import FeatureSet
from streams.state import Table

SOURCE: Final = "/thalweg/learn"
CHAMPION_INTERVAL_S: Final = 0.5
"""How often the champion is published while it learns: the larger part of its freshness."""
CHALLENGER_INTERVAL_S: Final = 10.0
"""Challengers may be large, and nobody waits for them."""

MAX_SNAPSHOT_BYTES: Final = topics.MODELS.max_record_bytes - 4_096
"""What the topic takes, less than what key, headers and framing may need."""

Publish = Callable[[str, bytes, bytes], None]
"""Sends topic, value and key of a record beside all transactions (`App.publish`)."""

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
    ) -> None:
        self.changelog: Final = models
        self.learners: dict[str, Learner] = {}
        self._pipeline = pipeline
        self._deployed = deployed or Deployed(pipeline)
        self._features = features
        self._log = log
        self._dead_letter_limit = dead_letter_limit
        # In memory alone: the changelog is the models'.
        self._shares: Table[bytes] = Table("s", bytes, bytes)
        self._dead_letters = DeadLetters(dead_letters, SOURCE, metrics)
        self._signer = signer
        self._verifier = verifier
        self._metrics = LearnerMetrics(metrics)
        self._published_at_s: dict[str, float] = {}
        self._learned_since_ms: dict[str, int] = {}
        self._versions = Versions(
            pipeline, self._deployed, models=models, deployments=deployments, encode=self._version
        )
        self._learned_again: frozenset[str] = frozenset()
        """Models that know more than their snapshots, all of which is committed."""

    # ---- restore -------------------------------------------------------------------------------

    def begin_restore(self, partition: int) -> "_Restoring":
        """Start from newest snapshots."""
        return _Restoring(self)

    def install(self, partition: int, restored: Restoring) -> None:
        """Go on with what was restored."""
        if isinstance(restored, _Restoring):
            self.learners = restored.learners
            self._learned_again = restored.learned_again
            self._versions.begin(restored.versions)
            self._learned_since_ms.clear()
            self._published_at_s.clear()

    def discard(self, partition: int) -> None:
        """Stop learning: another worker is the writer now, and publishes what was learned."""
        self.learners = {}
        self._learned_again = frozenset()
        self._learned_since_ms.clear()
        self._metrics.no_longer_ours()

    def restored(self, snapshots: Mapping[str, bytes]) -> tuple[dict[str, Learner], frozenset[str]]:
        """Load each model's snapshot, or begin anew where there is no good one.

        Returns
        -------
        All learners, and the names of those that then learned more from the log.
        """
        learners = {name: self._load(name, snapshots.get(name)) for name in self._pipeline.models}
        n_before = {name: learner.n_learned for name, learner in learners.items()}
        self._catch_up(learners)
        return learners, frozenset(
            name for name, learner in learners.items() if learner.n_learned > n_before[name]
        )

    def _load(self, name: str, blob: bytes | None) -> Learner:
        if blob is not None:
            try:
                return decode(
                    blob,
                    self._verifier,
                    model=name,
                    schema=self._features.schema,
                    target=self._pipeline.label.target,
                ).learner
            except SnapshotRefused as refusal:
                self._metrics.refused(name, str(refusal))
        rule, lateness = self._pipeline.label, self._pipeline.allowed_lateness
        return Learner(
            name,
            feature_names=self._features.names,
            schema=self._features.schema,
            target=rule.target,
            label_delay=rule.horizon + lateness,
        )

    def _catch_up(self, learners: Mapping[str, Learner]) -> None:
        """Learn again what is committed but in no snapshot."""
        start = 1 + min(learner.through for learner in learners.values())
        for offset, value in self._log.committed(start):
            try:
                outcome = _decode_outcome(value)
            except msgspec.MsgspecError:
                continue  # it was set aside when it came
            for learner in learners.values():
                learner.learn(outcome, offset)

    def tell(self) -> None:
        """Set the metrics of all models; takes a millisecond a model, so once a second."""
        self._metrics.tell(self.learners.values())

    # ---- learn ---------------------------------------------------------------------------------

    def learn(self, batch: Batch, now_ms: int) -> None:
        """Judge and learn a batch of outcomes."""
        if not self.learners:
            raise DeliveryFailed("outcomes came before the learners were restored")
        set_aside: dict[int, Reason] = {}
        for record in batch:
            try:
                outcome = _decode_outcome(record.value() or b"")
            except msgspec.MsgspecError as error:
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
                continue
            offset = record.offset() or 0
            for learner in self.learners.values():
                learner.learn(outcome, offset)
        note_dead_letters(
            self._shares, batch.tp, batch.records, set_aside, limit=self._dead_letter_limit
        )
        self._dead_letters.count(set_aside.values())
        self._learned_again = frozenset()  # it leaves with what this batch taught
        _, known_at_ms = batch.records[0].timestamp()
        for name in self.learners:
            self._learned_since_ms.setdefault(name, known_at_ms)

    def publish_due(self, batch: Batch, elapsed_s: float, now_ms: int) -> None:
        """Emit a snapshot of every model that is due.

        Parameters
        ----------
        elapsed_s
            By a clock that nobody sets: it tells who is due.
        now_ms
            Wall time: it tells readers of a snapshot when it was made.
        """
        for name in list(self._learned_since_ms):
            if self.due_in_s(name, elapsed_s) <= 0:
                self._publish(batch, name, elapsed_s, now_ms)
        if batch.records:  # it comes to pass with them
            self._versions.settle(batch, self.learners, now_ms)

    def due_in_s(self, name: str, elapsed_s: float) -> float:
        """Tell how long a model that learned may still wait for its snapshot."""
        interval_s = (
            CHAMPION_INTERVAL_S if name == self._deployed.roles.champion else CHALLENGER_INTERVAL_S
        )
        return self._published_at_s.get(name, -math.inf) + interval_s - elapsed_s

    def champion_due_in_s(self, elapsed_s: float) -> float:
        """Tell how long the champion's news may still wait; 0 when there is none."""
        champion = self._deployed.roles.champion
        if champion not in self._learned_since_ms:
            return 0.0
        return max(0.0, self.due_in_s(champion, elapsed_s))

    def publish_learned_again(self, publish: Publish, elapsed_s: float, now_ms: int) -> None:
        """Publish what was learned again since `install`, unless an outcome came meanwhile.

        No batch is there to carry it, so it goes out beside the transactions. That is safe: it
        holds nothing but what is committed, and says how far that reaches, so whoever goes on from
        it comes to the same models. At worst a writer that was replaced at this very moment puts it
        behind a newer snapshot: then it is served until the next one.
        """
        for name in self._learned_again:
            if (blob := self._encoded(name, elapsed_s, now_ms)) is not None:
                publish(self.changelog, blob, name.encode())
        self._learned_again = frozenset()

    def _publish(self, batch: Batch, name: str, elapsed_s: float, now_ms: int) -> None:
        blob = self._encoded(name, elapsed_s, now_ms)
        since_ms = self._learned_since_ms.pop(name)
        if blob is not None:
            headers = [(LEARNED_SINCE, str(since_ms).encode())]
            batch.emit(self.changelog, blob, name.encode(), partition=0, headers=headers)

    def _encoded(self, name: str, elapsed_s: float, now_ms: int) -> bytes | None:
        """Write a snapshot; `None`: it is larger than the topic takes."""
        blob = encode(self.learners[name], self._signer, at_ms=now_ms)
        self._published_at_s[name] = elapsed_s
        if len(blob) > MAX_SNAPSHOT_BYTES:
            self._metrics.too_large(name, len(blob))
            return None
        self._metrics.published(name, len(blob))
        return blob

    def _version(self, name: str, now_ms: int) -> bytes | None:
        """Write a version of a model that is to be kept, likewise."""
        blob = encode(self.learners[name], self._signer, at_ms=now_ms)
        if len(blob) > MAX_SNAPSHOT_BYTES:
            self._metrics.too_large(name, len(blob))
            return None
        return blob


class _Restoring:
    """Newest snapshots, until the changelog is at its end; then learners."""

    def __init__(self, training: Training) -> None:
        self.learners: dict[str, Learner] = {}
        self.learned_again: frozenset[str] = frozenset()
        self.versions: frozenset[str] = frozenset()
        self._training = training
        self._snapshots: dict[str, bytes] = {}

    def restore(self, key: bytes, value: bytes | None) -> None:
        if value is None:
            self._snapshots.pop(key.decode(), None)
        else:
            self._snapshots[key.decode()] = value

    def complete(self) -> None:
        self.learners, self.learned_again = self._training.restored(self._snapshots)
        self.versions = frozenset(key for key in self._snapshots if "@" in key)


def build(app: App, outcomes: str, training: Training) -> None:
    """Register the role's agent on an app."""

    @app.agent(app.topic(outcomes, value_type=Batch))  # type: ignore[arg-type]
    async def learn(batches: faust.StreamT[Batch]) -> AsyncIterator[int]:
        waiting = batches.channel.queue  # type: ignore[attr-defined]
        async for batch in batches:
            training.learn(batch, _now_ms())
            training.publish_due(batch, time.monotonic(), _now_ms())
            # The last outcomes before a quiet time wait here for their snapshot rather than for
            # the next outcome: nobody waits for this batch to commit.
            while (wait_s := training.champion_due_in_s(time.monotonic())) and waiting.empty():
                await asyncio.sleep(min(wait_s, 0.05))
                training.publish_due(batch, time.monotonic(), _now_ms())
            yield len(batch)

    @app.timer(CHAMPION_INTERVAL_S)  # type: ignore[untyped-decorator]
    async def publish_learned_again() -> None:
        training.publish_learned_again(app.publish, time.monotonic(), _now_ms())


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
