"""Follow `deployments`: what is decided there holds from the next batch on."""

import logging
import time
from collections.abc import Callable
from typing import Final

from confluent_kafka import Message

from agents.deployments.deployed import Deployed
from agents.deployments.log import decoded
from agents.kafka.client_settings import KafkaSettings
from agents.kafka.topic_feed import POLL_S, TopicFeed
from schemas.errors import DeliveryFailed

logger = logging.getLogger(__name__)

START_TIMEOUT_S: Final = 30.0
"""How long the broker may take to hand over the log, which is short."""


class DeploymentFeed(TopicFeed):
    """Keeps a process' `Deployed` at the end of the log."""

    def __init__(
        self,
        kafka: KafkaSettings,
        topic: str,
        deployed: Deployed,
        *,
        on_failure: Callable[[BaseException], None],
    ) -> None:
        super().__init__(kafka, topic, name="deployment-feed", on_failure=on_failure)
        self._deployed = deployed
        self._registry = deployed.registry

    def start(self) -> None:
        """Begin to follow, and wait until what was decided before is known.

        Otherwise a worker that starts would let those serve for a moment who were replaced.

        Raises
        ------
        DeliveryFailed
            The log cannot be read to its end.
        """
        super().start()
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self.caught_up.wait(POLL_S):
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise DeliveryFailed(f"{self._topic} cannot be read: who serves is not known")

    def take(self, message: Message) -> None:
        """Follow an event; the past as a whole: nobody has to follow who was replaced long ago."""
        if (event := decoded(message.value())) is not None:
            self._registry = self._registry.fold(event, message.offset() or 0)
            if self.caught_up.is_set():
                self.at_end()

    def at_end(self) -> None:
        """Let what is decided hold."""
        before = self._deployed.roles.champion
        self._deployed.follow(self._registry)
        champion = self._deployed.roles.champion
        if champion != before:
            logger.info("%s is the champion now, not %s", champion, before)
