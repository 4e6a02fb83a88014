"""Follow `sketch-references`: what somebody chooses there holds from the next day on."""

import logging
import time
from collections.abc import Callable
from typing import Final

import msgspec
from confluent_kafka import Message

from agents.kafka.client_settings import KafkaSettings
from agents.kafka.topic_feed import POLL_S, TopicFeed
from online_models.sketch import Sketch, UnreadableSketch
from schemas.errors import UNREADABLE, DeliveryFailed
from schemas.sketches import SketchReference

logger = logging.getLogger(__name__)

START_TIMEOUT_S: Final = 30.0
_decode: Final = msgspec.json.Decoder(SketchReference).decode


class ReferenceFeed(TopicFeed):
    """Hands references over as they come.

    Parameters
    ----------
    references
        The newest of each key.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        topic: str,
        references: dict[bytes, SketchReference],
        *,
        on_failure: Callable[[BaseException], None],
    ) -> None:
        super().__init__(kafka, topic, name="reference-feed", on_failure=on_failure)
        self._references = references

    def start(self) -> None:
        """Begin to follow, and wait until what was chosen before is known.

        Otherwise what is left of `sketches` would be held against its own first week.

        Raises
        ------
        DeliveryFailed
            The topic cannot be read to its end.
        """
        super().start()
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self.caught_up.wait(POLL_S):
            if not self._thread.is_alive() or time.monotonic() > deadline:
                raise DeliveryFailed(f"{self._topic} cannot be read: the references are not known")

    def take(self, message: Message) -> None:
        """Hand a reference over."""
        take(self._references, message.key(), message.value())


def take(
    references: dict[bytes, SketchReference], key: bytes | str | None, value: bytes | None
) -> None:
    """Put a record of the topic among others; a tombstone takes the one before it away.

    What is no reference is passed over.
    """
    key = key.encode() if isinstance(key, str) else key or b""
    if value is None:
        references.pop(key, None)
        return
    try:
        reference = _decode(value)
        Sketch.decode(reference.sketch)  # whoever asks later may rely on it
    except (*UNREADABLE, UnreadableSketch) as error:
        logger.warning("no reference: %s", error)
        return
    references[key] = reference
