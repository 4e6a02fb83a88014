"""Topics, records and worker processes for tests of the transport."""

import json
import os
import signal
import socket
import struct
import subprocess
import sys
import uuid
from collections import defaultdict
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from agents.kafka.client_settings import KafkaSettings
from tests.waiting import wait_until

PARTITIONS = 4
BROKER_AWAY = (KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._RESOLVE)


class Bench:
    """One test's topics on the shared broker, and the processes that work on them."""

    def __init__(self, bootstrap, log_dir):
        self.bootstrap = bootstrap
        self.prefix = f"t{uuid.uuid4().hex[:8]}-"
        self.log_dir = log_dir
        self.workers = []
        self.readers = []
        self.producer = Producer(KafkaSettings(bootstrap=bootstrap, group=self.prefix).producer())

    def create(self, *names, partitions=PARTITIONS, **config):
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        new = [NewTopic(self.prefix + n, partitions, 1, config=config) for n in names]
        for created in admin.create_topics(new).values():
            created.result(30)
        made = {self.prefix + name for name in names}
        wait_until(lambda: made <= admin.list_topics(timeout=5).topics.keys())

    def send(self, numbers, *, topic="events", n_keys=50):
        for number in numbers:
            self.producer.produce(
                self.prefix + topic, b"%d" % number, b"key-%d" % (number % n_keys)
            )
            self.producer.poll(0)
        assert self.producer.flush(30) == 0

    def start(self, slot=0, *, app="counting_app", **kafka):
        settings = {"prefix": self.prefix, "bootstrap": self.bootstrap, "slot": slot, **kafka}
        script = Path(__file__).with_name(f"{app}.py")
        with (self.log_dir / f"worker-{slot}.log").open("ab") as log:
            worker = subprocess.Popen(
                [sys.executable, str(script), json.dumps(settings)],
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": "."},
            )
        self.workers.append(worker)
        return worker

    def reader(self):
        """Count what the counting app has committed, from the beginning."""
        return Counted(self.consumer("counted"))

    def consumer(self, topic):
        """Read what is committed, from the beginning."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": f"{self.prefix}reader",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
            }
        )
        consumer.assign([TopicPartition(self.prefix + topic, p, 0) for p in range(PARTITIONS)])
        self.readers.append(consumer)
        return consumer

    def expel(self, group, slot=0):
        """Remove a static member from its group, as an administrator or a lost session does.

        LeaveGroup, version 3; no client offers it for another member.
        """
        full = f"{self.prefix}{group}"
        members = struct.pack(">i", 1) + _text("") + _text(f"{full}-{slot}")
        request = struct.pack(">hhi", 13, 3, 1) + _text("test") + _text(full) + members
        host, port = self.bootstrap.split(":")
        with socket.create_connection((host, int(port)), 10) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            answer = connection.makefile("rb")
            (length,) = struct.unpack(">i", answer.read(4))
            _, _, error = struct.unpack_from(">iih", answer.read(length))
        assert error == 0

    def logs(self):
        return "\n".join(self.each_log().values())

    def each_log(self):
        paths = sorted(self.log_dir.glob("worker-*.log"))
        return {int(path.stem.partition("-")[2]): path.read_text() for path in paths}

    def close(self):
        for reader in self.readers:
            reader.close()
        for worker in self.workers:
            if worker.poll() is None:
                worker.send_signal(signal.SIGKILL)
            worker.wait()


def _text(value):
    return struct.pack(">h", len(value)) + value.encode()


class Counted:
    """What a read_committed reader sees of the counting app."""

    def __init__(self, reader):
        self._reader = reader
        self.times_seen = defaultdict(int)
        self.counts_by_key = defaultdict(list)

    def poll(self):
        for message in self._reader.consume(1_000, 0.2):
            if message.error() is not None:
                assert message.error().code() in BROKER_AWAY
                continue
            number, count = message.value().split()
            self.times_seen[int(number)] += 1
            self.counts_by_key[message.key()].append(int(count))
        return self

    def wait_for(self, n, timeout_s=60):
        wait_until(lambda: len(self.poll().times_seen) >= n, timeout_s, every_s=0)

    def lost(self, sent):
        return sorted(set(sent) - set(self.times_seen))

    @property
    def duplicated(self):
        return {number: n for number, n in self.times_seen.items() if n > 1}

    @property
    def keys_with_wrong_counts(self):
        return {
            key: counts
            for key, counts in self.counts_by_key.items()
            if counts != list(range(1, len(counts) + 1))
        }


@pytest.fixture
def bench(kafka, tmp_path):
    made = Bench(kafka.bootstrap, tmp_path)
    made.create("events", "counted")
    made.create("counting-state", **{"cleanup.policy": "compact"})
    yield made
    made.close()
