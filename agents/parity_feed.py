"""Follow events and outcomes from the beginning, and compare what was served with the log.

A thread of its own in the watch role. Events wait until predict has decided about them, and what it
set aside is passed over. All others are cleaned, since each may move the clock that decides who is
late; of users who are not in the sample nothing else is done. It compares as long as
the log is whole: where retention has deleted its beginning, features of long windows cannot
be computed again, and the feed says so and ends.
"""

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

import msgspec
from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from agents.kafka.client_settings import KafkaSettings
from agents.observability import metric_list
from agents.observability.metrics import Metrics
from agents.pipeline import Pipeline
from agents.verdicts import Verdicts
from schemas.errors import UNREADABLE, InvalidRecord
from schemas.outcomes import Outcome
from streams.clean import EventCleaner
from streams.feature_history import FeatureHistory
from streams.parity import Parity, SampledPartition

logger = logging.getLogger(__name__)

CHUNK: Final = 2_000
POLL_S: Final = 0.5
BOUNDS_TIMEOUT_S: Final = 10.0
RETRY_S: Final = 1.0
LOOK_EVERY_S: Final = 1.0
"""How often predict's verdicts are looked for while events wait for them."""
MAX_WAITING: Final = 10_000
"""Events that wait for predict; meanwhile no others are read."""
SLACK_S: Final = 5.0
"""How long after a record is in the log it is read at the latest by who waits at its end."""


def new_parity(pipeline: Pipeline) -> Parity:
    """Make the comparison of a pipeline."""
    features = pipeline.compiled()
    return Parity(
        features,
        share=pipeline.parity_share,
        prediction_id=f"{pipeline.use_case}:".__add__,
        horizon=pipeline.label.horizon,
        keep_negatives=pipeline.label.keep_negatives,
        at_maturity=pipeline.label.positive == "at_maturity",
        new_partition=lambda: SampledPartition(
            FeatureHistory(
                features.user,
                deduplication=pipeline.deduplication,
                max_event_ids=pipeline.max_event_ids,
                lateness=pipeline.allowed_lateness,
                views=features.of_user,
            ),
            lateness=pipeline.allowed_lateness,
        ),
    )


class ParityFeed:
    """Feeds a comparison with the records of sampled users.

    Parameters
    ----------
    events, outcomes
        Full names of the topics.
    verdicts
        What predict made of the events.
    on_failure
        Called from the thread if it has to end.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        pipeline: Pipeline,
        metrics: Metrics,
        *,
        events: str,
        outcomes: str,
        verdicts: Callable[[], Verdicts],
        on_failure: Callable[[BaseException], None],
    ) -> None:
        self._kafka = kafka
        self._events, self._outcomes = events, outcomes
        self._on_failure = on_failure
        self._parity = new_parity(pipeline)
        self._clean = EventCleaner(
            pipeline.event,
            actions=pipeline.actions,
            max_bytes=pipeline.max_event_bytes,
            future_tolerance=pipeline.future_tolerance,
        ).clean
        self._decode_outcome = msgspec.msgpack.Decoder(Outcome).decode
        self._told = Told(metrics)
        self._new_verdicts = verdicts
        self._looked_at_s = -math.inf
        self._waiting: dict[int, deque[tuple[Message | None, float]]] = {}
        """By partition: events in turn, and when they were read; `None` is the log's end."""
        self._is_paused = False
        self._read_at_s: dict[int, float] = {}
        """When a partition of the events was read to its end."""
        self._at_end: set[int] = set()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="parity-feed", daemon=True)

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def stop(self) -> None:
        """End following."""
        self._closing.set()
        self._thread.join()

    @property
    def n_waiting(self) -> int:
        """How many events predict has not decided about yet."""
        return sum(
            message is not None for waiting in self._waiting.values() for message, _ in waiting
        )

    def _run(self) -> None:
        consumer, verdicts = Consumer(self._kafka.reader()), self._new_verdicts()
        try:
            if not self._begin(consumer, verdicts):
                return
            while not self._closing.is_set():
                first = consumer.poll(POLL_S)
                if first is not None:
                    # `consume(n, timeout)` would wait for all n.
                    for message in (first, *consumer.consume(CHUNK, 0)):
                        self._hear(message)
                self._take_decided(verdicts)
                self._wait_for_predict(consumer)
                self._parity.settle(log_read_at_s=self._log_read_at_s())
                self._told.tell(self._parity)
        except BaseException as failure:  # noqa: BLE001  # whatever it is, the worker must end
            self._on_failure(failure)
        finally:
            consumer.close()
            verdicts.close()

    def _begin(self, consumer: Consumer, verdicts: Verdicts) -> bool:
        """Wait for a broker that can tell where the logs begin; tell whether they are whole."""
        while not self._closing.is_set():
            try:
                return self._assign(consumer, verdicts)
            except KafkaException as exception:
                # Topics that were just made have no leader for a moment; brokers may be away.
                logger.warning("parity is not measured yet: %s", exception.args[0].str())
                self._closing.wait(RETRY_S)
        return False

    def _assign(self, consumer: Consumer, verdicts: Verdicts) -> bool:
        at = [
            TopicPartition(topic, partition, OFFSET_BEGINNING)
            for topic in (self._events, self._outcomes)
            for partition in consumer.list_topics(topic, timeout=BOUNDS_TIMEOUT_S)
            .topics[topic]
            .partitions
        ]
        if not verdicts.are_whole():
            logger.warning(
                "parity is not measured: the oldest dead letters are deleted, so nobody knows which"
                " events were set aside"
            )
            return False
        for each in at:
            if each.topic == self._events:
                self._read_at_s[each.partition] = -math.inf
                self._waiting[each.partition] = deque()
            low, _ = consumer.get_watermark_offsets(each, timeout=BOUNDS_TIMEOUT_S)
            if low > 0:
                logger.warning(
                    "parity is not measured: %s-%s begins at offset %s only, and what came before"
                    " cannot be computed again",
                    *(each.topic, each.partition, low),
                )
                return False
        consumer.assign(at)
        return True

    def _log_read_at_s(self) -> float:
        """Tell up to when all partitions of the events are read."""
        at_end_s = time.monotonic() - SLACK_S
        return min(
            at_end_s if number in self._at_end else at_s for number, at_s in self._read_at_s.items()
        )

    def _hear(self, message: Message) -> None:
        error = message.error()
        is_event, number = message.topic() == self._events, message.partition() or 0
        if error is not None:
            if error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001  # its name
                logger.warning("reading what was served: %s", error.str())
            elif is_event:
                self._waiting[number].append((None, time.monotonic()))
        elif is_event:
            self._at_end.discard(number)
            self._waiting[number].append((message, time.monotonic()))
        elif self._parity.is_sampled(message.key()):
            self._take_outcome(message)

    def _take_decided(self, verdicts: Verdicts) -> None:
        """Take in the events that predict has decided about; look whether there are more."""
        self._take_those(verdicts)
        now_s = time.monotonic()
        if any(self._waiting.values()) and now_s - self._looked_at_s >= LOOK_EVERY_S:
            self._looked_at_s = now_s
            try:
                verdicts.look(list(self._waiting))
            except KafkaException as exception:
                logger.warning("what predict decided stays unknown: %s", exception.args[0].str())
            self._take_those(verdicts)

    def _take_those(self, verdicts: Verdicts) -> None:
        for number, waiting in self._waiting.items():
            while waiting:
                message, read_at_s = waiting[0]
                if message is None:
                    self._at_end.add(number)
                    self._read_at_s[number] = read_at_s - SLACK_S
                else:
                    offset = message.offset() or 0
                    if not verdicts.is_decided(number, offset):
                        break
                    if not verdicts.was_set_aside(number, offset):
                        self._take_event(message)
                waiting.popleft()
            if waiting:
                # Read it is, and not yet taken in.
                self._at_end.discard(number)

    def _wait_for_predict(self, consumer: Consumer) -> None:
        """Read no further events while very many wait, and go on when few do."""
        n_waiting = self.n_waiting
        if self._is_paused == (n_waiting > (MAX_WAITING / 2 if self._is_paused else MAX_WAITING)):
            return
        self._is_paused = not self._is_paused
        events = [TopicPartition(self._events, number) for number in self._waiting]
        (consumer.pause if self._is_paused else consumer.resume)(events)

    def _take_event(self, message: Message) -> None:
        _, published_ms = message.timestamp()
        try:
            event = self._clean(message.key(), message.value(), published_at_ms=published_ms)
        except InvalidRecord:
            return  # predict made a dead letter of it
        partition = message.partition() or 0
        if event.event_id is None:
            event.event_id = f"{self._events}-{partition}-{message.offset()}"
        self._parity.event(partition, event, is_sampled=self._parity.is_sampled(message.key()))

    def _take_outcome(self, message: Message) -> None:
        try:
            outcome = self._decode_outcome(message.value() or b"")
        except UNREADABLE:
            return  # learn made a dead letter of it
        self._parity.outcome(outcome, read_at_s=time.monotonic())


class Told:
    """What of a comparison the metrics have already."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._compared = metrics.counter(metric_list.PARITY_COMPARED)
        self._missing = metrics.counter(metric_list.PARITY_MISSING)
        self._extra = metrics.counter(metric_list.PARITY_EXTRA)
        self._users = metrics.gauge(metric_list.PARITY_USERS)
        self._before = (0, 0, 0)
        self._mismatches: dict[str, int] = {}

    def tell(self, parity: Parity) -> None:
        """Add what is new."""
        counts = parity.counts
        self._users.set(parity.users)
        now = (counts.compared, counts.missing, counts.extra)
        if now == self._before:
            return
        metrics = (self._compared, self._missing, self._extra)
        for metric, before, after in zip(metrics, self._before, now, strict=True):
            metric.inc(after - before)
        self._before = now
        for name, n in counts.mismatches.items():
            more = n - self._mismatches.get(name, 0)
            self._metrics.counter(metric_list.PARITY_MISMATCHES, feature=name).inc(more)
        self._mismatches = dict(counts.mismatches)
