"""Dead letters as a person reads them: what was set aside, from where, why, and what came of it."""

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from typing import Final, cast

import msgspec
from confluent_kafka import Message

from agents.admin import topic_reader
from agents.settings import Settings
from schemas import dead_letters, topics
from schemas.dead_letters import Fate, Headers
from schemas.errors import UNREADABLE, ThalwegError

_MOST_DIGITS: Final = 9
"""Of a number of retries."""
_decode_fate = msgspec.json.Decoder(Fate).decode


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One record of `dead-letters`."""

    offset: int
    """Its identity: where it stands in `dead-letters`."""
    at: int
    """When it was set aside, ms since the epoch."""
    reason: str
    detail: str
    topic: str
    """Where it was read, as are the next two."""
    partition: str
    origin_offset: str
    key: bytes | None
    value: bytes | None
    headers: Headers = field(default_factory=list)
    """Those it came with."""
    fate: Fate | None = None
    """`None`: it is open."""

    @property
    def origin(self) -> str:
        """Topic, partition and offset where it was read."""
        return f"{self.topic}-{self.partition}-{self.origin_offset}"

    @property
    def n_retries(self) -> int:
        """How often it was published again before it was set aside this time.

        Who publishes events may write the header, too: a number that is none counts as 0.
        """
        found = dict(self.headers).get(dead_letters.RETRIES) or b"0"
        return int(found) if found.isdigit() and len(found) <= _MOST_DIGITS else 0


def read(settings: Settings, *, last: int | None = None) -> Iterator[DeadLetter]:
    """Read all dead letters, oldest first.

    Parameters
    ----------
    last
        Read about so many, from the end.

    Raises
    ------
    DeliveryFailed
        The broker cannot be reached, or lacks a topic.
    """
    known = fates(settings)
    topic = _named(settings, topics.DEAD_LETTERS)
    for message in topic_reader.read_to_end(settings, topic, last=last):
        yield _dead_letter(message, known)


def at(settings: Settings, offsets: Iterable[int]) -> list[DeadLetter]:
    """Find open dead letters by where they stand; raises likewise.

    Raises
    ------
    ThalwegError
        One of them is not there, or was settled before.
    """
    wanted = set(offsets)
    return all_open((each for each in read(settings) if each.offset in wanted), wanted)


def all_open(letters: Iterable[DeadLetter], wanted: Set[int]) -> list[DeadLetter]:
    """Gather dead letters, unless one of those that are wanted is not there or not open.

    Raises
    ------
    ThalwegError
        Says which.
    """
    found = list(letters)
    if missing := wanted - {letter.offset for letter in found}:
        raise ThalwegError(f"no record at offset {min(missing)} of `dead-letters`")
    for letter in found:
        if letter.fate is not None:
            raise ThalwegError(f"dead letter {letter.offset} was {letter.fate.verdict} before")
    return found


def fates(settings: Settings) -> dict[int, Fate]:
    """Read what was decided, by offset of the dead letter; raises likewise."""
    topic = _named(settings, topics.DEAD_LETTER_FATES)
    return dict(_fates(topic_reader.read_to_end(settings, topic)))


def _fates(messages: Iterable[Message]) -> Iterator[tuple[int, Fate]]:
    """Decode what was decided; what is no fate is passed over."""
    for message in messages:
        try:
            yield int(message.key() or b""), _decode_fate(message.value() or b"")
        except (ValueError, *UNREADABLE):
            continue


def fate_of(offset: int, at: int, known: Mapping[int, Fate]) -> Fate | None:
    """Find the fate of a dead letter; that of an earlier one at its offset is not its own."""
    fate = known.get(offset)
    return fate if fate is not None and fate.letter_at == at else None


def text(raw: bytes | None) -> str | None:
    r"""Write bytes for people; what is not UTF-8 shows as escapes, so nothing is hidden.

    >>> text(b'{"a": 1}'), text(b"\xff{"), text(None)
    ('{"a": 1}', '\\xff{', None)
    """
    return None if raw is None else raw.decode("utf-8", "backslashreplace")


def _named(settings: Settings, topic: topics.Topic) -> str:
    return topic.named(settings.topic_prefix)


def _dead_letter(message: Message, known: Mapping[int, Fate]) -> DeadLetter:
    # Values are bytes or none at all, whatever the stubs say.
    pairs = cast(Headers, message.headers() or [])
    found = {name: text(value) or "" for name, value in pairs}
    offset, at = message.offset() or 0, message.timestamp()[1]
    return DeadLetter(
        offset=offset,
        at=at,
        reason=found.get(dead_letters.REASON, "unknown"),
        detail=found.get(dead_letters.MESSAGE, ""),
        topic=found.get(dead_letters.TOPIC, "?"),
        partition=found.get(dead_letters.PARTITION, "?"),
        origin_offset=found.get(dead_letters.OFFSET, "?"),
        key=message.key(),
        value=message.value(),
        headers=dead_letters.original_headers(pairs),
        fate=fate_of(offset, at, known),
    )
