"""Dead letters as a person reads them: what was set aside, from where, and why."""

from collections.abc import Iterator
from dataclasses import dataclass

from confluent_kafka import Message

from agents.admin import topic_reader
from agents.settings import Settings
from schemas import dead_letters, topics


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One record of `dead-letters`."""

    offset: int
    """Its identity: where it stands in `dead-letters`."""
    at: int
    """When it was set aside, ms since the epoch."""
    reason: str
    detail: str
    origin: str
    """Topic, partition and offset where it was read."""
    key: bytes | None
    value: bytes | None


def read(settings: Settings) -> Iterator[DeadLetter]:
    """Read all dead letters, oldest first.

    Raises
    ------
    DeliveryFailed
        The broker cannot be reached.
    """
    topic = topics.DEAD_LETTERS.named(settings.topic_prefix)
    return map(_dead_letter, topic_reader.read_to_end(settings, topic))


def text(raw: bytes | None) -> str | None:
    r"""Write bytes for people; what is not UTF-8 shows as escapes, so nothing is hidden.

    >>> text(b'{"a": 1}'), text(b"\xff{"), text(None)
    ('{"a": 1}', '\\xff{', None)
    """
    return None if raw is None else raw.decode("utf-8", "backslashreplace")


def _dead_letter(message: Message) -> DeadLetter:
    headers: dict[str, str] = {}
    for header in message.headers() or ():
        name, value = header[0], header[1]
        headers[name] = value if isinstance(value, str) else text(value) or ""
    origin = (dead_letters.TOPIC, dead_letters.PARTITION, dead_letters.OFFSET)
    return DeadLetter(
        offset=message.offset() or 0,
        at=message.timestamp()[1],
        reason=headers.get(dead_letters.REASON, "unknown"),
        detail=headers.get(dead_letters.MESSAGE, ""),
        origin="-".join(headers.get(name, "?") for name in origin),
        key=message.key(),
        value=message.value(),
    )
