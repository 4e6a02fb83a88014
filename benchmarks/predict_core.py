"""What one event costs in the predict role without a broker, beside a bare decode.

The bare loop is the floor that any implementation pays: reading the JSON of the shop's history.
"""

from pathlib import Path
from time import perf_counter
from typing import Any, cast

import orjson
from faust.types.tuples import TP

from agents import event_file, pipeline
from agents.kafka.batch import Batch
from agents.metrics import Metrics
from agents.partition import Partition
from agents.predict_plan import PredictPlan

BATCH = 500


class Record:
    """As much of a Kafka message as the predict role reads."""

    def __init__(self, event: event_file.FileEvent, offset: int) -> None:
        self._event = event
        self._offset = offset

    def key(self) -> bytes:
        return self._event.key

    def value(self) -> bytes:
        return self._event.value

    def timestamp(self) -> tuple[int, int]:
        return 1, self._event.ts

    def offset(self) -> int:
        return self._offset

    def headers(self) -> None:
        return None


def run() -> dict[str, float]:
    """Measure microseconds per event over the whole bundled history."""
    declared = pipeline.load("examples.shop.pipeline")
    if declared.replay is None:
        raise SystemExit("the shop pipeline bundles no history")
    events = event_file.read(Path(declared.replay.file), declared.event, declared.replay.columns)

    started_at = perf_counter()
    for event in events:
        orjson.loads(event.value)
    bare_s = perf_counter() - started_at

    partition = Partition(0, PredictPlan(declared, Metrics(), lambda topic: topic.name))
    partition.complete()
    records = [Record(event, offset) for offset, event in enumerate(events)]
    started_at = perf_counter()
    for start in range(0, len(records), BATCH):
        some = cast(Any, records[start : start + BATCH])
        batch = Batch(TP("user-events", 0), some, start + len(some))
        partition.process_events(batch, {}, events[-1].ts)
    core_s = perf_counter() - started_at

    per_event = 1e6 / len(events)
    return {"decode_us": bare_s * per_event, "predict_core_us": core_s * per_event}
