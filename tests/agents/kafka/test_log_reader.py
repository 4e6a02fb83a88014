"""Reading a partition to its end, on a real broker, whatever stands at its end."""

import sys
import threading
import time

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # exported without saying so
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)
from faust.types.tuples import TP

from agents.embedded.kafka_properties import NODE_ID
from agents.kafka import log_reader
from agents.kafka.client_settings import KafkaSettings
from agents.kafka.log_reader import read_to_end
from schemas.errors import DeliveryFailed
from tests.markers import marker_written
from tests.waiting import wait_until

pytestmark = pytest.mark.integration


class Log:
    """One partition, and those who write to it."""

    def __init__(self, bench):
        self.tp = TP(bench.prefix + "log", 0)
        self.settings = KafkaSettings(bootstrap=bench.bootstrap, group=bench.prefix + "reader")
        self._bootstrap = bench.bootstrap
        self._producer = bench.producer
        self._n_transactions = 0

    def append(self, *values: bytes) -> None:
        for value in values:
            self._producer.produce(self.tp.topic, value, b"key of " + value, 0)
        assert self._producer.flush(30) == 0

    def begin(self, *values: bytes) -> Producer:
        """Leave a transaction open behind these records."""
        self._n_transactions += 1
        writer = KafkaSettings(
            bootstrap=self._bootstrap, group=self.tp.topic, slot=self._n_transactions
        )
        producer = Producer(writer.transactional_producer(turn=0))
        producer.init_transactions(30)
        producer.begin_transaction()
        for value in values:
            producer.produce(self.tp.topic, value, b"key of " + value, 0)
        assert producer.flush(30) == 0
        return producer

    def commit(self, *values: bytes) -> None:
        writer = self.begin(*values)
        with marker_written(self._bootstrap, *self.tp):
            writer.commit_transaction()

    def abort(self, *values: bytes) -> None:
        writer = self.begin(*values)
        with marker_written(self._bootstrap, *self.tp):
            writer.abort_transaction()

    def expire_before(self, offset: int) -> None:
        admin = AdminClient({"bootstrap.servers": self._bootstrap})
        at = TopicPartition(*self.tp, offset)
        admin.delete_records([at])[at].result(30)

    def read(self, **options) -> list[tuple[int, bytes | None]]:
        return [
            (offset, value) for offset, _, value in read_to_end(self.settings, self.tp, **options)
        ]


@pytest.fixture
def log(bench) -> Log:
    bench.create("log", partitions=1)
    return Log(bench)


def clean_soon(bootstrap: str) -> None:
    """Have the broker compact what is to be compacted at once."""
    often = ConfigEntry(
        "log.cleaner.backoff.ms", "100", incremental_operation=AlterConfigOpType.SET
    )
    broker = ConfigResource(ResourceType.BROKER, str(NODE_ID), incremental_configs=[often])
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for altered in admin.incremental_alter_configs([broker]).values():
        altered.result(30)


def test_an_empty_partition_is_at_its_end_already(log):
    assert log.read() == []


def test_everything_is_read_with_offsets_and_keys_or_a_part_of_it(log):
    log.append(b"a", b"b", b"c")

    whole = list(read_to_end(log.settings, log.tp))
    assert whole == [(0, b"key of a", b"a"), (1, b"key of b", b"b"), (2, b"key of c", b"c")]
    assert log.read(start=1) == [(1, b"b"), (2, b"c")]
    assert log.read(end=2) == [(0, b"a"), (1, b"b")]
    assert log.read(start=1, end=2) == [(1, b"b")]
    assert log.read(end=99) == [(0, b"a"), (1, b"b"), (2, b"c")]
    assert log.read(start=3) == log.read(start=99) == log.read(start=2, end=2) == []


def test_expired_records_are_missing_and_no_reason_to_wait(log):
    log.append(b"a", b"b", b"c")
    log.expire_before(2)
    assert log.read() == log.read(start=1) == [(2, b"c")]
    assert log.read(end=1) == []

    log.expire_before(3)
    assert log.read() == []


def test_compacted_records_are_missing_and_no_reason_to_wait(bench):
    bench.create(
        "log",
        partitions=1,
        **{"cleanup.policy": "compact", "segment.ms": "1", "min.cleanable.dirty.ratio": "0"},
    )
    clean_soon(bench.bootstrap)
    log = Log(bench)
    for value in (b"a", b"b", b"a", b"a", b"b"):
        log.append(value)
    # The last one stands in the active segment, which is not compacted.
    wait_until(lambda: log.read() == [(1, b"b"), (3, b"a"), (4, b"b")], 30)

    assert log.read(start=2, end=4) == [(3, b"a")]
    assert log.read(end=1) == log.read(start=2, end=3) == []


def test_aborted_records_and_markers_are_passed_over_even_at_the_end(log):
    log.commit(b"a")
    log.abort(b"aborted")
    log.append(b"b")
    log.abort(b"aborted", b"too")
    started_at = time.monotonic()

    assert log.read() == [(0, b"a"), (4, b"b")]
    assert log.read(start=5) == []
    assert log.read(end=6) == [(0, b"a"), (4, b"b")]
    assert time.monotonic() - started_at < 10


@pytest.mark.parametrize("is_committed", [True, False])
def test_a_transaction_that_is_open_at_the_start_is_waited_for(log, is_committed):
    log.append(b"a")
    writer = log.begin(b"b")
    found: list[tuple[int, bytes | None]] = []
    positions: list[int] = []

    def read() -> None:
        found.extend(log.read(progress=lambda first, position, end: positions.append(position)))

    reader = threading.Thread(target=read)
    reader.start()
    wait_until(lambda: positions.count(1) >= 3)  # three looks at the end of what is decided
    assert reader.is_alive()
    (writer.commit_transaction if is_committed else writer.abort_transaction)()
    reader.join(10)

    assert found == [(0, b"a"), (1, b"b")][: 1 + is_committed]


def test_a_transaction_that_is_never_decided_is_given_up_with_a_reason(log, monkeypatch):
    monkeypatch.setattr(log_reader, "QUIET_TIMEOUT_S", 2.0)
    log.append(b"a")
    writer = log.begin(b"b")

    with pytest.raises(DeliveryFailed, match=r"log:0 gave nothing .* at offset 1 of"):
        log.read()
    writer.abort_transaction()


def test_a_topic_that_is_none_cannot_be_read(log):
    with pytest.raises(DeliveryFailed, match="no-such-topic:0"):
        list(read_to_end(log.settings, TP("no-such-topic", 0)))


def test_progress_goes_from_the_first_record_to_the_end(log, monkeypatch):
    monkeypatch.setattr(log_reader, "CHUNK", 10)
    log.append(*(b"%d" % n for n in range(100)))
    log.expire_before(20)
    told: list[tuple[int, int, int]] = []
    log.read(progress=lambda *at: told.append(at))
    positions = [position for _, position, _ in told]

    assert {(first, end) for first, _, end in told} == {(20, 100)}
    assert positions == sorted(positions)
    assert len(set(positions)) > 3
    assert positions[-1] == 100

    told.clear()
    log.read(start=5, progress=lambda *at: told.append(at))
    assert told[0][0] == 20


def test_progress_ends_at_the_end_though_the_log_goes_on(log):
    log.append(b"a")
    log.abort(b"aborted")
    told: list[tuple[int, int, int]] = []
    log.read(end=2, progress=lambda *at: told.append(at))

    assert told[-1] == (0, 2, 2)


def test_reading_ends_early_when_it_is_called_off(log, monkeypatch):
    monkeypatch.setattr(log_reader, "CHUNK", 10)
    log.append(*(b"%d" % n for n in range(100)))
    called_off = threading.Event()
    found = []
    for offset, _, _ in read_to_end(log.settings, log.tp, cancelled=called_off.is_set):
        found.append(offset)
        if offset == 14:
            called_off.set()

    assert 15 <= len(found) <= 30


def test_a_hundred_thousand_states_are_back_within_seconds(log, capsys):
    n, state = 100_000, b"x" * 600
    for number in range(n):
        log._producer.produce(log.tp.topic, state, b"key-%d" % number, 0)
        if number % 1_000 == 0:
            log._producer.poll(0)
    assert log._producer.flush(60) == 0
    started_at = time.monotonic()
    n_read = sum(1 for _ in read_to_end(log.settings, log.tp))
    seconds = time.monotonic() - started_at
    with capsys.disabled():
        sys.stdout.write(f"\nread back {n_read / seconds:,.0f} states of 600 bytes a second\n")

    assert n_read == n
    assert seconds < 10
