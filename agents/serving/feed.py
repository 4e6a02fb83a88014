"""Read telemetry, alerts and deployments from Kafka in the background; no group, no commits."""

import queue
import threading
from collections.abc import Iterator
from typing import Final

import msgspec
from confluent_kafka import KafkaException, Message

from agents.admin import topic_reader
from agents.serving.overview import MAX_ALERTS
from agents.serving.timeline import SPAN_S
from agents.settings import Settings
from schemas import topics
from schemas.alerts import Alert
from schemas.deployments import Deployment
from schemas.errors import UNREADABLE, DeliveryFailed
from schemas.telemetry import Telemetry

RETRY_S: Final = 1.0
STOP_TIMEOUT_S: Final = 2.0
HISTORY: Final = SPAN_S * 8
"""Telemetry read at the start: what the charts span, for so many processes."""

_decode_telemetry = msgspec.json.Decoder(Telemetry).decode
_decode_alert = msgspec.json.Decoder(Alert).decode
_decode_deployment = msgspec.json.Decoder(Deployment).decode

Told = Telemetry | Alert | tuple[Deployment, int]
"""A record; a deployment comes with its offset."""


class Feed:
    """Collects records until they are drained: the recent past first, then all that comes.

    It starts without a broker too, and waits for one.
    """

    def __init__(self, settings: Settings) -> None:
        self.is_caught_up = False
        """The past is read: whatever is not drained yet is new."""
        self._settings = settings
        self._telemetry = topics.TELEMETRY.named(settings.topic_prefix)
        self._alerts = topics.ALERTS.named(settings.topic_prefix)
        self._deployments = topics.DEPLOYMENTS.named(settings.topic_prefix)
        self._records: queue.SimpleQueue[Told] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; one that waits for a broker ends with the process."""
        self._stopping.set()
        self._thread.join(STOP_TIMEOUT_S)

    def drain(self, limit: int) -> Iterator[Told]:
        """Take out what has come in, at most so many records."""
        for _ in range(limit):
            try:
                yield self._records.get_nowait()
            except queue.Empty:
                return

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                positions = self._read_past()
            except (DeliveryFailed, KafkaException):
                self._stopping.wait(RETRY_S)
                continue
            follower = topic_reader.Follower(self._settings, positions, self._note)
            follower.start()
            self.is_caught_up = True
            self._stopping.wait()
            follower.stop()

    def _read_past(self) -> dict[str, list[int]]:
        """Read what is there; tell where to go on. A few records come twice, which is harmless."""
        last_of = {self._deployments: None, self._telemetry: HISTORY, self._alerts: MAX_ALERTS}
        positions = topic_reader.ends(self._settings, last_of)
        for topic, last in last_of.items():
            for message in topic_reader.read_to_end(self._settings, topic, last=last):
                self._note(message)
        return positions

    def _note(self, message: Message, _arrived_at_s: float = 0.0) -> None:
        value, topic = message.value() or b"", message.topic()
        try:
            if topic == self._telemetry:
                self._records.put(_decode_telemetry(value))
            elif topic == self._alerts:
                self._records.put(_decode_alert(value))
            else:
                self._records.put((_decode_deployment(value), message.offset() or 0))
        except UNREADABLE:
            return  # not ours; the page shows what it can read
