"""Drive a pipeline step by step: publish, look at what came of it, let time pass, crash it.

The parts are those of production: cleaning, deduplication, features, scoring, drift, label join,
learning, signed snapshots, the watch over data quality. What is missing is what would make a test
slow or leave it to chance: broker, threads, processes and the wall clock. It is to a pipeline what
TopologyTestDriver is to Kafka Streams (KIP-247).
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, cast

import msgspec
from faust.types.tuples import TP

from agents.deployments import decisions
from agents.deployments.log import decoded, headers
from agents.entities.aggregate_partition import AggregatePartition
from agents.entities.aggregate_plan import AggregatePlan
from agents.kafka.batch import Batch, Headers, Output
from agents.learning.training import Training
from agents.observability.alert_desk import AlertDesk
from agents.observability.metrics import Metrics
from agents.observability.quality_alert import QualityWatch
from agents.observability.sample_ratio_alert import SampleRatioWatch
from agents.pipeline import Pipeline
from agents.prediction.partition import Partition
from agents.prediction.predict_plan import PredictPlan
from agents.prediction.served_models import Served, ServedModels
from agents.testing.memory_topics import MemoryRecord, MemoryTopics
from online_models.chunks import SnapshotParts, snapshot_of
from online_models.registry import Registry
from online_models.signing import Signer, Verifier
from online_models.snapshot import environment_of
from schemas import topics
from schemas.alerts import Alert
from schemas.deployments import Deployment
from schemas.entity_features import EntityFeatures
from schemas.events import UserEvent
from schemas.feature_updates import FeatureUpdate
from schemas.labels import Label
from schemas.outcomes import Outcome
from schemas.predictions import Prediction, ShadowPrediction
from schemas.review import ReviewItem
from schemas.telemetry import Telemetry
from schemas.topics import Topic

if TYPE_CHECKING:
    from agents.observability.spans import Tracer

START: Final = datetime(2024, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_OUTCOMES: Final = TP(topics.OUTCOMES.name, 0)
_INPUTS: Final = (topics.USER_EVENTS, topics.LABELS, topics.REVIEW_VERDICTS)

Role = Literal["predict", "aggregate", "learn"]
R = TypeVar("R")


class PipelineDriver:
    """A pipeline in this process.

    Everything that a record causes is there when `publish` returns: its prediction, the features
    after it, outcomes that it settled, and what the models learned of those.

    Parameters
    ----------
    pipeline
        What `examples/shop/pipeline.py` calls `PIPELINE`.
    partitions
        How many partitions users are spread over.
    start
        What the clock shows at first, in UTC.
    tracer
        Makes spans of sampled records, by the clock on the wall.

    Examples
    --------
    >>> from examples.shop.pipeline import PIPELINE
    >>> driver = PipelineDriver(PIPELINE)
    >>> driver.publish({"user_id": "ada", "action": "home", "ts": driver.now_ms})
    >>> [(each.user_id, each.source) for each in driver.predictions]
    [('ada', 'default')]

    Nobody is asked to wait half an hour to see what comes of it:

    >>> driver.advance(timedelta(minutes=40))
    >>> driver.publish({"user_id": "bob", "action": "home", "ts": driver.now_ms})
    >>> [(each.user_id, each.label) for each in driver.outcomes]
    [('ada', False)]
    >>> driver.crash("predict")
    >>> driver.features("bob") is None
    False
    """

    def __init__(
        self,
        pipeline: Pipeline,
        *,
        partitions: int = 1,
        start: datetime = START,
        tracer: "Tracer | None" = None,
    ) -> None:
        self.now_ms = (start - _EPOCH) // _MS
        """What the clock shows, ms since the epoch."""
        self.metrics = Metrics()
        """What the parts count and measure."""
        self._tracer = tracer
        self._partitions = range(partitions)
        self._topics = MemoryTopics(partitions)
        self._committed: dict[TP, int] = {}
        self._n_counted = 0
        """Predictions whose users were counted."""
        self._sign_with(Signer.generate())
        self.deploy(pipeline)

    # ---- what a test does ----------------------------------------------------------------------

    def publish(
        self,
        *events: UserEvent | Mapping[str, Any] | bytes | None,
        topic: Topic = topics.USER_EVENTS,
        key: bytes | None = None,
        headers: Mapping[str, bytes] | None = None,
    ) -> None:
        """Publish records now, let them be processed in one batch, and learn what they settled.

        Parameters
        ----------
        events
            Records, or the bytes of what may be none.
        topic
            `schemas.topics.USER_EVENTS` or `LABELS`.
        key
            By default the `user_id`.
        """
        self.append(*events, topic=topic, key=key, headers=headers)
        self.process()

    def label(self, label: Label | Mapping[str, Any] | bytes) -> None:
        """Publish a label, and learn what it settled."""
        self.publish(label, topic=topics.LABELS)  # type: ignore[arg-type]  # encoded alike

    def append(
        self,
        *events: UserEvent | Mapping[str, Any] | bytes | None,
        topic: Topic = topics.USER_EVENTS,
        key: bytes | None = None,
        headers: Mapping[str, bytes] | None = None,
    ) -> None:
        """Publish records that nobody has polled yet."""
        for event in events:
            value = event if event is None or isinstance(event, bytes) else _encode(event)
            record = Output(
                topic.name,
                value,
                _user_key(event) if key is None else key,
                partition=-1,
                headers=list(headers.items()) if headers else None,
            )
            self._topics.append(record, at_ms=self.now_ms)

    def process(self, *, crash: bool = False) -> None:
        """Process what waits.

        Parameters
        ----------
        crash
            End predict before the batch commits: nothing of it becomes visible, and what waits
            goes on waiting.
        """
        for number in self._partitions:
            for topic in _INPUTS:
                self._process(TP(topic.name, number), crash=crash)
        if crash:
            self._restart_predict()
        else:
            self._aggregate()
            self._learn()
            self._watch()

    def advance(self, span: timedelta) -> None:
        """Let time pass; models that are due are published meanwhile."""
        self.now_ms += span // _MS
        self._learn()

    def crash(self, role: Role) -> None:
        """Kill a worker; its successor restores from what was committed."""
        if role == "predict":
            self._restart_predict()
        elif role == "aggregate":
            self._restart_aggregate()
        else:
            self._restart_learn()

    def deploy(self, pipeline: Pipeline) -> None:
        """Start all workers anew with another pipeline, such as one with other features."""
        self._pipeline = pipeline
        self._environment = environment_of("", pipeline.use_case)
        self._plan = PredictPlan(
            pipeline,
            self.metrics,
            _name,
            n_partitions=len(self._partitions),
            tracer=self._tracer,
        )
        self._follow_deployments()
        self._restart_predict()
        self._restart_aggregate()
        self._restart_learn()
        self._desk = AlertDesk(
            self._plan.deployed, self.metrics, topic=topics.ALERTS.name, source="/thalweg/watch"
        )
        self._quality = QualityWatch(pipeline, self.metrics)
        self._ratio = SampleRatioWatch(pipeline.use_case, self._plan.deployed, self.metrics)
        self._watch()

    def promote(self, model: str, *, why: str = "a test does") -> None:
        """Make another model the champion, as `thalweg models promote` does."""
        self._decide(decisions.promotion, model, why=why)

    def roll_back(self, *, why: str = "a test does") -> None:
        """Put back who was the champion before."""
        self._decide(decisions.rollback, why=why)

    def keep(self, model: str, *, why: str = "a test does") -> None:
        """Let a version of a model be kept, with the next outcome."""
        self._decide(decisions.wish, model, why=why)

    def rebuild(self, model: str, *, why: str = "a test does") -> None:
        """Let a model be learned anew from the beginning of the log, and take its own place."""
        self._decide(decisions.rebuild, model, why=why)
        self._catch_up()
        self._learn()

    def resume(self, reference: str, *, why: str = "a test does") -> None:
        """Let a challenger go on from one of its versions, as `thalweg models resume` does."""
        self._decide(decisions.resumption, reference, why=why)
        self._catch_up()
        self._learn()

    def archive(self, version: str, *, why: str = "a test does") -> None:
        """Let a version never serve again."""
        self._decide(decisions.archiving, version, why=why)

    def step(self, exposure: float | None = None, *, why: str = "a test does") -> None:
        """Let more users be in the rollout, as `thalweg experiments step` does."""
        self._decide(decisions.step, exposure, why=why)

    def stop(self, *, why: str = "a test does") -> None:
        """End the rollout."""
        self._decide(decisions.stop, why=why)

    def silence(self, kind: str, until: int, *, why: str = "a test does") -> None:
        """Let alerts of a kind, `*` for all, be written down only until a time (ms)."""

        def make(_: Pipeline, registry: Registry, **said: Any) -> Deployment:
            return decisions.silencing(registry, kind, until=until, **said)

        self._decide(make, why=why)

    def unsilence(self, kind: str, *, why: str = "a test does") -> None:
        """Take that back."""

        def make(_: Pipeline, registry: Registry, **said: Any) -> Deployment:
            return decisions.unsilencing(registry, kind, **said)

        self._decide(make, why=why)

    def change_keys(self) -> None:
        """Start all workers anew with another signing key, and trust in no other."""
        self._sign_with(Signer.generate())
        self.deploy(self._pipeline)

    # ---- what a test looks at ------------------------------------------------------------------

    def read(self, topic: Topic) -> list[MemoryRecord]:
        """Read all records of a topic, with keys, headers and timestamps."""
        return self._topics.read(topic.name)

    @property
    def predictions(self) -> list[Prediction]:
        """Everything that was predicted."""
        return self._decoded(topics.PREDICTIONS, Prediction)

    @property
    def shadow_predictions(self) -> list[ShadowPrediction]:
        """What challengers would have said."""
        return self._decoded(topics.SHADOW_PREDICTIONS, ShadowPrediction)

    @property
    def reviews(self) -> list[ReviewItem]:
        """What people should judge."""
        return self._decoded(topics.REVIEW_QUEUE, ReviewItem)

    @property
    def alerts(self) -> list[Alert]:
        """What needs a look."""
        return self._decoded(topics.ALERTS, Alert)

    @property
    def outcomes(self) -> list[Outcome]:
        """The training log."""
        return [
            msgspec.msgpack.decode(record.value() or b"", type=Outcome)
            for record in self.read(topics.OUTCOMES)
        ]

    @property
    def dead_letters(self) -> list[MemoryRecord]:
        """What could not be processed: original bytes, the reason in the headers."""
        return self.read(topics.DEAD_LETTERS)

    def features(self, user_id: str) -> dict[str, float] | None:
        """Tell a user's features as the online store has them; `None`: none, or forgotten."""
        found = None
        for record in self.read(topics.FEATURE_UPDATES):
            if record.key() == user_id.encode():
                found = record.value()
        return None if found is None else msgspec.json.decode(found, type=FeatureUpdate).features

    def entity_features(self, entity: str) -> dict[str, float] | None:
        """Tell the features of an entity, such as `item:sku-1`, as the online store has them."""
        found = None
        for record in self.read(topics.ENTITY_FEATURES):
            if record.key() == entity.encode():
                found = record.value()
        return None if found is None else msgspec.json.decode(found, type=EntityFeatures).features

    @property
    def model_versions(self) -> dict[str, int]:
        """Tell the version of each model in service."""
        return {name: served.version for name, served in self._served.by_name.items()}

    def in_service(self, name: str) -> Served | None:
        """Find a model in service, by `name`, `name@version`, or `name@twin`."""
        return self._served.by_name.get(name)

    # ---- the parts -----------------------------------------------------------------------------

    def _sign_with(self, signer: Signer) -> None:
        self._signer, self._verifier = signer, Verifier([signer.public_pem()])

    def _process(self, tp: TP, *, crash: bool) -> None:
        batch = self._topics.batch(tp, self._committed.get(tp, 0))
        if not batch.records:
            return
        partition = self._by_number[tp.partition]
        if tp.topic == topics.USER_EVENTS.name:
            partition.process_events(batch, self._served.by_name, self.now_ms)
        else:
            partition.process_labels(batch, self.now_ms)
        if not crash:
            self._topics.append(*batch.outputs, at_ms=self.now_ms)
            self._committed[tp] = batch.next_offset

    def _aggregate(self) -> None:
        for number, partition in self._aggregates.items():
            tp = TP(topics.ENTITY_EVENTS.name, number)
            batch = self._topics.batch(tp, self._committed.get(tp, 0))
            if batch.records:
                partition.process(batch, self.now_ms)
                self._topics.append(*batch.outputs, at_ms=self.now_ms)
                self._committed[tp] = batch.next_offset
        self._look_for_entities()

    def _look_for_entities(self) -> None:
        """Let predict know what was published of entities since it looked last."""
        for number in self._partitions:
            tp = TP(topics.ENTITY_FEATURES.name, number)
            batch = self._topics.batch(tp, self._offered.get(tp, 0))
            for record in batch:
                self._plan.known_entities.offer(record.key(), record.value())
            self._offered[tp] = batch.next_offset

    def _learn(self) -> None:
        self._begin_due()
        self._training.publish_learned_again(
            self._publish_snapshot, self.now_ms / 1_000, self.now_ms
        )
        batch = self._topics.batch(_OUTCOMES, self._committed.get(_OUTCOMES, 0))
        if batch.records:
            self._training.learn(batch, self.now_ms)
        self._training.publish_due(batch, self.now_ms / 1_000, self.now_ms)
        self._topics.append(*batch.outputs, at_ms=self.now_ms)
        self._committed[_OUTCOMES] = batch.next_offset
        for output in batch.outputs:
            if output.topic == topics.MODELS.name:
                self._offer(output.key or b"", output.value)
        if any(output.topic == topics.DEPLOYMENTS.name for output in batch.outputs):
            self._follow_deployments()

    def _publish_snapshot(
        self, topic: str, value: bytes, key: bytes, headers: Headers | None
    ) -> None:
        snapshot = Output(topic, value, key, partition=0, headers=headers)
        self._topics.append(snapshot, at_ms=self.now_ms)
        self._offer(key, value)

    def _offer(self, key: bytes, value: bytes | None) -> None:
        if (whole := self._snapshots.add(key, value)) is not None:
            self._served.offer(whole.model, whole.blob)

    def _watch(self) -> None:
        telemetry = Telemetry(
            "predict-0",
            pid=0,
            at=self.now_ms,
            samples=self.metrics.samples(),
            exemplars=self.metrics.take_exemplars(),
        )
        answered = self._topics.read(topics.PREDICTIONS.name)[self._n_counted :]
        self._n_counted += len(answered)
        batch = Batch(TP(topics.TELEMETRY.name, 0), (), 0)
        self._desk.emit(
            batch,
            *self._quality.fold(telemetry),
            *self._ratio.predictions(cast(Any, answered), self.now_ms),
        )
        self._topics.append(*batch.outputs, at_ms=self.now_ms)

    def _decide(self, make: Callable[..., Deployment], *what: object, why: str) -> None:
        registry = self._plan.deployed.registry
        event = make(self._pipeline, registry, *what, at=self.now_ms, by="test", why=why)
        output = Output(
            topics.DEPLOYMENTS.name,
            _encode(event),
            event.use_case.encode(),
            partition=0,
            headers=headers(event, "/thalweg/models"),
        )
        self._topics.append(output, at_ms=self.now_ms)
        self._follow_deployments()
        self._look_for_versions()

    def _look_for_versions(self) -> None:
        """Let predict load those that came into use."""
        missing = self._served.missing()
        parts = SnapshotParts(missing.__contains__)
        for key, value in self._topics.compacted(TP(topics.MODELS.name, 0)):
            if (whole := parts.add(key, value)) is not None:
                self._served.offer(whole.model, whole.blob)

    def _follow_deployments(self) -> None:
        registry = self._plan.deployed.registry
        for record in self.read(topics.DEPLOYMENTS):
            if (event := decoded(record.value())) is not None:
                registry = registry.fold(event, record.offset())
        self._plan.deployed.follow(registry)

    def _restart_predict(self) -> None:
        self._served = ServedModels(
            self._plan.deployed,
            self._plan.features.schema,
            self._pipeline.label.target,
            self._verifier,
            self.metrics,
            environment=self._environment,
            stopwatch=lambda: 0.0,
        )
        self._snapshots = SnapshotParts(self._served.is_in_use)
        for key, value in self._topics.compacted(TP(topics.MODELS.name, 0)):
            self._offer(key, value)
        self._by_number = {number: self._restored(number) for number in self._partitions}
        self._offered: dict[TP, int] = {}
        self._look_for_entities()

    def _restart_aggregate(self) -> None:
        self._aggregates: dict[int, AggregatePartition] = {}
        if not self._plan.features.gathered:
            return
        plan = AggregatePlan(self._pipeline, self.metrics, _name, deduplicates=False)
        for number in self._partitions:
            partition = self._aggregates[number] = AggregatePartition(number, plan)
            for key, value in self._topics.compacted(TP(topics.AGGREGATE_STATE.name, number)):
                partition.restore(key, value)
            partition.complete()

    def _restored(self, number: int) -> Partition:
        partition = Partition(number, self._plan)
        for key, value in self._topics.compacted(TP(topics.PREDICT_STATE.name, number)):
            partition.restore(key, value)
        partition.complete()
        return partition

    def _restart_learn(self) -> None:
        self._training = Training(
            self._pipeline,
            self._plan.features,
            _CommittedOutcomes(self._topics, self._committed),
            models=topics.MODELS.name,
            dead_letters=topics.DEAD_LETTERS.name,
            signer=self._signer,
            verifier=self._verifier,
            metrics=self.metrics,
            stopwatch=lambda: 0.0,  # else what is published when would hang on the machine
            deployed=self._plan.deployed,
            environment=self._environment,
            version=self._version,
            tracer=self._tracer,
        )
        restoring = self._training.begin_restore(0)
        for key, value in self._topics.compacted(TP(topics.MODELS.name, 0)):
            restoring.restore(key, value)
        restoring.complete()
        self._training.install(0, restoring)
        self._catch_up()

    def _version(self, reference: str) -> bytes | None:
        return snapshot_of(self._topics.compacted(TP(topics.MODELS.name, 0)), reference)

    def _catch_up(self) -> None:
        """Let learners that lag behind, or begin anew, learn what the others have learned."""
        self._begin_due()
        self._training.teach_late(lambda: True, self.now_ms / 1_000)
        while self._training.late.learners:
            if (gap := self._training.late.gap()) is not None:
                self._training.late.fill(gap, self._training.outcomes(gap))
            self._training.teach_late(lambda: True, self.now_ms / 1_000)

    def _begin_due(self) -> None:
        for beginning in self._training.due():
            self._training.begin_anew(beginning, self._training.prepared(beginning))

    def _decoded(self, topic: Topic, type_: type[R]) -> list[R]:
        return [
            msgspec.json.decode(record.value() or b"", type=type_) for record in self.read(topic)
        ]


class _CommittedOutcomes:
    """The training log in memory (`agents.outcome_log.OutcomeLog`)."""

    def __init__(self, memory: MemoryTopics, committed: Mapping[TP, int]) -> None:
        self._memory = memory
        self._committed = committed

    def committed_end(self) -> int:
        return self._committed.get(_OUTCOMES, 0)

    def between(self, start: int, end: int) -> Iterable[tuple[int, bytes]]:
        for record in self._memory.read(_OUTCOMES.topic)[start:end]:
            yield record.offset(), record.value() or b""


def _name(topic: Topic) -> str:
    return topic.name


def _encode(record: object) -> bytes:
    return msgspec.json.encode(record)


def _user_key(event: object) -> bytes | None:
    """Key a record as upstream does, if it says whose it is."""
    if isinstance(event, Mapping):
        user_id = event.get("user_id")
    else:
        user_id = getattr(event, "user_id", None)
    return None if user_id is None else str(user_id).encode()
