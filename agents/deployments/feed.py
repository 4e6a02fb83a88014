"""Follow `deployments`: what is decided there holds from the next batch on."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from confluent_kafka import Consumer, KafkaError, TopicPartition

from agents.deployments.deployed import Deployed
from agents.deployments.log import decoded
from agents.kafka.client_settings import KafkaSettings
from online_models.registry import Registry
from schemas.errors import DeliveryFailed

logger = logging.getLogger(__name__)

START_TIMEOUT_S: Final = 30.0
"""How long the broker may take to hand over the log, which is short."""
_POLL_S: Final = 0.1


class DeploymentFeed:
    """Keeps a process' `Deployed` at the end of the log, from a thread of its own."""

    def __init__(
        self,
        kafka: KafkaSettings,
        topic: str,
        deployed: Deployed,
        *,
        on_failure: Callable[[BaseException], None],
    ) -> None:
        self.caught_up = threading.Event()
        """Set once what was decided before the start is known."""
        self._kafka = kafka
        self._topic = topic
        self._deployed = deployed
        self._on_failure = on_failure
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="deployment-feed", daemon=True)

    def start(self) -> None:
        """Begin to follow, and wait until what was decided before is known.

        Otherwise a worker that starts would let those serve for a moment who were replaced.

        Raises
        ------
        DeliveryFailed
            The log cannot be read to its end.
        """
        self._thread.start()
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self.caught_up.wait(_POLL_S):
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise DeliveryFailed(f"{self._topic} cannot be read: who serves is not known")

    def stop(self) -> None:
        """End following."""
        self._closing.set()
        self._thread.join()

    def _run(self) -> None:
        consumer = Consumer(self._kafka.reader())
        try:
            consumer.assign([TopicPartition(self._topic, 0, 0)])
            registry = self._deployed.registry
            while not self._closing.is_set():
                message = consumer.poll(_POLL_S)
                if message is None:
                    continue
                error = message.error()
                if error is None:
                    if (event := decoded(message.value())) is not None:
                        registry = registry.fold(event, message.offset() or 0)
                        if self.caught_up.is_set():
                            self._follow(registry)
                elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001  # its name
                    # The past as a whole: nobody has to follow who was replaced long ago.
                    self._follow(registry)
                    self.caught_up.set()
                else:
                    logger.warning("reading %s: %s", self._topic, error.str())
        except BaseException as failure:  # noqa: BLE001  # whatever it is, the worker must end
            self._on_failure(failure)
        finally:
            consumer.close()

    def _follow(self, registry: Registry) -> None:
        before = self._deployed.roles.champion
        self._deployed.follow(registry)
        champion = self._deployed.roles.champion
        if champion != before:
            logger.info("%s is the champion now, not %s", champion, before)
