"""Follow a topic of one partition, from its beginning and for as long as the process lives."""

import logging
import threading
from collections.abc import Callable
from typing import Final

from confluent_kafka import Consumer, KafkaError, Message, TopicPartition

from agents.kafka.client_settings import KafkaSettings

logger = logging.getLogger(__name__)

POLL_S: Final = 0.1
_CHUNK: Final = 1_000


class TopicFeed:
    """Hands every committed record to `take`, from a thread of its own.

    For what each process of a role has to know whole: no group, no offsets. Whoever follows says
    what to do with a record, and with the end.

    Parameters
    ----------
    name
        Of the thread.
    on_failure
        Called from it if it has to end, with whatever was raised.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        topic: str,
        *,
        name: str,
        on_failure: Callable[[BaseException], None],
    ) -> None:
        self.caught_up = threading.Event()
        """Set once what was published before the start was taken."""
        self._kafka = kafka
        self._topic = topic
        self._on_failure = on_failure
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def stop(self) -> None:
        """End following."""
        self._closing.set()
        self._thread.join()

    def take(self, message: Message) -> None:
        """Take in the next record."""
        raise NotImplementedError

    def at_end(self) -> None:
        """Do what waits until all that is there was taken; then it has caught up."""

    def at_lull(self) -> None:
        """Do what need not wait for the end: all that arrived so far was taken.

        Called once it has caught up only. The broker tells the end with the next, empty answer,
        for which it waits as long as a fetch may.
        """

    def rest(self) -> None:
        """Do what waits until there is nothing to take, again and again."""

    def begins_anew(self) -> bool:
        """Tell whether the topic has to be read from its beginning again."""
        return False

    def _run(self) -> None:
        consumer = Consumer(self._kafka.reader())
        beginning = [TopicPartition(self._topic, 0, 0)]
        try:
            consumer.assign(beginning)
            while not self._closing.is_set():
                if self.begins_anew():
                    consumer.assign(beginning)
                first = consumer.poll(POLL_S)
                if first is None:
                    self.rest()
                # `consume(n, timeout)` would wait for all n.
                arrived = () if first is None else (first, *consumer.consume(_CHUNK, 0))
                for message in arrived:
                    self._hear(message)
                if 0 < len(arrived) <= _CHUNK and self.caught_up.is_set():
                    self.at_lull()
        except BaseException as failure:  # noqa: BLE001  # whatever it is, the worker must end
            self._on_failure(failure)
        finally:
            consumer.close()

    def _hear(self, message: Message) -> None:
        error = message.error()
        if error is None:
            self.take(message)
        elif error.code() == KafkaError._PARTITION_EOF:  # its name
            self.at_end()
            self.caught_up.set()
        else:
            logger.warning("reading %s: %s", self._topic, error.str())
