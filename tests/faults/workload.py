"""Numbered events at a steady rate, workers that count them, and who reads their answers."""

import random
import threading
import time
import uuid
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from confluent_kafka import (
    Consumer,
    IsolationLevel,
    KafkaError,
    Message,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # exported without saying so
    AdminClient,
    OffsetSpec,
)
from confluent_kafka.cimpl import NewTopic
from faust.types.tuples import TP

from agents.kafka.client_settings import KafkaSettings
from agents.kafka.log_reader import read_to_end
from agents.kafka.offsets import committed_offsets
from tests.faults.cluster import Cluster
from tests.faults.history import Answer, Event, History
from tests.faults.size import SIZE
from tests.faults.workers import Workers
from tests.waiting import wait_until

PARTITIONS = 4
KEYS = 40
TICK_S = 0.01
PASSING = (
    KafkaError._PARTITION_EOF,
    KafkaError._TRANSPORT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._RESOLVE,
    KafkaError._TIMED_OUT,
)
FLOWING_S = 10.0
"""Within what time after a fault there are answers again, from every partition."""
SETTLE_S = 60.0
"""Within what time everything is answered and no transaction open."""


class Generator:
    """Sends numbered events; those of a key in the order of their numbers."""

    def __init__(self, settings: KafkaSettings, topic: str, rate: float) -> None:
        self.rate = rate
        """Events in a second; may be changed at any time."""
        self.n_sent = 0
        self.acknowledged: set[int] = set()
        self._topic = topic
        self._producer = Producer(settings.producer())
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def stop(self) -> None:
        """Send no more."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join()

    def finish(self) -> None:
        """Send no more, and wait until what was sent is acknowledged."""
        self.stop()
        wait_until(lambda: self._producer.flush(1) == 0, SETTLE_S)

    def _run(self) -> None:
        owed, at_s = 0.0, time.monotonic()
        while not self._closing.wait(TICK_S):
            before_s, at_s = at_s, time.monotonic()
            owed += self.rate * (at_s - before_s)
            while owed >= 1:
                self._send(self.n_sent)
                owed -= 1
            self._producer.poll(0)

    def _send(self, number: int) -> None:
        def note(error: KafkaError | None, _: Message) -> None:
            if error is None:
                self.acknowledged.add(number)

        key = b"key-%d" % (number % KEYS)
        self._producer.produce(self._topic, b"%d" % number, key, on_delivery=note)
        self.n_sent += 1


class Reader:
    """Reads committed answers while they come, in a thread of its own."""

    def __init__(self, settings: KafkaSettings, topic: str) -> None:
        self.polled: list[Answer] = []
        self.latest = [-1] * PARTITIONS
        """The number that was seen last, of each partition."""
        self.failures: list[KafkaError] = []
        self._consumer = Consumer(settings.reader())
        self._consumer.assign([TopicPartition(topic, number, 0) for number in range(PARTITIONS)])
        self._closing = threading.Event()
        self._may_read = threading.Event()
        self._may_read.set()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def pause(self) -> None:
        """Read nothing, until told to go on."""
        self._may_read.clear()

    def resume(self) -> None:
        """Go on."""
        self._may_read.set()

    def close(self) -> None:
        """End the thread."""
        self._closing.set()
        self._thread.join()
        self._consumer.close()

    def _run(self) -> None:
        while not self._closing.is_set():
            if not self._may_read.wait(TICK_S):
                continue
            for message in self._consumer.consume(1_000, 0.05):
                error = message.error()
                if error is None:
                    answer = parse(
                        message.partition() or 0,
                        message.offset() or 0,
                        message.key(),
                        message.value(),
                    )
                    self.polled.append(answer)
                    self.latest[answer.partition] = answer.number
                elif error.code() not in PASSING:
                    self.failures.append(error)


class Workload:
    """A run: topics of its own, a generator, workers, and a reader from the first moment on."""

    def __init__(
        self,
        cluster: Cluster,
        directory: Path,
        *,
        rate: float,
        seed: int,
        **worker: Any,
    ) -> None:
        self.cluster = cluster
        self.random = random.Random(seed)
        prefix = f"f{uuid.uuid4().hex[:8]}-"
        self.group = f"{prefix}counting"
        self.settings = KafkaSettings(bootstrap=cluster.bootstrap, group=self.group)
        self.source, self.target = f"{prefix}events", f"{prefix}counted"
        self.changelog = f"{prefix}counting-state"
        self.admin = AdminClient(self.settings.client())
        self._create(self.source)
        self._create(self.target)
        self._create(self.changelog, **{"cleanup.policy": "compact"})
        self.generator = Generator(self.settings, self.source, rate)
        self.workers = Workers(directory, prefix=prefix, bootstrap=cluster.bootstrap, **worker)
        self.reader = Reader(self.settings, self.target)
        self.longest_until_flowing_s = 0.0

    def __enter__(self) -> Self:
        with ExitStack() as opened:
            opened.callback(self.reader.close)
            opened.enter_context(self.workers)
            opened.callback(self.generator.stop)
            self._opened = opened.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def begin(self, n_workers: int) -> None:
        """Start workers, and events once there are answers to expect."""
        for slot in range(n_workers):
            self.workers.start(slot)
        self.workers.wait_assigned(*range(n_workers))
        self.generator.start()
        wait_until(lambda: min(self.reader.latest) >= 0, 30)

    def wait_a_while(self) -> None:
        """Wait for a random number of answers."""
        self.wait_answered(self.random.randrange(SIZE.n_between))

    def wait_sent(self, n: float) -> None:
        """Wait until so many events were sent, since the beginning."""
        wait_until(lambda: self.generator.n_sent >= n, 60 + n / self.generator.rate)

    def wait_answered(self, n: int, timeout_s: float = SETTLE_S) -> None:
        """Wait until so many answers more were read."""
        goal = len(self.reader.polled) + n
        wait_until(lambda: len(self.reader.polled) >= goal, timeout_s)

    def wait_flowing(self, timeout_s: float = FLOWING_S) -> None:
        """Wait for answers to events from now on, of every partition."""
        began_at_s, number = time.monotonic(), self.generator.n_sent
        wait_until(lambda: min(self.reader.latest) >= number, timeout_s)
        self.longest_until_flowing_s = max(
            self.longest_until_flowing_s, time.monotonic() - began_at_s
        )

    def members(self) -> set[str]:
        """Tell who is in the workers' group, by client id."""
        asked = self.admin.describe_consumer_groups([self.group])
        return {member.client_id for member in asked[self.group].result(10).members}

    def wait_member(self, slot: int, *, present: bool, timeout_s: float = 30) -> None:
        """Wait until a worker is a member of its group, or is no longer."""
        wait_until(lambda: (f"{self.group}-{slot}" in self.members()) is present, timeout_s)

    def verdict(self) -> dict[str, str]:
        """End the load, and tell the anomalies by their names: of each how many, and the first."""
        by_kind: dict[str, list[str]] = {}
        for kind, what in self.finish().anomalies():
            by_kind.setdefault(kind, []).append(what)
        return {kind: f"{len(each)}, such as {each[0]}" for kind, each in by_kind.items()}

    def finish(self) -> History:
        """End the load; wait until all is answered and no transaction open; tell what was."""
        self.generator.finish()
        wait_until(lambda: self.lag() == 0, SETTLE_S)
        wait_until(lambda: not self.held_back(), SETTLE_S)
        final = [
            parse(partition, offset, key, value)
            for partition, offset, key, value in self._records(self.target)
        ]
        wait_until(lambda: len(self.reader.polled) >= len(final), SETTLE_S)
        assert self.reader.failures == []
        source: dict[int, list[Event]] = {number: [] for number in range(PARTITIONS)}
        for partition, _, key, value in self._records(self.source):
            source[partition].append(Event(key or b"", int(value or b"")))
        state: dict[int, dict[bytes, int]] = {number: {} for number in range(PARTITIONS)}
        for partition, _, key, value in self._records(self.changelog):
            state[partition][key or b""] = int(value or b"")
        return History(
            acknowledged=frozenset(self.generator.acknowledged),
            source=source,
            polled=self.reader.polled,
            final=final,
            state=state,
        )

    def lag(self) -> int:
        """Count the events behind what the workers committed."""
        ends = self._ends([self.source], committed=False)
        committed = committed_offsets(self.settings, ends, timeout_s=10)
        return sum(end - committed.get(tp, 0) for tp, end in ends.items())

    def held_back(self) -> dict[TP, int]:
        """Tell where open transactions begin: readers of committed records see no further."""
        topics = [self.target, self.changelog]
        committed = self._ends(topics, committed=True)
        ends = self._ends(topics, committed=False)
        return {tp: committed[tp] for tp, end in ends.items() if committed[tp] < end}

    def freeze_within_transaction(self, slot: int) -> None:
        """Pause a worker while it has a transaction open; others go on."""
        while True:
            self.workers.pause(slot)
            before = self.held_back()
            self.wait_answered(200)
            if before.items() & self.held_back().items():
                return
            self.workers.resume(slot)
            self.wait_answered(self.random.randrange(200))

    def _ends(self, topics: Iterable[str], *, committed: bool) -> dict[TP, int]:
        level = IsolationLevel.READ_COMMITTED if committed else IsolationLevel.READ_UNCOMMITTED
        # A client that knew a broker before its death asks with an epoch that is over.
        admin = AdminClient(self.settings.client())
        asked = admin.list_offsets(
            {
                TopicPartition(topic, number): OffsetSpec.latest()
                for topic in topics
                for number in range(PARTITIONS)
            },
            isolation_level=level,
        )
        return {TP(at.topic, at.partition): end.result(10).offset for at, end in asked.items()}

    def _records(self, topic: str) -> Iterable[tuple[int, int, bytes | None, bytes | None]]:
        for partition in range(PARTITIONS):
            for offset, key, value in read_to_end(self.settings, TP(topic, partition)):
                yield partition, offset, key, value

    def _create(self, name: str, **config: str) -> None:
        new = NewTopic(name, PARTITIONS, self.cluster.replication, config=config)
        self.admin.create_topics([new])[name].result(30)
        wait_until(lambda: name in self.admin.list_topics(timeout=5).topics)


def parse(partition: int, offset: int, key: bytes | None, value: bytes | None) -> Answer:
    """Read an answer of the counting app.

    >>> parse(1, 7, b"a", b"12 3")
    Answer(partition=1, offset=7, key=b'a', number=12, total=3)
    """
    number, total = (value or b"").split()
    return Answer(partition, offset, key or b"", int(number), int(total))
