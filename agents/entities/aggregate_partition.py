"""What aggregate does with one partition of `entity-events`: each event into its entity's features.

The order of arrival does not matter to windows, and there is no other: events of one entity come
from all partitions of `user-events`. Whatever must survive a crash is in tables whose changes
travel in the batch's own transaction. Time is an argument.
"""

from collections.abc import Sequence
from typing import Final

from confluent_kafka import Message

from agents.dead_letter_limit import note_dead_letters
from agents.entities.aggregate_plan import AggregatePlan
from agents.entities.entity_feed import CAUSED_AT
from agents.entities.entity_states import FORGET_BESIDE_NEW, EntityStates
from agents.isolation import process_apart
from agents.kafka.batch import Batch
from agents.prediction import encode
from schemas.errors import UNREADABLE, InvalidRecord
from schemas.reasons import Reason
from streams.deduplicate import Deduplicator, segment_table
from streams.feature_set import CompiledView
from streams.state import PartitionState, Table
from streams.watermark import Watermark

WARM_ENTITIES: Final = 10_000
"""Entities of each kind whose state stays decoded between batches."""
_NEWEST: Final = "newest"


class AggregatePartition:
    """The state of one partition, and what a batch does with it.

    Restored record by record from the changelog (`agents.kafka.keyed_state.Restoring`).
    """

    def __init__(self, number: int, plan: AggregatePlan) -> None:
        self.number = number
        self._plan = plan
        self._singles: Table[bytes] = Table("s", bytes, bytes)
        self._entities = EntityStates(plan.views, self._singles, warm=WARM_ENTITIES)
        self._marks: Table[int] = Table("w", b"%d".__mod__, int)
        self._segments = segment_table()
        self._state = PartitionState(
            # At least once, a crash may cut a batch's changes short: an event whose other traces
            # are missing must not count as seen, and how to read states must be known by then.
            [self._singles, self._entities, self._marks, self._segments]
        )
        self._told_begun_anew = 0

    # ---- restore -------------------------------------------------------------------------------

    def restore(self, key: bytes, value: bytes | None) -> None:
        """Take over one changelog record."""
        self._state.restore(key, value)

    def complete(self) -> None:
        """Build what is derived from the tables."""
        pipeline = self._plan.pipeline
        self._deduplicator = Deduplicator(
            self._segments, retention=pipeline.deduplication, capacity=pipeline.max_event_ids
        )
        self._entities.read_layouts()
        self._read_newest()

    def _read_newest(self) -> None:
        self._newest_ms = self._marks.get(_NEWEST) or 0
        self._watermark = Watermark(self._plan.pipeline.allowed_lateness)
        self._watermark.advance(self._newest_ms)

    # ---- process -------------------------------------------------------------------------------

    def process(self, batch: Batch, now_ms: int) -> None:
        """Take every event of a batch into its entity's features, and tell these.

        Raises
        ------
        TooManyDeadLetters
            The batch must not be committed.
        """
        process_apart(
            batch,
            lambda part: self._process(part, now_ms),
            undo=self._undo,
            set_aside=lambda record, error: self._set_aside(batch, [(record, error)], now_ms),
        )
        self._plan.metrics.events(len(batch))

    def _process(self, batch: Batch, now_ms: int) -> None:
        plan, entities, watermark = self._plan, self._entities, self._watermark
        views, decode = plan.by_entity, plan.decode
        touched: dict[str, tuple[CompiledView, int, dict[str, float]]] = {}
        refused: list[tuple[Message, InvalidRecord]] = []
        for record in batch:
            try:
                key = (record.key() or b"").decode()
                event = decode(record.value() or b"")
            except UNREADABLE as error:
                # Nobody but predict should write the topic.
                refused.append((record, InvalidRecord(Reason.INVALID_FIELD, str(error))))
                continue
            view = views.get(key.partition(":")[0])
            if view is None:
                continue  # it was declared when predict wrote this
            at_ms: int = event.ts  # type: ignore[assignment]  # milliseconds, once cleaned
            newest_ms = max(self._newest_ms, at_ms)
            if plan.deduplicates and not self._deduplicator.is_new(
                f"{view.entity.name}:{event.event_id}", newest_ms
            ):
                continue
            self._newest_ms = newest_ms
            watermark.advance(at_ms)
            touched[key] = (view, *entities.update(view, key, event))
        self._tell(batch, touched, now_ms)
        self._end(batch, refused, now_ms)

    def _tell(
        self,
        batch: Batch,
        touched: dict[str, tuple[CompiledView, int, dict[str, float]]],
        now_ms: int,
    ) -> None:
        if not touched:
            return
        plan = self._plan
        plan.stamp(now_ms)
        caused_at_ms = min(record.timestamp()[1] for record in batch.records)
        caused_at = (CAUSED_AT, b"%d" % caused_at_ms)
        for key, (view, as_of_ms, features) in touched.items():
            value = encode.entity_features(view, as_of_ms, features)
            about = plan.envelope.headers(f"{batch.partition}-{batch.next_offset}-{key}")
            batch.emit(plan.topics.features, value, key.encode(), headers=[*about, caused_at])

    def _end(self, batch: Batch, refused: Sequence[tuple[Message, Exception]], now_ms: int) -> None:
        """Emit what changed in this partition's state, so that it commits with the batch."""
        self._deduplicator.seal()
        most = len(batch) + FORGET_BESIDE_NEW
        for key in self._entities.forget_inactive(self._watermark.at_ms, most):
            batch.emit(self._plan.topics.features, None, key.encode())
        self._entities.write_layouts()
        if self._newest_ms != self._marks.get(_NEWEST):
            self._marks.put(_NEWEST, self._newest_ms)
        self._set_aside(batch, refused, now_ms, records=batch.records)
        if (n := self._entities.n_begun_anew) != self._told_begun_anew:
            self._plan.metrics.begun_anew(n - self._told_begun_anew)
            self._told_begun_anew = n

    def _set_aside(
        self,
        batch: Batch,
        refused: Sequence[tuple[Message, Exception]],
        now_ms: int,
        *,
        records: Sequence[Message] | None = None,
    ) -> None:
        """Let records be dead letters, and log what changed: no way back from here but a crash.

        `records` are those of the batch that changed it; by default those that are refused.
        """
        plan, reasons = self._plan, dict[int, Reason]()
        for record, error in refused:
            reason = error.reason if isinstance(error, InvalidRecord) else Reason.PROCESSING_FAILED
            reasons[record.offset() or 0] = reason
            plan.dead_letters.emit(
                batch, record, reason, str(error), exception=type(error), now_ms=now_ms
            )
        seen = [record for record, _ in refused] if records is None else records
        note_dead_letters(self._singles, batch.tp, seen, reasons, limit=plan.dead_letter_limit)
        for key, value in self._state.changes():
            batch.emit(plan.topics.state, value, key, partition=self.number)
        plan.dead_letters.count(reasons.values())

    def _undo(self) -> None:
        """Take back what was changed since the changelog was last written."""
        self._deduplicator.undo()
        self._state.undo()
        self._read_newest()

    # ---- what is told --------------------------------------------------------------------------

    def entries(self) -> dict[str, int]:
        """Count what is remembered, by table."""
        return {"entities": len(self._entities)}
