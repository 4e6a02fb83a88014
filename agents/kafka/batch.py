"""The unit of delivery, processing and commit: all records of one partition from one poll."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from operator import length_hint
from typing import NamedTuple

from confluent_kafka import Message
from faust.types.tuples import TP

Headers = Sequence[tuple[str, bytes]]


Emitted = tuple[str, bytes | None, bytes | None, int, Headers | None]
"""An `Output` as the batch keeps it: a plain tuple is made in a quarter of the time."""


class Output(NamedTuple):
    """One record that a batch causes; published when the batch commits."""

    topic: str
    value: bytes | None
    key: bytes | None
    partition: int
    headers: Headers | None


class Batch:
    """Consecutive records of one partition, and what processing them causes.

    What an agent emits becomes visible together with the batch's offset, or not at all
    (exactly once); or before the offset is committed (at least once).

    Iterating yields `confluent_kafka.Message`.
    """

    __slots__ = (
        *("tp", "records", "next_offset", "emitted", "attempts", "finished", "dropped"),
        *("awaited", "begun", "ended", "failure", "set_aside", "whole", "held", "_left"),
        "_in_hand",
    )

    def __init__(
        self, tp: TP, records: Sequence[Message], next_offset: int, *, whole: "Batch | None" = None
    ) -> None:
        self.tp = tp
        self.records = records
        self.next_offset = next_offset
        self.emitted: list[Emitted] = []
        self.attempts = 0
        self.finished = False
        self.dropped = False
        self.begun = False
        self.failure: BaseException | None = None
        """What its agent raised at the last attempt."""
        self.set_aside: frozenset[int] = frozenset()
        """Offsets of records that an agent could not process, and that have a dead letter."""
        self.ended = False
        """Whether the agent is through with it: what it sends now is not part of it any more."""
        self.held = False
        """Whether the agent goes on without being through with it; it calls `App.release` later."""
        self._left: Iterator[Message] = iter(())
        self.awaited = 0
        """Agents that are not through with it."""
        self._in_hand = 1
        """Agents that have not gone on to the next one."""
        self.whole = whole
        """What this is one agent's share of, if several agents read the topic."""

    def __iter__(self) -> Iterator[Message]:
        self._left = iter(self.records)
        return self._left

    def __len__(self) -> int:
        return len(self.records)

    def __repr__(self) -> str:
        return f"<Batch {self.tp.topic}:{self.tp.partition} {len(self)} up to {self.next_offset}>"

    @property
    def partition(self) -> int:
        """The partition its records came from."""
        return self.tp.partition

    @property
    def outputs(self) -> list[Output]:
        """What processing it caused so far."""
        return [Output(*each) for each in self.emitted]

    @property
    def is_given_up(self) -> bool:
        """Whether its partition is no longer ours."""
        return self.dropped if self.whole is None else self.whole.dropped

    def hold(self) -> None:
        """Keep the batch in flight when the agent asks for the next one, until `App.release`.

        For agents that write in bulk: an offset is committed once what it stands for is written.
        Held batches count as in flight; `App.on_settle` tells when others wait for them. If several
        agents read the topic, each holds a batch of its own, and the last release counts.
        """
        self.held = True

    def end(self) -> None:
        """Note that its agent goes on to the next one, through with this one or holding it."""
        self.ended = True
        whole = self if self.whole is None else self.whole
        whole._in_hand -= 1

    @property
    def is_put_off(self) -> bool:
        """Whether every agent that is not through with it holds it, and has gone on."""
        return self._in_hand == 0 and not self.finished

    def cut(self) -> "list[Batch]":
        """Cut it around the record that was taken last from its latest iterator.

        In two halves if that was the last one of all: then it may have been any.
        """
        at = len(self) - length_hint(self._left) - 1
        bounds = (
            [0, at, at + 1, len(self)] if at + 1 < len(self) else [0, len(self) // 2, len(self)]
        )
        return [
            Batch(self.tp, part, (part[-1].offset() or 0) + 1)
            for start, end in pairwise(bounds)
            if (part := self.records[start:end])
        ]

    def shared_by(self, n_agents: int) -> list["Batch"]:
        """Give each agent a batch of its own: one's retry must not undo what another emitted."""
        self.awaited = self._in_hand = n_agents
        if n_agents == 1:
            return [self]
        return [Batch(self.tp, self.records, self.next_offset, whole=self) for _ in range(n_agents)]

    def emit(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None = None,
        *,
        partition: int = -1,
        headers: Headers | None = None,
    ) -> None:
        """Publish a record when this batch commits.

        Parameters
        ----------
        topic
            Full name of the topic.
        value, key
            Bytes as they go on the wire; a value of `None` is a tombstone.
        partition
            By default chosen from the key, as Java clients choose it (murmur2).
        headers
            Pairs of a name and bytes.
        """
        self.emitted.append((topic, value, key, partition, headers))
