"""When each user last did what predictions wait for: for predictions that come out of order."""

from datetime import timedelta
from heapq import heapify, heappop, heappush
from typing import Final

import msgspec

from streams.state import Table


def positives_table() -> Table[list[int]]:
    """Make the table of each user's recent positive actions, event times in ms."""
    decode = msgspec.msgpack.Decoder(list[int]).decode
    return Table("y", msgspec.msgpack.Encoder().encode, decode)


SPENT_TIMES: Final = 1_000
"""Times that answer nothing any more and are kept in order beside twice as many that do."""


class RecentPositives:
    """Answers whether a user acted within the horizon after some time.

    Of three times within one horizon the middle one answers nothing that the last would not, so a
    user who acts a thousand times a second costs no more than a handful of numbers.

    Parameters
    ----------
    table
        Where the times are persisted; restored before it is given.
    horizon
        How long after a time an action counts.

    Examples
    --------
    >>> positives = RecentPositives(positives_table(), timedelta(seconds=10))
    >>> for at_ms in (12_000, 13_000, 14_000):
    ...     positives.remember("ada", at_ms)
    >>> positives.first_after("ada", 4_000), positives.first_after("ada", 1_000)
    (12000, None)
    >>> positives.forget(watermark_ms=23_500)
    >>> positives.first_after("ada", 13_500), len(positives)
    (14000, 1)
    """

    def __init__(self, table: Table[list[int]], horizon: timedelta) -> None:
        self._table: Final = table
        self._horizon_ms: Final = horizon // timedelta(milliseconds=1)
        self._index()

    def __len__(self) -> int:
        return len(self._table)

    def remember(self, user_id: str, at_ms: int) -> None:
        """Take note of a positive action."""
        kept: list[int] = []
        before = self._table.get(user_id) or ()
        for time in sorted([*before, at_ms]):
            while len(kept) > 1 and time - kept[-2] <= self._horizon_ms:
                kept.pop()
            kept.append(time)
        self._n_times += len(kept) - len(before)
        self._table.put(user_id, kept)
        heappush(self._by_time, (at_ms, user_id))
        if len(self._by_time) > 2 * self._n_times + SPENT_TIMES:
            self._index()

    def first_after(self, user_id: str, at_ms: int) -> int | None:
        """Return a time in `(at_ms, at_ms + horizon]`, if the user acted there at all."""
        for time in self._table.get(user_id) or ():
            if at_ms < time <= at_ms + self._horizon_ms:
                return time
        return None

    def forget(self, watermark_ms: int) -> None:
        """Drop what can answer nothing any more for times whose horizon ends at the watermark."""
        until_ms = watermark_ms - self._horizon_ms
        while self._by_time and self._by_time[0][0] <= until_ms:
            _, user_id = heappop(self._by_time)
            times = self._table.get(user_id) or []
            later = [time for time in times if time > until_ms]
            self._n_times -= len(times) - len(later)
            if not later:
                self._table.delete(user_id)
            elif len(later) < len(times):
                self._table.put(user_id, later)

    def undo(self) -> None:
        """Take back what came since the table was last logged, in the table as well."""
        for user_id, undone in self._table.undo().items():
            times = self._table.get(user_id) or []
            self._n_times += len(times) - len(undone or ())
            for at_ms in times:
                heappush(self._by_time, (at_ms, user_id))

    def _index(self) -> None:
        self._by_time = [(at_ms, user) for user, times in self._table.scan() for at_ms in times]
        heapify(self._by_time)
        self._n_times = len(self._by_time)
