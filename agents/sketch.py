"""The agents of `watch` that sketch scores and features, and say whether these moved."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import Final

import faust
import msgspec
from faust.types.tuples import TP

from agents.kafka.app import App
from agents.kafka.batch import Batch
from agents.kafka.client_settings import KafkaSettings
from agents.kafka.log_reader import read_to_end
from agents.monitoring.global_view import GlobalView
from agents.monitoring.sketch_fold import SketchFold
from agents.observability import metric_list
from agents.observability.alert_desk import AlertDesk
from agents.observability.metrics import Metrics
from agents.pipeline import Pipeline
from agents.settings import Settings
from schemas import topics
from schemas.sketches import SketchReference

INTERVAL_S: Final = 10.0
"""What was counted since the last time goes with a worker that is killed, and the newest minute."""


def build(
    app: App,
    settings: Settings,
    pipeline: Pipeline,
    metrics: Metrics,
    *,
    desk: AlertDesk,
    references: dict[bytes, SketchReference],
) -> None:
    """Register the agents on an app.

    Parameters
    ----------
    references
        As they come from their topic; once the app runs, those that there are.
    """
    sketches = topics.SKETCHES.named(settings.topic_prefix)
    kept = topics.SKETCH_REFERENCES.named(settings.topic_prefix)
    _count(app, settings, pipeline, metrics, sketches)
    view = GlobalView(
        pipeline.use_case,
        metrics,
        lambda start, end: _values(app.kafka, sketches, start, end),
        references,
    )

    @app.agent(app.batches(sketches))
    async def compare(batches: faust.StreamT[Batch]) -> AsyncIterator[int]:
        async for batch in batches:
            start = batch.records[0].offset() or 0
            if start != view.next_offset:
                # A predecessor, or another worker, has told what is before, or what we told since
                # was not committed.
                await asyncio.to_thread(view.read_back, start)
            now_ms = time.time_ns() // 1_000_000
            desk.emit(batch, *view.fold(batch.records, now_ms))
            for key, value in view.references(now_ms):
                batch.emit(kept, value, key)
            yield len(batch)


def _count(
    app: App, settings: Settings, pipeline: Pipeline, metrics: Metrics, sketches: str
) -> None:
    fold = SketchFold(pipeline.use_case, pipeline.task)
    key = pipeline.use_case.encode()

    @app.agent(app.batches(topics.PREDICTIONS.named(settings.topic_prefix)))
    async def sketch_scores(batches: faust.StreamT[Batch]) -> AsyncIterator[int]:
        async for batch in batches:
            fold.predictions(batch.records)
            yield len(batch)

    @app.agent(app.batches(topics.FEATURE_UPDATES.named(settings.topic_prefix)))
    async def sketch_features(batches: faust.StreamT[Batch]) -> AsyncIterator[int]:
        async for batch in batches:
            fold.features(batch.records)
            yield len(batch)

    def publish(*, is_last: bool = False) -> None:
        for record in fold.take(INTERVAL_S, is_last=is_last):
            app.publish(sketches, msgspec.json.encode(record), key)
        for of, share in fold.shares.items():
            metrics.gauge(metric_list.SKETCH_SHARE, of=of).set(share)

    @app.timer(INTERVAL_S)  # type: ignore[untyped-decorator]
    async def publish_sketches() -> None:
        publish()

    @app.on_before_shutdown.connect
    async def publish_the_last(*_: object, **__: object) -> None:
        publish(is_last=True)


def _values(
    kafka: KafkaSettings, topic: str, start: int, end: int
) -> Iterator[tuple[int, bytes | None]]:
    found = read_to_end(kafka, TP(topic, 0), start=start, end=end)
    return ((offset, value) for offset, _, value in found)
