"""What each user's events said of late that predictions wait for, until no window needs it."""

from datetime import timedelta
from heapq import heapify, heappop, heappush
from typing import Final

import msgspec

from schemas.labels import LabelValue
from streams.field_label import Told
from streams.state import Table

MOST_VALUES: Final = 1_000
"""Values of a user that are kept; the oldest make room."""
SPENT_TIMES: Final = 1_000
"""Times that were let go and are kept in order beside twice as many that are not."""


class UserValues(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """What a user's events said, in the order of their times."""

    target: str
    """Which label rule asked for it: of what was said under another one nothing is known."""
    values: tuple[Told, ...]
    """Of two events that say the same at one time, both."""
    whole_after: int = -1
    """Event time up to which something made room, ms."""


def told_values_table() -> Table[UserValues]:
    """Make the table of what users' events said, by user."""
    decode = msgspec.msgpack.Decoder(UserValues).decode
    return Table("v", msgspec.msgpack.Encoder().encode, decode)


class ToldValues:
    """Answers what a user's events said within the horizon after some time.

    Parameters
    ----------
    table
        Where it is persisted; restored before it is given.
    horizon
        How long after a time an event counts.
    target
        Hash of the label rule.

    Examples
    --------
    >>> told = ToldValues(told_values_table(), timedelta(seconds=10), target="d351d2a0")
    >>> for at_ms, amount in ((14_000, 3.0), (12_000, 5.0)):
    ...     told.remember("ada", at_ms, amount)
    >>> told.within("ada", 4_000), told.within("ada", 1_000)
    (((12000, 5.0), (14000, 3.0)), ())
    >>> told.forget(watermark_ms=23_500)
    >>> told.within("ada", 13_500), len(told)
    (((14000, 3.0),), 1)
    """

    def __init__(self, table: Table[UserValues], horizon: timedelta, *, target: str) -> None:
        self._table: Final = table
        self._horizon_ms: Final = horizon // timedelta(milliseconds=1)
        self._nothing: Final = UserValues(target, ())
        self._index()

    def __len__(self) -> int:
        return len(self._table)

    def remember(self, user_id: str, at_ms: int, value: LabelValue) -> None:
        """Take note of what an event says."""
        found = self._table.get(user_id)
        before = self._nothing if found is None else self._ours(found)
        values = sorted([*before.values, (at_ms, value)])
        whole_after = before.whole_after
        if len(values) > MOST_VALUES:
            whole_after = max(whole_after, values[-MOST_VALUES - 1][0])
            values = values[-MOST_VALUES:]
        self._n_values += len(values) - (0 if found is None else len(found.values))
        kept = UserValues(self._nothing.target, tuple(values), whole_after)
        self._table.put(user_id, kept)
        heappush(self._by_time, (at_ms, user_id))
        if len(self._by_time) > 2 * self._n_values + SPENT_TIMES:
            self._index()

    def within(self, user_id: str, at_ms: int) -> tuple[Told, ...] | None:
        """Tell what was said in `(at_ms, at_ms + horizon]`; `None`: not all of it was kept."""
        found = self._table.get(user_id)
        if found is None:
            return ()
        ours = self._ours(found)
        if ours.whole_after > at_ms:
            return None
        until_ms = at_ms + self._horizon_ms
        return tuple(each for each in ours.values if at_ms < each[0] <= until_ms)

    def forget(self, watermark_ms: int) -> None:
        """Drop what no time needs any more whose horizon ends at the watermark or later."""
        until_ms = watermark_ms - self._horizon_ms
        while self._by_time and self._by_time[0][0] <= until_ms:
            _, user_id = heappop(self._by_time)
            found = self._table.get(user_id)
            if found is None:
                continue
            later = tuple(each for each in found.values if each[0] > until_ms)
            self._n_values -= len(found.values) - len(later)
            if not later:
                self._table.delete(user_id)
            elif len(later) < len(found.values):
                self._table.put(user_id, msgspec.structs.replace(found, values=later))

    def undo(self) -> None:
        """Take back what came since the table was last logged, in the table as well."""
        for user_id, undone in self._table.undo().items():
            found = self._table.get(user_id)
            values = () if found is None else found.values
            self._n_values += len(values) - (0 if undone is None else len(undone.values))
            for at_ms, _ in values:
                heappush(self._by_time, (at_ms, user_id))

    def _ours(self, found: UserValues) -> UserValues:
        """Find what counts; what another rule asked for says alone that something was said."""
        if found.target == self._nothing.target:
            return found
        newest_ms = max([found.whole_after, *(at_ms for at_ms, _ in found.values)])
        return UserValues(self._nothing.target, (), newest_ms)

    def _index(self) -> None:
        self._by_time = [
            (at_ms, user) for user, found in self._table.scan() for at_ms, _ in found.values
        ]
        heapify(self._by_time)
        self._n_values = len(self._by_time)
