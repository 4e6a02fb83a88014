"""What was sent, answered and read of a run, and which anomalies that shows.

The workers count the events of each key and answer each event with its number and the count. So
what they should have done follows from the source's log alone: `replay` does it in one thread. The
names of the anomalies are those of Jepsen's tests of Kafka, as far as they have one there:
https://github.com/jepsen-io/redpanda/blob/main/src/jepsen/redpanda/workload/queue.clj
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Kind = Literal[
    "lost write",  # acknowledged, and read by nobody, though something behind it was
    "unseen",  # the same, with nothing behind it
    "duplicate",  # one event, two answers
    "unexpected",  # an answer to what nobody sent
    "aborted read",  # G1a: read once, and not there for who reads it all again
    "poll skip",  # passed over by a reader who read what is behind it
    "nonmonotonic poll",  # a reader went back
    "nonmonotonic send",  # the answers of a key are not in the order of its events
    "inconsistent offsets",  # two readers found different records in one place
    "wrong count",  # an answer was computed on other state than that of the events before it
    "wrong state",  # the changelog is not what the events make of it
]
State = dict[bytes, int]


class Event(NamedTuple):
    """A record of the source."""

    key: bytes
    number: int


class Answer(NamedTuple):
    """A record of the target, where a reader found it."""

    partition: int
    offset: int
    key: bytes
    number: int
    total: int
    """How many events of its key there were, with this one."""


class Anomaly(NamedTuple):
    """What should not have happened."""

    kind: Kind
    what: str


@dataclass(frozen=True, kw_only=True)
class History:
    """Everything that is known of a run once it is over.

    Parameters
    ----------
    acknowledged
        Numbers of the events that Kafka said it has.
    source
        What is in each partition of the source, in its order.
    polled
        What a reader of committed records saw while it all happened, in the order in which it saw.
    final
        What another one saw when it was over.
    state
        What the changelog says in each partition.
    """

    acknowledged: frozenset[int]
    source: Mapping[int, Sequence[Event]]
    polled: Sequence[Answer]
    final: Sequence[Answer]
    state: Mapping[int, State] = field(default_factory=dict)

    def anomalies(self) -> list[Anomaly]:
        """Find all that is wrong."""
        return [
            *self._missing(),
            *_repeated(self.final),
            *self._unexpected(),
            *_disordered(self.final),
            *self._wrong_counts(),
            *self._wrong_state(),
            *_compared(self.polled, self.final),
        ]

    def _missing(self) -> Iterator[Anomaly]:
        answered = {answer.number for answer in self.final}
        logged = set[int]()
        for events in self.source.values():
            logged.update(event.number for event in events)
            reached = max(
                (at for at, each in enumerate(events) if each.number in answered), default=-1
            )
            for at, event in enumerate(events):
                if event.number not in answered:
                    yield Anomaly(
                        "lost write" if at < reached else "unseen", f"no answer to {event}"
                    )
        for number in sorted(self.acknowledged - logged):
            yield Anomaly("lost write", f"event {number} was acknowledged and is not in the source")

    def _unexpected(self) -> Iterator[Anomaly]:
        events = {event for each in self.source.values() for event in each}
        for answer in self.final:
            if Event(answer.key, answer.number) not in events:
                yield Anomaly("unexpected", str(answer))

    def _wrong_counts(self) -> Iterator[Anomaly]:
        expected = {
            number: count for events in self.source.values() for _, number, count in replay(events)
        }
        for answer in self.final:
            count = expected.get(answer.number)
            if count is not None and count != answer.total:
                yield Anomaly("wrong count", f"{answer}, not {count}")

    def _wrong_state(self) -> Iterator[Anomaly]:
        for partition, events in self.source.items():
            expected = {key: count for key, _, count in replay(events)}
            found = self.state.get(partition, {})
            for key in sorted(expected.keys() | found.keys()):
                if expected.get(key) != found.get(key):
                    what = f"{key!r}: {found.get(key)}, not {expected.get(key)}"
                    yield Anomaly("wrong state", f"partition {partition}, {what}")


def replay(events: Iterable[Event]) -> Iterator[tuple[bytes, int, int]]:
    """Count as the workers should: key, number and count of each event.

    >>> list(replay([Event(b"a", 0), Event(b"b", 1), Event(b"a", 2)]))
    [(b'a', 0, 1), (b'b', 1, 1), (b'a', 2, 2)]
    """
    counts = Counter[bytes]()
    for key, number in events:
        counts[key] += 1
        yield key, number, counts[key]


def _repeated(answers: Iterable[Answer]) -> Iterator[Anomaly]:
    by_number = defaultdict[int, list[Answer]](list)
    for answer in answers:
        by_number[answer.number].append(answer)
    for several in by_number.values():
        if len(several) > 1:
            yield Anomaly("duplicate", ", ".join(map(str, several)))


def _disordered(answers: Iterable[Answer]) -> Iterator[Anomaly]:
    """Numbers of a key rise in the source; so must they in the target."""
    last: dict[bytes, Answer] = {}
    for answer in sorted(answers):
        before = last.get(answer.key)
        if before is not None and answer.number < before.number:
            yield Anomaly("nonmonotonic send", f"{answer} behind {before}")
        last[answer.key] = answer


def _compared(polled: Iterable[Answer], final: Iterable[Answer]) -> Iterator[Anomaly]:
    """Find where a reader was told something else than who read when all was over."""
    there = {(answer.partition, answer.offset): answer for answer in final}
    reached: dict[int, int] = {}
    seen = set[tuple[int, int]]()
    for answer in polled:
        place = answer.partition, answer.offset
        seen.add(place)
        if place not in there:
            yield Anomaly("aborted read", str(answer))
        elif there[place] != answer:
            yield Anomaly("inconsistent offsets", f"{answer} and {there[place]}")
        if answer.offset <= reached.get(answer.partition, -1):
            yield Anomaly(
                "nonmonotonic poll", f"{answer} behind offset {reached[answer.partition]}"
            )
        reached[answer.partition] = max(answer.offset, reached.get(answer.partition, -1))
    for (partition, offset), answer in sorted(there.items()):
        if offset < reached.get(partition, -1) and (partition, offset) not in seen:
            yield Anomaly("poll skip", str(answer))
