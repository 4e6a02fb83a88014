"""Labels that came before their predictions: the two topics have no common order."""

from collections.abc import Iterable
from datetime import timedelta
from heapq import heapify, heappop, heappush
from typing import Final

import msgspec

from schemas.labels import LabelValue
from streams.reports import Report, gathered
from streams.state import Table


class EarlyLabel(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """What is said of a prediction that is not there yet.

    >>> [report.at for report in EarlyLabel.of([Report(7, False), Report(5, True)]).reports]
    [5, 7]
    """

    label: LabelValue
    at: int
    """Event time at which it became known, ms."""
    later: tuple[Report, ...] = ()
    """What was said after it, by time, where the last word counts."""
    by: str = ""
    """Who judged it, as in `Report`."""

    @classmethod
    def of(cls, reports: Iterable[Report]) -> "EarlyLabel":
        """Put together what was said; one report at least."""
        (at_ms, label, by), *later = gathered(reports)
        return cls(label, at_ms, tuple(later), by)

    @property
    def reports(self) -> tuple[Report, ...]:
        """All that was said, in the order of its times."""
        return (Report(self.at, self.label, self.by), *self.later)


SPENT_TIMES: Final = 1_000
"""Times of labels that were taken and are kept in order beside twice as many that wait."""


def early_labels_table() -> Table[EarlyLabel]:
    """Make the table of labels that wait for their prediction, by user and name."""
    decode = msgspec.msgpack.Decoder(EarlyLabel).decode
    return Table("l", msgspec.msgpack.Encoder().encode, decode)


class EarlyLabels:
    """Keeps labels until the predictions come that they name.

    A label becomes known after its event. So once the watermark is further ahead of it than the
    horizon, its event would come too late to be predicted with a label, and it is given up.

    Parameters
    ----------
    table
        Where the labels are persisted; restored before it is given.
    horizon
        How long after its event a prediction waits.
    capacity
        How many labels may wait; at least 1. One more, and the one that became known first is given
        up: labels that name nothing we know must not keep out those that do.

    Examples
    --------
    >>> early = EarlyLabels(early_labels_table(), timedelta(seconds=10), capacity=1_000)
    >>> for name, at_ms in (("e1", 5_000), ("e2", 6_000)):
    ...     early.keep("ada", name, EarlyLabel(True, at_ms))
    >>> early.take("ada", "e1"), early.take("bob", "e2"), len(early)
    (EarlyLabel(label=True, at=5000, later=(), by=''), None, 1)
    >>> early.give_up(watermark_ms=16_001), len(early)
    (1, 0)
    """

    def __init__(self, table: Table[EarlyLabel], horizon: timedelta, *, capacity: int) -> None:
        self._table: Final = table
        self._horizon_ms: Final = horizon // timedelta(milliseconds=1)
        self._capacity: Final = capacity
        self._index()

    def __len__(self) -> int:
        return self._n

    def get(self, user_id: str, name: str) -> EarlyLabel | None:
        """Tell the label that waits for a prediction of this user by this name; `None`: none."""
        return self._table.get(_key(user_id, name)) if self._n else None

    def keep(self, user_id: str, name: str, label: EarlyLabel) -> None:
        """Let a label wait, in the place of what was known."""
        key = _key(user_id, name)
        self._n += key not in self._table
        self._table.put(key, label)
        heappush(self._by_time, (label.at, key))
        if len(self._by_time) > 2 * self._n + SPENT_TIMES:
            self._index()

    def take(self, user_id: str, name: str) -> EarlyLabel | None:
        """Return the label that waits for a prediction, which it then does no longer."""
        found = self._table.pop(_key(user_id, name)) if self._n else None
        self._n -= found is not None
        return found

    def give_up(self, watermark_ms: int) -> int:
        """Let go of labels that are too old or too many; tell how many these were."""
        until_ms = watermark_ms - self._horizon_ms
        n_before = self._n
        while self._by_time and (self._by_time[0][0] < until_ms or self._n > self._capacity):
            at_ms, key = heappop(self._by_time)
            found = self._table.get(key)
            if found is not None and found.at == at_ms:
                self._table.delete(key)
                self._n -= 1
        return n_before - self._n

    def undo(self) -> None:
        """Take back what came since the table was last logged, in the table as well."""
        for key, undone in self._table.undo().items():
            found = self._table.get(key)
            self._n += (found is not None) - (undone is not None)
            if found is not None:
                heappush(self._by_time, (found.at, key))

    def _index(self) -> None:
        self._by_time = [(label.at, key) for key, label in self._table.scan()]
        heapify(self._by_time)
        self._n = len(self._by_time)


def _key(user_id: str, name: str) -> str:
    """Join the two so that no other two give the same.

    >>> _key("a", "1:b") == _key("a1:", "b")
    False
    """
    return f"{len(user_id)}:{user_id}{name}"
