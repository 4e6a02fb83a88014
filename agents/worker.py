"""One worker process: settings, pipeline, metrics and telemetry around one role's agents."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NoReturn

from agents import key_files, pipeline
from agents.admin import topic_admin
from agents.garbage import GarbagePolicy
from agents.kafka.app import App, KafkaSettings
from agents.kafka.keyed_state import KeyedState
from agents.observability import metric_list, probes, tracing
from agents.observability.metrics import Metrics
from agents.observability.probes import Probe
from agents.observability.telemetry import telemetry_record
from agents.observability.transport_metrics import TransportMetrics
from agents.pipeline import Pipeline
from agents.settings import Settings
from schemas import topics
from schemas.errors import InvalidSetting
from schemas.topics import Topic

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from agents.deployments.deployed import Deployed
    from agents.entities.known_entities import KnownEntities
    from agents.feast.online_view import OnlineView
    from agents.observability.spans import Tracer

TELEMETRY_INTERVAL_S: Final = 0.75
"""So that the page shows what happens within a second: a quarter is left for the way there."""
TOPICS_TIMEOUT_S: Final = 60.0
"""How long a worker waits for a broker that starts beside it, and for the topics it reads."""


@dataclass(slots=True)
class Worker:
    """What every role is built from, and what it adds to."""

    role: str
    slot: int
    settings: Settings
    pipeline: Pipeline
    kafka: KafkaSettings
    metrics: Metrics
    on_start: list[Callable[[], None]] = field(default_factory=list)
    each_second: list[Callable[[], None]] = field(default_factory=list)
    not_ready: list[Probe] = field(default_factory=list)
    on_stop: list[Callable[[], None]] = field(default_factory=list)
    reads: list[Topic] = field(default_factory=list)
    """Topics that must be there, beside those of every worker of the role."""
    tracer: "Tracer | None" = None
    """Makes spans of sampled records, if somebody wants to know."""

    @property
    def name(self) -> str:
        """Role and slot, as in telemetry."""
        return f"{self.role}-{self.slot}"

    def topic(self, topic: Topic) -> str:
        """Name a topic within this environment."""
        return topic.named(self.settings.topic_prefix)

    def app(self, keyed_state: KeyedState | None = None) -> App:
        """Make the Faust app of this worker."""
        return App(
            self.kafka.group,
            self.kafka,
            keyed_state=keyed_state,
            observer=TransportMetrics(self.metrics),
        )


def run(role: str, slot: int, settings: Settings) -> NoReturn:
    """Run a worker until it is told to stop; ends by `SystemExit`.

    Raises
    ------
    InvalidSetting, InvalidDeclaration
        Before anything is consumed.
    DeliveryFailed
        There is no broker, or it lacks what this role reads, and both for long.
    """
    from faust import Worker as FaustWorker  # noqa: PLC0415  # a second; errors above come first

    metrics = Metrics()
    worker = Worker(
        role,
        slot,
        settings,
        pipeline.load(settings.pipeline),
        KafkaSettings(
            bootstrap=settings.kafka_bootstrap,
            group=f"{settings.topic_prefix}{role}",
            slot=slot,
            # Writing to Redis and counting can be repeated: no transaction is needed for them.
            delivery=settings.delivery if role in _TRANSACTIONAL else "at_least_once",
            rebalancing=settings.rebalancing,
            stall_timeout_s=settings.stall_timeout_s,
            standby=_standby(role, settings),
            **_PATIENCE.get(role, {}),
        ),
        metrics,
    )
    if role in _TRACED:
        worker.tracer = tracing.open_tracer(settings, role, slot, metrics)
    app = _BUILDERS[role](worker)

    probes.serve(
        metrics.registry,
        settings.metrics_host,
        settings.metrics_port,
        live=app.not_live,
        ready=lambda: _not_ready(app, worker),
    )
    _add_telemetry(app, worker)
    # What takes long, the imports, is behind us: they cost nothing while Kafka itself starts.
    topic_admin.wait_until_there(
        settings,
        (*_READS[role], *worker.reads, topics.TELEMETRY),
        timeout_s=TOPICS_TIMEOUT_S,
        tell=lambda line: sys.stderr.write(f"thalweg: {line}\n"),
    )
    for start in worker.on_start:
        start()
    try:
        # Ends with SystemExit, or with what made the worker crash.
        FaustWorker(
            app, loglevel=settings.log_level, redirect_stdouts=False
        ).execute_from_commandline()
    finally:
        for stop in worker.on_stop:
            stop()
        if worker.tracer is not None:
            worker.tracer.close()
        # After all that Faust has to say of a crash, the reason once more, for who reads the end.
        if app.failure is not None:
            sys.stderr.write(f"thalweg: {app.failure}\n")


def _standby(role: str, settings: Settings) -> int:
    """Tell how many failures to be ready for; a learner's copy is cheap, as one topic holds it."""
    is_said = "standby" in settings.model_fields_set
    return 1 if role == "learn" and not is_said else settings.standby


def _not_ready(app: App, worker: Worker) -> str | None:
    """Tell the first reason why records cannot flow."""
    reasons = (probe() for probe in (app.not_ready, *worker.not_ready))
    return next((reason for reason in reasons if reason is not None), None)


def _add_telemetry(app: App, worker: Worker) -> None:
    metrics = worker.metrics
    up, ready = metrics.gauge(metric_list.UP), metrics.gauge(metric_list.READY)
    in_flight = metrics.gauge(metric_list.IN_FLIGHT_RECORDS)
    garbage = GarbagePolicy(metrics.histogram(metric_list.GC_PAUSE_SECONDS))
    telemetry = worker.topic(topics.TELEMETRY)
    up.set(1)
    ready.set(0)

    def publish() -> None:
        record = telemetry_record(worker.name, metrics, time.time_ns() // 1_000_000)
        app.publish(telemetry, record, worker.name.encode())

    @app.task  # type: ignore[untyped-decorator]
    async def begin() -> None:
        garbage.begin()

    @app.on_before_shutdown.connect
    async def say_goodbye(*_: object, **__: object) -> None:
        up.set(0)
        ready.set(0)
        publish()

    @app.timer(TELEMETRY_INTERVAL_S)  # type: ignore[untyped-decorator]
    async def publish_telemetry() -> None:
        n_in_flight = app.n_in_flight
        in_flight.set(n_in_flight)
        ready.set(float(_not_ready(app, worker) is None))
        for tell in worker.each_second:
            tell()
        publish()
        garbage.collect_if_due(idle=n_in_flight == 0)


# ---- the roles; each imports only what it needs -------------------------------------------------


def _predict(worker: Worker) -> App:
    from agents import predict  # noqa: PLC0415
    from agents.prediction.model_feed import ModelFeed  # noqa: PLC0415
    from agents.prediction.predict_plan import PredictPlan  # noqa: PLC0415
    from agents.prediction.served_models import ServedModels  # noqa: PLC0415
    from online_models.signing import Verifier  # noqa: PLC0415
    from online_models.snapshot import environment_of  # noqa: PLC0415

    declared = worker.pipeline
    plan = PredictPlan(
        declared,
        worker.metrics,
        worker.topic,
        n_partitions=worker.settings.partitions,
        dead_letter_limit=worker.settings.dead_letter_limit,
        state_spill=worker.settings.state_spill,
        tracer=worker.tracer,
    )
    served = ServedModels(
        plan.deployed,
        plan.features.schema,
        declared.label.target,
        Verifier(key_files.trusted_keys(worker.settings)),
        worker.metrics,
        environment=environment_of(worker.settings.topic_prefix, declared.use_case),
    )
    feed = ModelFeed(
        worker.kafka,
        worker.topic(topics.MODELS),
        served,
        worker.metrics,
        # The app is made below: the feed does not run yet.
        on_failure=lambda failure: app.fail(failure),  # noqa: PLW0108
    )
    partitions = predict.Partitions(worker.topic(topics.PREDICT_STATE), plan, served)
    app = worker.app(partitions)
    verdicts = None
    if declared.review is not None:
        verdicts = worker.topic(topics.REVIEW_VERDICTS)
        worker.reads.append(topics.REVIEW_VERDICTS)
    predict.build(
        *(app, partitions, worker.topic(topics.USER_EVENTS), worker.topic(topics.LABELS)),
        verdicts=verdicts,
    )
    _follow_deployments(worker, plan.deployed, on_failure=app.fail)
    worker.on_start.append(feed.start)
    worker.on_stop.append(feed.stop)
    if plan.features.gathered:
        _follow_entities(worker, plan.known_entities, on_failure=app.fail)
    worker.not_ready.append(
        lambda: None if feed.caught_up.is_set() else "the models are not all read yet"
    )
    worker.each_second += (
        lambda: served.tell_ages(time.time_ns() // 1_000_000),
        partitions.tell,
    )
    return app


def _follow_deployments(
    worker: Worker, deployed: "Deployed", *, on_failure: Callable[[BaseException], None]
) -> None:
    from agents.deployments.feed import DeploymentFeed  # noqa: PLC0415

    topic = worker.topic(topics.DEPLOYMENTS)
    feed = DeploymentFeed(worker.kafka, topic, deployed, on_failure=on_failure)
    worker.on_start.append(feed.start)
    worker.on_stop.append(feed.stop)


def _follow_entities(
    worker: Worker, known: "KnownEntities", *, on_failure: Callable[[BaseException], None]
) -> None:
    from agents.entities.entity_feed import EntityFeed  # noqa: PLC0415
    from agents.entities.entity_lag import EntityLag  # noqa: PLC0415

    lag = EntityLag(
        worker.kafka,
        f"{worker.settings.topic_prefix}aggregate",
        worker.topic(topics.ENTITY_EVENTS),
        known,
    )
    topic = worker.topic(topics.ENTITY_FEATURES)
    feed = EntityFeed(worker.kafka, topic, known, worker.metrics, on_failure=on_failure)
    worker.reads.append(topics.ENTITY_FEATURES)
    worker.on_start += (feed.start, lag.start)
    worker.on_stop += (feed.stop, lag.stop)
    worker.not_ready.append(
        lambda: None if feed.caught_up.is_set() else "the entities' features are not all read yet"
    )
    worker.each_second.append(feed.tell)


def _aggregate(worker: Worker) -> App:
    from agents import aggregate  # noqa: PLC0415
    from agents.entities.aggregate_plan import AggregatePlan  # noqa: PLC0415

    plan = AggregatePlan(
        worker.pipeline,
        worker.metrics,
        worker.topic,
        deduplicates=worker.kafka.delivery == "at_least_once",
        dead_letter_limit=worker.settings.dead_letter_limit,
    )
    partitions = aggregate.Partitions(plan)
    app = worker.app(partitions)
    aggregate.build(app, partitions, worker.topic(topics.ENTITY_EVENTS))
    worker.each_second.append(partitions.tell)
    return app


def _learn(worker: Worker) -> App:
    from agents import learn  # noqa: PLC0415
    from agents.admin import asking_times  # noqa: PLC0415
    from agents.deployments import version_snapshots  # noqa: PLC0415
    from agents.deployments.deployed import Deployed  # noqa: PLC0415
    from agents.learning.candidate_service import CandidateService  # noqa: PLC0415
    from agents.learning.training import Training  # noqa: PLC0415
    from agents.outcome_log import KafkaOutcomeLog  # noqa: PLC0415
    from online_models.signing import Signer, Verifier  # noqa: PLC0415
    from online_models.snapshot import environment_of  # noqa: PLC0415

    declared = worker.pipeline
    deployed = Deployed(declared)
    training = Training(
        declared,
        declared.compiled(),
        KafkaOutcomeLog(worker.kafka, worker.topic(topics.OUTCOMES)),
        models=worker.topic(topics.MODELS),
        dead_letters=worker.topic(topics.DEAD_LETTERS),
        signer=Signer.from_pem(key_files.signing_key(worker.settings)),
        verifier=Verifier(key_files.trusted_keys(worker.settings)),
        metrics=worker.metrics,
        dead_letter_limit=worker.settings.dead_letter_limit,
        deployed=deployed,
        deployments=worker.topic(topics.DEPLOYMENTS),
        alerts=worker.topic(topics.ALERTS),
        environment=environment_of(worker.settings.topic_prefix, declared.use_case),
        objection=CandidateService(lambda: asking_times.read(worker.settings)).objection,
        version=partial(version_snapshots.read, worker.kafka, worker.topic(topics.MODELS)),
        tracer=worker.tracer,
    )
    app = worker.app(training)
    learn.build(app, worker.topic(topics.OUTCOMES), training)
    _follow_deployments(worker, deployed, on_failure=app.fail)
    worker.each_second.append(training.tell)
    return app


def _store(worker: Worker) -> App:
    from redis.asyncio import Redis  # noqa: PLC0415

    from agents import idle_users, store, store_repair  # noqa: PLC0415

    app = worker.app()
    settings, use_case = worker.settings, worker.pipeline.use_case
    redis = Redis.from_url(settings.redis_url, decode_responses=True)
    ttl = timedelta(days=settings.feature_ttl_days)
    feast = _feast(worker, redis, ttl) if settings.feast_project else None
    namespace = f"{settings.topic_prefix}features:{use_case}"
    features = store.FeatureStore(redis, namespace, ttl, feast)
    stores = {worker.topic(topics.FEATURE_UPDATES): features}
    store.build(app, worker.topic(topics.FEATURE_UPDATES), features, worker.metrics)
    idle = idle_users.IdleUsers(redis, features, worker.pipeline.compiled().user)
    idle_users.build(app, idle, worker.metrics)
    if worker.pipeline.entities:
        from schemas.entity_features import EntityFeatures  # noqa: PLC0415

        entities = store.FeatureStore(
            redis,
            f"{settings.topic_prefix}entity-features:{use_case}",
            ttl,
            record=EntityFeatures,
        )
        written = metric_list.ENTITIES_WRITTEN
        topic = worker.topic(topics.ENTITY_FEATURES)
        stores[topic] = entities
        store.build(app, topic, entities, worker.metrics, written=written)
        worker.reads.append(topics.ENTITY_FEATURES)
    repair = store_repair.StoreRepair(redis, settings, namespace, stores, worker.metrics)
    store_repair.build(app, repair, worker.metrics)
    return app


def _feast(worker: Worker, redis: "Redis", ttl: timedelta) -> "OnlineView":
    from agents.feast import layout  # noqa: PLC0415
    from agents.feast.online_view import OnlineView  # noqa: PLC0415
    from streams.fold import compile_features  # noqa: PLC0415

    declared = worker.pipeline
    names = compile_features(declared.features, declared.event).names
    layout.check_fields(layout.view_name(declared.use_case), names)
    return OnlineView(redis, worker.settings.feast_project, declared.use_case, ttl)


def _watch(worker: Worker) -> App:
    from faust.types.tuples import TP  # noqa: PLC0415

    from agents import watch  # noqa: PLC0415
    from agents.deployments.deployed import Deployed  # noqa: PLC0415
    from agents.kafka.log_reader import read_to_end  # noqa: PLC0415
    from agents.monitoring.reference_feed import ReferenceFeed  # noqa: PLC0415
    from agents.observability.standing_alerts import StandingAlerts  # noqa: PLC0415
    from agents.parity_feed import ParityFeed  # noqa: PLC0415
    from agents.verdicts import Verdicts  # noqa: PLC0415
    from schemas.sketches import SketchReference  # noqa: PLC0415

    app = worker.app()
    references: dict[bytes, SketchReference] = {}
    deployed = Deployed(worker.pipeline)
    standing = StandingAlerts(worker.pipeline.use_case)
    watch.build(
        *(app, worker.settings, worker.pipeline, worker.metrics, deployed),
        standing=standing,
        references=references,
    )
    topic = worker.topic(topics.SKETCH_REFERENCES)
    feed = ReferenceFeed(worker.kafka, topic, references, on_failure=app.fail)
    worker.on_start.append(feed.start)
    worker.on_stop.append(feed.stop)

    def read_alerts() -> None:
        for _, _, value in read_to_end(worker.kafka, TP(worker.topic(topics.ALERTS), 0)):
            standing.take(value)

    worker.on_start.append(read_alerts)
    _follow_deployments(worker, deployed, on_failure=app.fail)
    if worker.pipeline.parity_share:
        parity = ParityFeed(
            worker.kafka,
            worker.pipeline,
            worker.metrics,
            events=worker.topic(topics.USER_EVENTS),
            outcomes=worker.topic(topics.OUTCOMES),
            verdicts=lambda: Verdicts(
                worker.kafka,
                group=f"{worker.settings.topic_prefix}predict",
                events=worker.topic(topics.USER_EVENTS),
                dead_letters=worker.topic(topics.DEAD_LETTERS),
            ),
            on_failure=app.fail,
        )
        worker.on_start.append(parity.start)
        worker.on_stop.append(parity.stop)
    return app


def _archive(worker: Worker) -> App:
    from agents import archive  # noqa: PLC0415
    from agents.offline import tables  # noqa: PLC0415
    from agents.offline.file_system import FileSystem  # noqa: PLC0415

    interval_s = worker.settings.archive_interval_s
    longest_s = worker.settings.stall_timeout_s / 2
    if "archive_interval_s" not in worker.settings.model_fields_set:
        interval_s = min(interval_s, longest_s)
    if interval_s > longest_s:
        raise InvalidSetting(
            f"THALWEG_ARCHIVE_INTERVAL_S: {interval_s:g} s of gathering would be taken for a stall;"
            " at most half of THALWEG_STALL_TIMEOUT_S"
        )
    app = worker.app()
    gathered = archive.Archive(
        FileSystem(worker.settings.offline_store),
        {worker.topic(table.topic): table for table in tables.ALL},
        topic_id=lambda topic: topic_admin.topic_id(worker.settings, topic),
        release=app.release,
        interval=timedelta(seconds=interval_s),
        max_rows=archive.MAX_ROWS,
        metrics=worker.metrics,
    )
    archive.build(app, gathered)
    return app


_TRANSACTIONAL: Final = ("predict", "aggregate", "learn")
_TRACED: Final = ("predict", "learn")
"""Roles that handle records of a trace one by one; the others gather or count them."""
_PATIENCE: Final[dict[str, dict[str, Any]]] = {
    "learn": {"commit_interval_s": 0.1, "fetch_wait_ms": 100},
    "store": {"fetch_wait_ms": 100},
    "archive": {"fetch_wait_ms": 500, "max_batch": 5_000, "max_in_flight": 200_000},
}
"""Roles that nobody waits for leave the broker to those that somebody does."""

_READS: Final[dict[str, tuple[Topic, ...]]] = {
    "predict": (
        *(topics.USER_EVENTS, topics.LABELS, topics.PREDICT_STATE),
        *(topics.MODELS, topics.DEPLOYMENTS),
    ),
    "aggregate": (topics.ENTITY_EVENTS, topics.AGGREGATE_STATE),
    "learn": (topics.OUTCOMES, topics.MODELS, topics.DEPLOYMENTS),
    "store": (topics.FEATURE_UPDATES,),
    "watch": (
        *(topics.PREDICTIONS, topics.USER_EVENTS, topics.OUTCOMES, topics.FEATURE_UPDATES),
        *(topics.DEPLOYMENTS, topics.ALERTS, topics.SKETCHES, topics.SKETCH_REFERENCES),
    ),
    "archive": (topics.PREDICTIONS, topics.OUTCOMES, topics.SKETCHES),
}
_BUILDERS: Final[dict[str, Callable[[Worker], App]]] = {
    "predict": _predict,
    "aggregate": _aggregate,
    "learn": _learn,
    "store": _store,
    "watch": _watch,
    "archive": _archive,
}
