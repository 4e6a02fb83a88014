"""Read the log of deployments, and write to it: an event is decided by where it comes to stand."""

import logging
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import msgspec
from confluent_kafka import KafkaError, Message, Producer
from faust.types.tuples import TP

from agents.admin import topic_reader
from agents.kafka.client_settings import KafkaSettings
from agents.kafka.log_reader import read_to_end
from agents.settings import Settings
from online_models.registry import Refusal, Registry
from schemas import topics
from schemas.cloudevents import Headers, constant_headers, rfc3339
from schemas.deployments import Deployment
from schemas.errors import UNREADABLE, DeliveryFailed

logger = logging.getLogger(__name__)

TIMEOUT_S: Final = 10.0
"""How long the broker has to take an event."""

_decode = msgspec.json.Decoder(Deployment).decode
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Entry:
    """One event of the log, and what came of it."""

    offset: int
    event: Deployment
    refusal: Refusal | None
    """`None`: it took effect."""


@dataclass(slots=True)
class DeploymentLog:
    """What the log holds of one use case, as far as it was read."""

    registry: Registry
    entries: list[Entry] = field(default_factory=list)
    """Of the use case, oldest first."""

    def take(self, event: Deployment, offset: int) -> None:
        """Take in the next event."""
        if event.use_case == self.registry.use_case:
            self.entries.append(Entry(offset, event, self.registry.refusal(event)))
        self.registry = self.registry.fold(event, offset)


def decoded(value: bytes | None) -> Deployment | None:
    """Read a record of `deployments`; what is no event is passed over.

    >>> decoded(b'{"kind": "promoted"}') is None
    True
    """
    try:
        return _decode(value or b"")
    except UNREADABLE as error:
        logger.warning("a record of `deployments` is passed over: %s", error)
        return None


def as_json(entry: Entry) -> dict[str, object]:
    """Tell an event for programs: its fields, where it stands, and why it took no effect."""
    event, refusal = entry.event, entry.refusal
    faster = None if refusal is None else refusal.faster
    return {
        "offset": entry.offset,
        "kind": event.kind,
        "model": event.reference,
        "replaces": event.replaces or None,
        "rollout": event.rollout or None,
        "exposure": event.exposure,
        "alerts": event.alert_kind or None,
        "until": event.until or None,
        "at": event.at,
        "by": event.by,
        "why": event.why,
        "took_effect": refusal is None,
        "refused": None if refusal is None else refusal.reason,
        "faster": None
        if faster is None
        else {"offset": faster.offset, "by": faster.event.by, "at": faster.event.at},
    }


def headers(event: Deployment, source: str) -> Headers:
    """Build the CloudEvents headers of an event."""
    return [
        *constant_headers("thalweg.deployment", source),
        ("ce_id", uuid.uuid4().hex.encode()),
        ("ce_time", rfc3339(event.at)),
    ]


def read(settings: Settings, use_case: str) -> DeploymentLog:
    """Read the log up to its present end.

    Raises
    ------
    DeliveryFailed
        The broker cannot be reached, or has no such topic.
    """
    log = DeploymentLog(Registry(use_case))
    topic = topics.DEPLOYMENTS.named(settings.topic_prefix)
    for message in topic_reader.read_to_end(settings, topic):
        if (event := decoded(message.value())) is not None:
            log.take(event, message.offset() or 0)
    return log


def read_settled(settings: Settings, use_case: str) -> DeploymentLog:
    """Read the log, and wait for what transactions that were committed or are open have in it.

    A commit is there for readers a moment after its writer was told.

    Raises
    ------
    DeliveryFailed
        The broker cannot be reached, or has no such topic.
    """
    topic = topics.DEPLOYMENTS.named(settings.topic_prefix)
    kafka = KafkaSettings(
        bootstrap=settings.kafka_bootstrap, group=f"{settings.topic_prefix}deployments"
    )
    log = DeploymentLog(Registry(use_case))
    for at, found in _events(kafka, topic, end=None):
        log.take(found, at)
    return log


def append(settings: Settings, event: Deployment, source: str) -> Entry:
    """Write an event, and wait until the log says what came of it.

    Raises
    ------
    DeliveryFailed
        The broker does not take it, or does not say so in time: then the log tells.
    """
    topic = topics.DEPLOYMENTS.named(settings.topic_prefix)
    kafka = KafkaSettings(
        bootstrap=settings.kafka_bootstrap, group=f"{settings.topic_prefix}deployments"
    )
    offset = _write(kafka, topic, event, source)
    log = DeploymentLog(Registry(event.use_case))
    for at, found in _events(kafka, topic, end=offset + 1):
        log.take(found, at)
    return log.entries[-1]


def _write(kafka: KafkaSettings, topic: str, event: Deployment, source: str) -> int:
    """Write an event; tell where it stands."""
    reports: list[tuple[KafkaError | None, int | None]] = []

    def note(error: KafkaError | None, message: Message) -> None:
        reports.append((error, message.offset()))

    timeout_ms = int(TIMEOUT_S * 1_000)
    # Silent: what goes wrong is told once, by the error.
    producer = Producer({**kafka.producer(), "message.timeout.ms": timeout_ms, "log_level": 0})
    producer.produce(
        topic,
        _encode(event),
        event.use_case.encode(),
        0,
        on_delivery=note,
        headers=[*headers(event, source)],
    )
    producer.flush(2 * TIMEOUT_S)
    error, offset = reports[0] if reports else (None, None)
    if offset is None or error is not None:
        reason = "no answer" if error is None else error.str()
        raise DeliveryFailed(
            f"{topic} did not take the decision in time ({reason});"
            " `thalweg models history` tells whether it did after all"
        )
    return offset


def _events(
    kafka: KafkaSettings, topic: str, *, end: int | None
) -> Iterator[tuple[int, Deployment]]:
    for offset, _, value in read_to_end(kafka, TP(topic, 0), end=end):
        if (event := decoded(value)) is not None:
            yield offset, event
