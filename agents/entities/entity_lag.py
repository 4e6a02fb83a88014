"""Notice when entities' features fall behind their events: `aggregate` is slow, or gone."""

import logging
import threading
import time
from typing import Final

from confluent_kafka import KafkaException

from agents.entities.known_entities import KnownEntities
from agents.kafka.client_settings import KafkaSettings
from agents.observability.lag_reader import GroupLag

logger = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 1.0
LONGEST_S: Final = 5.0
"""An event that waits for longer is missed in what is served; a rebalance takes less."""


class EntityLag:
    """Looks how long events have been waiting for `aggregate`, from a thread of its own.

    Parameters
    ----------
    group
        Full name of `aggregate`'s consumer group.
    topic
        Full name of the topic that it reads.
    known
        Is told whether what it knows is behind.
    longest_s
        How long an event may wait.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        group: str,
        topic: str,
        known: KnownEntities,
        *,
        longest_s: float = LONGEST_S,
    ) -> None:
        self._client = {**kafka.client(), "client.id": f"{group}-lag"}
        self._group, self._topic = group, topic
        self._known = known
        self._longest_s = longest_s
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="entity-lag", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """End looking."""
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        lag = GroupLag(self._client, self._group, [self._topic])
        try:
            while not self._closing.wait(LOOK_EVERY_S):
                self._look(lag)
        finally:
            lag.close()

    def _look(self, lag: GroupLag) -> None:
        try:
            waiting = lag.read(time.time_ns() // 1_000_000).get(self._topic)
        except KafkaException as error:
            # Until the brokers answer again nothing is predicted either.
            logger.warning("how far entities are behind stays unknown: %s", error.args[0].str())
            return
        self._known.are_behind = waiting is not None and waiting.seconds > self._longest_s
