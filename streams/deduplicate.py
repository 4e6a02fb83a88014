"""Each event counts once: ids are remembered in event time, in bounded memory.

Persisted in segments, the ids of one batch together, so that a batch costs one changelog record
and forgetting costs one tombstone.
"""

from collections import deque
from datetime import timedelta
from typing import Final

import msgspec

from streams.state import Table


class Segment(msgspec.Struct, array_like=True, gc=False):
    """The event ids that were new in one batch."""

    newest_ms: int
    """Latest time any of them was seen at."""
    event_ids: list[str]


def segment_table() -> Table[Segment]:
    """Make the table that a `Deduplicator` persists itself in."""
    decode = msgspec.msgpack.Decoder(Segment).decode
    return Table("d", msgspec.msgpack.Encoder().encode, decode)


class Deduplicator:
    """Recognises the events of one partition that came before.

    An id is remembered until event time has moved more than the retention past the batch that
    brought it, or until newer ids need the room; then it is counted as crowded out, since a
    duplicate of it would pass for new.

    Parameters
    ----------
    segments
        Where ids are persisted; restored before it is given.
    retention
        Event time for which an id is remembered if there is room.
    capacity
        How many ids are remembered, apart from those of the latest batch: the oldest go first.

    Examples
    --------
    >>> seen = Deduplicator(segment_table(), retention=timedelta(seconds=1), capacity=1000)
    >>> seen.is_new("e1", 10_000), seen.is_new("e1", 10_500)
    (True, False)
    >>> seen.seal()
    >>> seen.is_new("e2", 11_001)
    True
    >>> seen.seal()
    >>> seen.is_new("e1", 11_001)
    True
    """

    def __init__(self, segments: Table[Segment], *, retention: timedelta, capacity: int) -> None:
        self._table: Final = segments
        self._retention_ms: Final = retention // timedelta(milliseconds=1)
        self._capacity: Final = capacity
        self.n_crowded_out = 0
        """Ids that were forgotten before their time."""
        self._now_ms = 0
        self._seen: set[str] = set()
        self._open: list[str] = []
        self._sealed: deque[tuple[str, Segment]] = deque()
        for key, segment in sorted(segments.scan(), key=lambda item: int(item[0])):
            self._sealed.append((key, segment))
            self._seen.update(segment.event_ids)
        self._settle()

    def __len__(self) -> int:
        return len(self._seen)

    def is_new(self, event_id: str, now_ms: int) -> bool:
        """Tell whether an id comes for the first time, and remember it.

        `now_ms` is the partition's event time: the watermark, or the event's time when it is newer.
        """
        if event_id in self._seen:
            return False
        self._seen.add(event_id)
        self._open.append(event_id)
        if now_ms > self._now_ms:  # noqa: PLR1730 - max() costs twice as much here
            self._now_ms = now_ms
        return True

    def seal(self) -> None:
        """End a batch: persist what it brought and forget what is too old or too much."""
        if self._open:
            segment = Segment(self._now_ms, self._open)
            key = str(self._sequence)
            self._table.put(key, segment)
            self._sealed.append((key, segment))
            self._sequence += 1
            self._open = []
        while len(self._sealed) > 1:
            key, oldest = self._sealed[0]
            is_old = oldest.newest_ms + self._retention_ms < self._now_ms
            if not is_old and len(self._seen) <= self._capacity:
                return
            self._sealed.popleft()
            self._table.delete(key)
            self._seen.difference_update(oldest.event_ids)
            if not is_old:
                self.n_crowded_out += len(oldest.event_ids)

    def undo(self) -> None:
        """Take back what came since the table was last logged, in the table as well.

        Takes as long as that is much.
        """
        self._seen.difference_update(self._open)
        self._open = []
        undone = self._table.undo()
        while self._sealed and undone.get(self._sealed[-1][0]) is not None:
            self._seen.difference_update(self._sealed.pop()[1].event_ids)
        for key in sorted(undone, key=int, reverse=True):
            if undone[key] is None and (segment := self._table.get(key)) is not None:
                self._sealed.appendleft((key, segment))
                self._seen.update(segment.event_ids)
        self._settle()

    def _settle(self) -> None:
        """Go on from the latest segment."""
        key, latest = self._sealed[-1] if self._sealed else ("-1", None)
        self._sequence = int(key) + 1
        self._now_ms = 0 if latest is None else latest.newest_ms
