"""Read a partition of a topic from an offset up to its present end."""

import time
from collections.abc import Callable, Iterator
from typing import Final

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition
from faust.types.tuples import TP

from agents.kafka.client_settings import KafkaSettings
from schemas.errors import DeliveryFailed

POLL_S: Final = 0.2
CHUNK: Final = 10_000
BOUNDS_TIMEOUT_S: Final = 30.0
_NO_LEADER_YET: Final = frozenset(
    {KafkaError.LEADER_NOT_AVAILABLE, KafkaError.NOT_LEADER_FOR_PARTITION}
)
"""Of a topic that was made a moment ago."""
QUIET_TIMEOUT_S: Final = 60.0
"""A partition that neither delivers nor ends for this long is given up: reading always ends."""

Progress = Callable[[int, int, int], None]
"""Called with the first offset, the next one to be read, and the end."""


def read_to_end(
    settings: KafkaSettings,
    tp: TP,
    *,
    start: int = OFFSET_BEGINNING,
    end: int | None = None,
    progress: Progress = lambda first, position, end: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Iterator[tuple[int, bytes | None, bytes | None]]:
    """Yield offset, key and value of each committed record that is in the partition now.

    Records of transactions that are still open at the start are waited for: they are decided
    within the transaction timeout, and a reader that went by them would miss what is about to be
    committed. Empty, expired and compacted partitions, and control records, all end properly,
    since the end is recognised by position and not by counting records.

    Parameters
    ----------
    start, end
        First offset to read, and the offset to stop before; by default the whole partition.
    cancelled
        Asked between chunks; ends the reading early.

    Raises
    ------
    DeliveryFailed
        When the partition cannot be read.
    """
    reader = Consumer(settings.reader())
    try:
        low, high = _bounds(settings, tp)
        first = low if start == OFFSET_BEGINNING else max(low, start)
        stop = high if end is None else min(high, end)
        if first >= stop:
            return
        reader.assign([TopicPartition(tp.topic, tp.partition, first)])
        position = first
        heard_at = time.monotonic()
        while position < stop and not cancelled():
            found = reader.poll(POLL_S)
            # `consume(n, timeout)` would wait for all n.
            for message in () if found is None else (found, *reader.consume(CHUNK, 0)):
                error = message.error()
                offset = message.offset() or 0
                if error is None:
                    if offset >= stop:
                        position = stop
                        break
                    yield offset, message.key(), message.value()
                    position = offset + 1
                elif error.code() == KafkaError._PARTITION_EOF:
                    position = min(max(position, offset), stop)
                elif error.fatal() or not error.retriable():
                    raise DeliveryFailed(f"reading {tp.topic}:{tp.partition}: {error.str()}")
                heard_at = time.monotonic()
            progress(first, position, stop)
            if time.monotonic() - heard_at > QUIET_TIMEOUT_S:
                raise DeliveryFailed(
                    f"{tp.topic}:{tp.partition} gave nothing for {QUIET_TIMEOUT_S:.0f} s at offset"
                    f" {position} of {stop}; is a transaction left open?"
                )
    except KafkaException as exception:
        raise DeliveryFailed(
            f"reading {tp.topic}:{tp.partition}: {exception.args[0].str()}"
        ) from exception
    finally:
        reader.close()


def _bounds(settings: KafkaSettings, tp: TP) -> tuple[int, int]:
    """Find the first offset and the one behind the last, be that committed or not."""
    # To a consumer of committed records a partition ends before its first open transaction.
    onlooker = Consumer({**settings.reader(), "isolation.level": "read_uncommitted"})
    deadline = time.monotonic() + BOUNDS_TIMEOUT_S
    try:
        while True:
            try:
                return onlooker.get_watermark_offsets(TopicPartition(*tp), timeout=BOUNDS_TIMEOUT_S)
            except KafkaException as failure:
                if failure.args[0].code() not in _NO_LEADER_YET or time.monotonic() > deadline:
                    raise
            time.sleep(POLL_S)
    finally:
        onlooker.close()
