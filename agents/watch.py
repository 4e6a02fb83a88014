"""The watch role: what the system looks like from outside.

It reads `predictions` as any downstream service would and measures how long they took; it asks
for the lag of every role's consumer group; it holds what comes in against what is expected; it
estimates how good predictions are whose labels are not known; it counts the users of a rollout;
and it tells that nobody answers, or no model.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Final

import faust
import msgspec
from confluent_kafka import KafkaException, Message

from agents import sketch
from agents.deployments.deployed import Deployed
from agents.kafka.app import App
from agents.kafka.batch import Batch
from agents.observability import metric_list
from agents.observability.alert_desk import AlertDesk
from agents.observability.estimated_accuracy import EstimatedAccuracy
from agents.observability.judged_outcomes import judged_outcomes
from agents.observability.lag_reader import GroupLag
from agents.observability.metrics import Metrics
from agents.observability.quality_alert import QualityWatch
from agents.observability.sample_ratio_alert import SampleRatioWatch
from agents.observability.served_accuracy import ServedAccuracy
from agents.observability.serving_alert import SIGNALS, ServingWatch
from agents.observability.standing_alerts import StandingAlerts
from agents.pipeline import Pipeline
from agents.settings import Settings
from schemas import topics
from schemas.deployments import split
from schemas.errors import UNREADABLE
from schemas.sketches import SketchReference
from schemas.telemetry import Telemetry

LAG_INTERVAL_S: Final = 1.0
ESTIMATE_INTERVAL_S: Final = 1.0
SOURCE: Final = "/thalweg/watch"

READS: Final = {
    "predict": (topics.USER_EVENTS, topics.LABELS),
    "aggregate": (topics.ENTITY_EVENTS,),
    "learn": (topics.OUTCOMES,),
    "store": (topics.FEATURE_UPDATES, topics.ENTITY_FEATURES),
    "watch": (topics.PREDICTIONS, topics.OUTCOMES, topics.FEATURE_UPDATES, topics.SKETCHES),
    "archive": (topics.PREDICTIONS, topics.OUTCOMES, topics.SKETCHES),
}
"""What each role's consumer group reads; a group is named like its role."""
OPTIONAL: Final = ("archive",)
"""Roles that not everybody runs."""


class _Published(msgspec.Struct):
    """The one field of a prediction that its latency needs."""

    published_at: int


_decode_published = msgspec.json.Decoder(_Published).decode
_decode_telemetry = msgspec.json.Decoder(Telemetry).decode


def build(
    app: App,
    settings: Settings,
    pipeline: Pipeline,
    metrics: Metrics,
    deployed: Deployed,
    *,
    standing: StandingAlerts,
    references: dict[bytes, SketchReference],
) -> None:
    """Register the role's agents and timers on an app.

    Parameters
    ----------
    standing
        Knows, once the app runs, what was told before.
    references
        Of sketches, as they come from their topic; once the app runs, those that there are.
    """
    # Only of yes and no a score says how often it is right.
    estimates = EstimatedAccuracy(metrics) if pipeline.task == "binary" else None
    serving = ServingWatch(pipeline)
    topic = topics.ALERTS.named(settings.topic_prefix)
    desk = AlertDesk(deployed, metrics, topic=topic, source=SOURCE)
    _measure_latency(app, settings, metrics, estimates, serving)
    if pipeline.rollout is not None:
        _count_users(app, settings, pipeline, metrics, deployed, desk=desk)
    served = None if estimates is None else ServedAccuracy(metrics)
    _learn_what_scores_are_worth(app, settings, estimates, served)
    _measure_lag(app, settings, pipeline, metrics, serving)
    _judge(
        *(app, settings, pipeline, metrics, deployed),
        desk=desk,
        standing=standing,
        serving=serving,
    )
    sketch.build(app, settings, pipeline, metrics, desk=desk, references=references)


def _measure_latency(
    app: App,
    settings: Settings,
    metrics: Metrics,
    estimates: EstimatedAccuracy | None,
    serving: ServingWatch,
) -> None:
    latency = metrics.histogram(metric_list.LATENCY_SECONDS)
    # Predictions of earlier events have been waiting for us, which is not their latency.
    since_ms = _now_ms()

    @app.agent(app.batches(topics.PREDICTIONS.named(settings.topic_prefix)))
    async def measure_latency(batches: faust.StreamT[Batch]) -> AsyncIterator[int]:
        async for batch in batches:
            now_ms = _now_ms()
            late_by = latencies_s(batch, now_ms, since_ms)
            latency.observe_many(late_by)
            serving.predictions(batch.records, now_ms)
            serving.latencies(late_by, now_ms)
            if estimates is not None:
                estimates.predictions(batch.records)
            yield len(batch)


def _count_users(
    app: App,
    settings: Settings,
    pipeline: Pipeline,
    metrics: Metrics,
    deployed: Deployed,
    *,
    desk: AlertDesk,
) -> None:
    ratio = SampleRatioWatch(pipeline.use_case, deployed, metrics)

    @app.agent(app.batches(topics.PREDICTIONS.named(settings.topic_prefix)))
    async def count_users(batches: faust.StreamT[Batch]) -> AsyncIterator[int]:
        async for batch in batches:
            desk.emit(batch, *ratio.predictions(batch.records, _now_ms()))
            yield len(batch)


def _learn_what_scores_are_worth(
    app: App,
    settings: Settings,
    estimates: EstimatedAccuracy | None,
    served: ServedAccuracy | None,
) -> None:
    # Read even if nothing is made of it: a group that stands still would seem to lag.
    @app.agent(app.batches(topics.OUTCOMES.named(settings.topic_prefix)))
    async def learn_what_scores_are_worth(batches: faust.StreamT[Batch]) -> AsyncIterator[int]:
        async for batch in batches:
            if estimates is not None and served is not None:
                outcomes = judged_outcomes(batch.records)
                estimates.outcomes(outcomes)
                served.outcomes(outcomes)
            yield len(batch)

    @app.timer(ESTIMATE_INTERVAL_S)  # type: ignore[untyped-decorator]
    async def tell_estimates() -> None:
        if estimates is not None:
            estimates.tell()
        if served is not None:
            served.tell()


def _measure_lag(
    app: App,
    settings: Settings,
    pipeline: Pipeline,
    metrics: Metrics,
    serving: ServingWatch,
) -> None:
    prefix = settings.topic_prefix
    client = {"bootstrap.servers": settings.kafka_bootstrap, "client.id": f"{prefix}watch-lag"}

    # Made with the first look: until the broker is there, each client would complain of it.
    @cache
    def groups() -> dict[str, GroupLag]:
        reads = dict(READS)
        if pipeline.review is not None:
            reads["predict"] = (*reads["predict"], topics.REVIEW_VERDICTS)
        return {
            role: GroupLag(
                *(client, prefix + role, [topic.named(prefix) for topic in read]),
                is_optional=role in OPTIONAL,
            )
            for role, read in reads.items()
            if role != "aggregate" or pipeline.compiled().gathered
        }

    thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="lag")

    def read() -> None:
        for role, group in groups().items():
            for topic, lag in group.read(_now_ms()).items():
                labels = {"group": role, "topic": topic.removeprefix(prefix)}
                metrics.gauge(metric_list.LAG_RECORDS, **labels).set(lag.records)
                metrics.gauge(metric_list.LAG_SECONDS, **labels).set(lag.seconds)
                if role == "predict" and labels["topic"] == topics.USER_EVENTS.name:
                    serving.waiting(lag.seconds)

    @app.timer(LAG_INTERVAL_S)  # type: ignore[untyped-decorator]
    async def measure_lag() -> None:
        try:
            await asyncio.get_running_loop().run_in_executor(thread, read)
        except KafkaException as error:
            app.log.warning("lag stays unknown: %s", error.args[0].str())


def _judge(
    app: App,
    settings: Settings,
    pipeline: Pipeline,
    metrics: Metrics,
    deployed: Deployed,
    *,
    desk: AlertDesk,
    standing: StandingAlerts,
    serving: ServingWatch,
) -> None:
    told = deployed.roles.champion
    metrics.gauge(metric_list.CHAMPION, model=told).set(1)
    for quantity, goal in pipeline.goals.amounts():
        metrics.gauge(metric_list.GOAL, quantity=quantity).set(goal)
    quality = QualityWatch(pipeline, metrics)
    emergencies = {
        signal: metrics.gauge(metric_list.EMERGENCY, signal=signal) for signal in SIGNALS
    }

    @app.agent(app.batches(topics.TELEMETRY.named(settings.topic_prefix)))
    async def judge(batches: faust.StreamT[Batch]) -> AsyncIterator[int]:
        nonlocal told
        if not serving.has_begun:
            quality.begin(standing.of("quality"))
            serving.begin(standing.of("serving"), _now_ms())
        async for batch in batches:
            champion = deployed.roles.champion
            if champion != told:
                metrics.gauge(metric_list.CHAMPION, model=champion).set(1)
                metrics.remove(metric_list.CHAMPION, model=told)
                told = champion
            for telemetry in telemetry_of(batch):
                desk.emit(batch, *quality.fold(telemetry))
                serving.learned(telemetry.samples, split(champion)[0])
            # All processes that are alive tell each second, this one too: there is a next look.
            now_ms = _now_ms()
            desk.emit(batch, *serving.look(now_ms))
            is_silenced = desk.silence("serving", now_ms) is not None
            for signal, gauge in emergencies.items():
                gauge.set(float(signal in serving.raised and not is_silenced))
            yield len(batch)


def latencies_s(records: Iterable[Message], now_ms: int, since_ms: int) -> list[float]:
    """Tell how long ago the events behind these predictions were published.

    Parameters
    ----------
    records
        Predictions that have just become visible; what is no prediction is passed over.
    now_ms
        The reader's clock. Times of publication come from the publishers' clocks.
    since_ms
        Events published before this are left out.
    """
    latencies = []
    for record in records:
        try:
            published_ms = _decode_published(record.value() or b"").published_at
        except UNREADABLE:
            continue
        if published_ms >= since_ms:
            latencies.append(max(0, now_ms - published_ms) / 1000)
    return latencies


def telemetry_of(records: Iterable[Message]) -> Iterator[Telemetry]:
    """Read telemetry; what is none is passed over."""
    for record in records:
        try:
            yield _decode_telemetry(record.value() or b"")
        except UNREADABLE:
            continue


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
