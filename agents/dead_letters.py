"""Set a record aside: on `dead-letters`, in the transaction of the batch that it came with."""

from collections.abc import Iterable
from typing import Final

from confluent_kafka import Message

from agents.kafka.batch import Batch
from agents.observability import metric_list
from agents.observability.metrics import Metrics
from agents.prediction.encode import Envelope
from schemas import dead_letters
from schemas.cloudevents import rfc3339
from schemas.reasons import Reason


class DeadLetters:
    """Makes the dead letters of a role, and counts them.

    Parameters
    ----------
    topic
        Full name of `dead-letters`.
    source
        Who sets aside, as CloudEvents name it.
    """

    def __init__(self, topic: str, source: str, metrics: Metrics) -> None:
        self._topic: Final = topic
        self._envelope: Final = Envelope("thalweg.dead-letter", source)
        self._counters: Final = {
            reason: metrics.counter(metric_list.DEAD_LETTERS, reason=reason) for reason in Reason
        }

    def emit(
        self,
        batch: Batch,
        record: Message,
        reason: Reason,
        detail: str,
        *,
        exception: type[Exception],
        now_ms: int,
    ) -> None:
        """Let a record's original bytes and headers be published, and why."""
        tp, offset = batch.tp, record.offset() or 0
        why = dead_letters.headers(
            reason,
            detail,
            exception=exception.__name__,
            topic=tp.topic,
            partition=tp.partition,
            offset=offset,
        )
        self._envelope.at(rfc3339(now_ms))
        about = self._envelope.headers(f"{tp.topic}-{tp.partition}-{offset}")
        # Ours last: of headers of one name, readers take the last.
        headers = [*(record.headers() or ()), *why, *about]
        batch.emit(self._topic, record.value(), record.key(), headers=headers)

    def count(self, reasons: Iterable[Reason]) -> None:
        """Count records that were set aside, once nothing can undo it but a crash."""
        for reason in reasons:
            self._counters[reason].inc()
