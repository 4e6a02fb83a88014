"""Brokers behind proxies: one, or three with everything kept three times.

Clients meet a broker only through its proxy, whose address it advertises. Brokers and controllers
meet each other directly, so that what a rule breaks is between workers and Kafka.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Self

from agents.embedded import kafka_properties
from agents.embedded.kafka import EmbeddedKafka
from agents.embedded.process import HOST, free_port
from tests.faults.kafka_proxy import KafkaProxy
from tests.faults.proxy_rules import Rule

REPLICATED: Final = {
    "min.insync.replicas": 2,
    "offsets.topic.replication.factor": 3,
    "transaction.state.log.replication.factor": 3,
    "transaction.state.log.min.isr": 2,
    "share.coordinator.state.topic.replication.factor": 3,
    "share.coordinator.state.topic.min.isr": 2,
    "default.replication.factor": 3,
    # A broker that was killed leaves the in-sync replicas soon.
    "replica.lag.time.max.ms": 5_000,
}
ALONE: Final = {
    # Who is alone has nobody to hand its partitions over to. A controlled shutdown leaves them
    # without a leader instead, and Kafka takes them for deleted: transactions that are just being
    # committed are completed without their markers, and hide what follows for ever (KAFKA-20734).
    "controlled.shutdown.enable": "false",
}
START_TIMEOUT_S: Final = 120.0
HEAP_MB: Final = 224


class Broker(EmbeddedKafka):
    """A broker that advertises its proxy's address, alone or as one of several."""

    def __init__(
        self, data_dir: Path, node_id: int, controllers: dict[int, int], cluster_id: str
    ) -> None:
        super().__init__(data_dir, free_port(), heap_mb=HEAP_MB)
        self.node_id = node_id
        self._cluster_id = cluster_id
        self.proxy = KafkaProxy(self.port)
        self._internal_port = free_port()
        self._controllers = controllers
        self._is_alone = len(controllers) == 1

    def _write_properties(self, storage: Path) -> None:
        listeners = {
            "PLAINTEXT": self.port,
            "INTERNAL": self._internal_port,
            "CONTROLLER": self._controllers[self.node_id],
        }
        advertised = {"PLAINTEXT": self.proxy.port, "INTERNAL": self._internal_port}
        own: dict[str, object] = {
            "node.id": self.node_id,
            "listeners": _listeners(listeners),
            "advertised.listeners": _listeners(advertised),
            "inter.broker.listener.name": "INTERNAL",
            "listener.security.protocol.map": ",".join(f"{name}:PLAINTEXT" for name in listeners),
            "controller.quorum.voters": ",".join(
                f"{node}@{HOST}:{port}" for node, port in self._controllers.items()
            ),
        } | (ALONE if self._is_alone else REPLICATED)
        # Of a key that is written twice Java's property files take the last.
        lines = [f"{key}={value}\n" for key, value in own.items()]
        text = kafka_properties.render(storage, address=self.bootstrap) + "".join(lines)
        self._properties_path.write_text(text, encoding="ascii")

    def _new_cluster_id(self) -> str:
        return self._cluster_id

    def _may_pass_for_alive(self) -> bool:
        return self._is_alone  # else the other controllers see to it, and this one could not


class Cluster:
    """Some brokers, each its own controller too, and their proxies."""

    def __init__(self, data_dir: Path, n_brokers: int) -> None:
        controllers = {node: free_port() for node in range(1, n_brokers + 1)}
        cluster_id = "thalweg-faults-AAAAAAA"  # 16 bytes in base64
        self.brokers = [
            Broker(data_dir / f"broker-{node}", node, controllers, cluster_id)
            for node in controllers
        ]

    @property
    def bootstrap(self) -> str:
        """The addresses clients use: those of the proxies."""
        return ",".join(f"{HOST}:{broker.proxy.port}" for broker in self.brokers)

    @property
    def replication(self) -> int:
        """In how many brokers a topic should be kept."""
        return len(self.brokers)

    def add(self, make_rule: Callable[[], Rule]) -> None:
        """Apply a rule to every broker's clients until `heal`."""
        for broker in self.brokers:
            broker.proxy.add(make_rule())

    def heal(self) -> None:
        """Remove all rules and start every broker that is down."""
        for broker in self.brokers:
            broker.proxy.heal()
        self._start([broker for broker in self.brokers if broker.pid is None])

    def __enter__(self) -> Self:
        with ExitStack() as started:
            for broker in self.brokers:
                started.enter_context(broker.proxy)
                started.callback(broker.stop)
            self._start(self.brokers)
            self._started = started.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._started.close()

    def _start(self, brokers: Sequence[Broker]) -> None:
        # At once: none is ready before the others are.
        with ThreadPoolExecutor(len(self.brokers)) as pool:
            for started in [pool.submit(broker.start, START_TIMEOUT_S) for broker in brokers]:
                started.result()


def _listeners(ports: dict[str, int]) -> str:
    return ",".join(f"{name}://{HOST}:{port}" for name, port in ports.items())
