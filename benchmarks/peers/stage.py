"""One warm broker for all runs, with fresh topics for each, and peers as processes on it."""

import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, Self

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from agents.embedded import child
from agents.embedded.kafka import EmbeddedKafka
from agents.embedded.process import free_port
from agents.kafka.client_settings import KafkaSettings
from benchmarks.peers.candidates import Candidate
from benchmarks.peers.environments import ROOT, ensure
from benchmarks.peers.events import events
from benchmarks.peers.task import N_PARTITIONS, Task

STOP_TIMEOUT_S: Final = 15.0
SILENT: Final = {"log_level": 0}
"""Our clients outlive the broker by a moment, which is no news."""

Process = subprocess.Popen[bytes]


class PeerEnded(Exception):
    """A peer's process ended by itself; the message is its last line."""


class Stage:
    """The broker, and a directory for logs and whatever peers keep."""

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            kafka = EmbeddedKafka(self.directory, free_port(), throughput=True, heap_mb=512)
            stack.enter_context(kafka)
            self.bootstrap = kafka.bootstrap
            self._admin = AdminClient({"bootstrap.servers": self.bootstrap, **SILENT})
            self._filled: dict[int, str] = {}
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def fresh_topic(self, purpose: str) -> str:
        """Make a topic that nobody has used; the broker stamps what it appends."""
        name = f"{purpose}-{uuid.uuid4().hex[:8]}"
        new = NewTopic(name, N_PARTITIONS, 1, config={"message.timestamp.type": "LogAppendTime"})
        self._admin.create_topics([new])[name].result(30)
        while not self._is_led(name):
            time.sleep(0.02)
        return name

    def backlog(self, n: int) -> str:
        """Name a topic that holds n events, the same for all who ask for as many."""
        if n not in self._filled:
            self._filled[n] = self.fresh_topic("source")
            self.publish(self._filled[n], ((each.key, each.value(0)) for each in events(n)))
        return self._filled[n]

    def publish(self, topic: str, records: Iterable[tuple[bytes, bytes]]) -> None:
        """Publish records as fast as it goes, and wait until the broker has them."""
        settings = KafkaSettings(bootstrap=self.bootstrap, group="benchmark").producer()
        producer = Producer({**settings, **SILENT, "linger.ms": 50})
        for key, value in records:
            try:
                producer.produce(topic, value, key)
            except BufferError:
                producer.flush(60)
                producer.produce(topic, value, key)
        if producer.flush(60):
            raise SystemExit(f"cannot fill {topic}")

    @contextmanager
    def peer(
        self, candidate: Candidate, source: str, target: str, linger_ms: int
    ) -> Iterator[Process]:
        """Run a peer in a process of its own, with a consumer group of its own."""
        python = ensure(candidate.environment, candidate.requirements)
        group = f"{candidate.module}-{uuid.uuid4().hex[:8]}"
        directory = self.directory / group
        directory.mkdir()
        task = Task(
            bootstrap=self.bootstrap,
            source=source,
            target=target,
            group=group,
            directory=str(directory),
            delivery=candidate.delivery,
            linger_ms=linger_ms,
        )
        with self.process(
            group, f"benchmarks.peers.{candidate.module}", task.to_json(), python
        ) as (
            process,
            _,
        ):
            yield process

    @contextmanager
    def process(
        self, name: str, module: str, argument: str, python: Path = Path(sys.executable)
    ) -> Iterator[tuple[Process, Path]]:
        """Run a module of ours in a process; tell its log, and end it at the end of the block."""
        log_path = self.directory / "logs" / f"{name}.log"
        process = child.start(
            [str(python), "-m", module, argument],
            log_path=log_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        try:
            yield process, log_path
        except PeerEnded as ended:
            raise PeerEnded(child.last_line(log_path)) from ended
        finally:
            child.stop(process, STOP_TIMEOUT_S)

    def _is_led(self, topic: str) -> bool:
        found = self._admin.list_topics(topic, timeout=10).topics[topic]
        return len(found.partitions) == N_PARTITIONS and all(
            partition.leader >= 0 for partition in found.partitions.values()
        )
