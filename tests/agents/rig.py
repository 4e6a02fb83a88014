"""Worker processes on topics of their own, that come back when they are killed."""

import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType

import msgspec
from confluent_kafka import Consumer, Producer, TopicPartition

from agents.admin import topic_admin
from agents.kafka.client_settings import KafkaSettings
from agents.local import fleet
from agents.local.keys import ensure_keys
from agents.local.supervisor import Supervisor
from agents.settings import Settings
from schemas import topics
from schemas.events import UserEvent
from schemas.topics import Topic
from tests.waiting import wait_until


class Rig:
    """Topics, and workers that read and write them once the supervisor is started.

    Parameters
    ----------
    workers
        Role and slot of each.
    environ
        Settings that the workers are told beside the rig's.
    metrics_ports
        By role, where they answer over HTTP, if they do.
    module
        What is run, as `thalweg` would be.
    """

    def __init__(
        self,
        settings: Settings,
        workers: Iterable[tuple[str, int]],
        environ: Mapping[str, str] | None = None,
        *,
        metrics_ports: Mapping[str, int] = MappingProxyType({}),
        module: str = "agents.cli",
    ) -> None:
        self.settings = settings
        self.client = KafkaSettings(bootstrap=settings.kafka_bootstrap, group="rig")
        self.consumers: list[Consumer] = []
        topic_admin.create(settings)
        keys = ensure_keys(settings.data_dir / "keys")
        told = {
            "THALWEG_PIPELINE": settings.pipeline,
            "THALWEG_TOPIC_PREFIX": settings.topic_prefix,
            **(environ or {}),
        }
        children = []
        for role, slot in workers:
            command = ("worker", role, "--slot", str(slot))
            planned = fleet.Process(f"{role}-{slot}", command, metrics_ports.get(role, 0))
            child = fleet.child(planned, settings, keys, os.environ | told)
            children.append(replace(child, argv=(sys.executable, "-m", module, *command)))
        self.supervisor = Supervisor(children, settings.data_dir / "logs", lambda death: None)

    def kill(self, number: int) -> None:
        """Kill a worker, and wait until it is back."""
        pid = self.supervisor.children[number].pid
        assert pid is not None
        os.kill(pid, 9)
        wait_until(lambda: self.pid(number) not in (None, pid), 30)

    def pid(self, number: int) -> int | None:
        """Tell a worker's process, if there is one."""
        self.supervisor.poll()
        return self.supervisor.children[number].pid

    def reader(self, topic: Topic) -> Consumer:
        """Read a topic from its beginning, as committed."""
        consumer = Consumer(self.client.reader())
        partitions = range(self.settings.partitions if topic.partitioned else 1)
        name = topic.named(self.settings.topic_prefix)
        self.consumers.append(consumer)
        consumer.assign([TopicPartition(name, number, 0) for number in partitions])
        return consumer

    def publish(self, events: Iterable[UserEvent]) -> None:
        """Publish events, and wait until the broker has them."""
        producer = Producer(self.client.producer())
        topic = topics.USER_EVENTS.named(self.settings.topic_prefix)
        for event in events:
            value, key = msgspec.json.encode(event), str(event.user_id).encode()
            while True:
                try:
                    producer.produce(topic, value, key)
                    break
                except BufferError:
                    producer.poll(0.1)
            producer.poll(0)
        assert producer.flush(30) == 0

    def close(self) -> None:
        """End everything."""
        for consumer in self.consumers:
            consumer.close()
        self.supervisor.stop(timeout_s=10)
