"""The shop's history as load: any number of events, and a champion that learned from them."""

import time
from itertools import count, islice
from pathlib import Path

import msgspec
import orjson
from faust.types.tuples import TP

from agents import pipeline
from agents.history import event_file
from agents.kafka.batch import Batch
from agents.observability.metrics import Metrics
from agents.pipeline import Pipeline
from agents.prediction.partition import Partition
from agents.prediction.predict_plan import PredictPlan
from online_models.learner import Learner
from schemas import topics
from schemas.outcomes import Outcome

PIPELINE = "examples.shop.pipeline"
BATCH = 500


class Record:
    """As much of a Kafka message as the predict role reads."""

    __slots__ = ("_event", "_offset")

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


def declared() -> Pipeline:
    """Load the shop's pipeline."""
    return pipeline.load(PIPELINE)


def history() -> list[event_file.FileEvent]:
    """Read the bundled history, in time order."""
    shop = declared()
    if shop.replay is None:
        raise SystemExit("the shop's pipeline bundles no history")
    return event_file.read(Path(shop.replay.file), shop.event, shop.replay.columns)


def events(n: int) -> list[event_file.FileEvent]:
    """Repeat the history with new users and ids, one history after the other, up to n events."""
    once = history()
    span = once[-1].ts - once[0].ts + 60_000

    def repeated() -> list[event_file.FileEvent]:
        made: list[event_file.FileEvent] = []
        for turn in count():
            for event in once:
                if len(made) == n:
                    return made
                made.append(event if turn == 0 else _shifted(event, turn, turn * span))
        return made

    return repeated()


def _shifted(event: event_file.FileEvent, turn: int, by_ms: int) -> event_file.FileEvent:
    fields = orjson.loads(event.value)
    fields["user_id"] = f"{fields['user_id']}-{turn}"
    fields["event_id"] = f"{event.event_id}-{turn}"
    fields["ts"] = event.ts + by_ms
    key = fields["user_id"].encode()
    return event_file.FileEvent(fields["ts"], fields["event_id"], key, orjson.dumps(fields))


def batches(some: list[event_file.FileEvent], size: int = BATCH) -> list[Batch]:
    """Cut events into batches of one partition."""
    records = iter([Record(event, offset) for offset, event in enumerate(some)])
    cut = []
    n = 0
    while chunk := list(islice(records, size)):
        n += len(chunk)
        cut.append(Batch(TP("user-events", 0), chunk, n))  # type: ignore[arg-type]
    return cut


def plan() -> PredictPlan:
    """Compile the shop's pipeline."""
    return PredictPlan(declared(), Metrics(), lambda topic: topic.name)


def trained_champion() -> Learner:
    """Let the champion learn the outcomes of the whole history."""
    compiled, shop = plan(), declared()
    partition = Partition(0, compiled)
    partition.complete()
    learner = Learner(
        shop.champion,
        feature_names=compiled.fold.names,
        schema=compiled.fold.schema,
        target=shop.label.target,
        label_delay=shop.label.horizon + shop.allowed_lateness,
    )
    n = 0
    now_ms = time.time_ns() // 1_000_000
    for batch in batches(history()):
        partition.process_events(batch, {}, now_ms)
        for output in batch.outputs:
            if output.topic == topics.OUTCOMES.name:
                learner.learn(msgspec.msgpack.decode(output.value or b"", type=Outcome), n)
                n += 1
    return learner
