"""What came of predictions for good: labels that are said anew after they were settled."""

from datetime import timedelta
from heapq import heapify, heappop, heappush
from typing import Final

import msgspec

from streams.pending import Pending
from streams.state import Table

SPENT_TIMES: Final = 1_000
"""Times of what is forgotten already that are kept in order beside twice as many that count."""


class Settled(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """A prediction and its label, as long as that may be revised."""

    prediction: Pending
    label: bool
    said_at: int | None = None
    """Event time of the report that stands, ms; `None`: it follows from events, or from silence."""

    def stands_against(self, at_ms: int, label: bool) -> bool:
        """Tell whether a report says nothing newer.

        Any report outranks what follows from events. Of two of one time the positive is later.
        """
        return self.said_at is not None and (at_ms, label) <= (self.said_at, self.label)


def settled_table() -> Table[Settled]:
    """Make the table of predictions whose labels may be revised, by prediction id."""
    decode = msgspec.msgpack.Decoder(Settled).decode
    return Table("r", msgspec.msgpack.Encoder().encode, decode)


class Revisions:
    """Keeps settled predictions until nothing can revise them.

    Parameters
    ----------
    table
        Where they are persisted; restored before it is given.
    span
        How long after its event a prediction may be revised, in event time.
    capacity
        How many are kept; at least 1. One more, and the one whose time would end first is let go.

    Examples
    --------
    >>> from streams.pending import pack_features
    >>> revisions = Revisions(settled_table(), timedelta(seconds=10), capacity=1_000)
    >>> features = pack_features([1.0])
    >>> served = Pending("p1", "e1", "demo", "ada", 5_000, 0.5, "m_v1", 1, "", features)
    >>> revisions.keep(Settled(served, label=False))
    >>> revisions.find("p1") == revisions.find_event("e1") == Settled(served, label=False)
    True
    >>> revisions.forget(watermark_ms=15_001)
    >>> revisions.find("p1"), len(revisions)
    (None, 0)
    """

    def __init__(self, table: Table[Settled], span: timedelta, *, capacity: int) -> None:
        self._table: Final = table
        self._span_ms: Final = span // timedelta(milliseconds=1)
        self._capacity: Final = capacity
        self._by_event: dict[str, str] = {}
        for prediction_id, settled in table.scan():
            self._by_event[settled.prediction.event_id] = prediction_id
        self._order()

    def __len__(self) -> int:
        return self._n

    def __contains__(self, prediction_id: str) -> bool:
        return self._n > 0 and prediction_id in self._table

    def find(self, prediction_id: str) -> Settled | None:
        """Find a settled prediction by its id."""
        return self._table.get(prediction_id) if self._n else None

    def find_event(self, event_id: str) -> Settled | None:
        """Find a settled prediction by the id of its event."""
        prediction_id = self._by_event.get(event_id)
        return None if prediction_id is None else self._table.get(prediction_id)

    def ends_at(self, prediction: Pending) -> int:
        """Tell until when a prediction may be revised, in ms; then is still in time."""
        return prediction.event_at + self._span_ms

    def keep(self, settled: Settled) -> None:
        """Let a prediction be revised from now on, or another label stand."""
        prediction = settled.prediction
        is_new = prediction.prediction_id not in self._table
        self._table.put(prediction.prediction_id, settled)
        if is_new:
            self._add(prediction)
            while self._n > self._capacity:
                self._drop(heappop(self._by_end)[1])
            if len(self._by_end) > 2 * self._n + SPENT_TIMES:
                self._order()

    def forget(self, watermark_ms: int) -> None:
        """Let go of what nothing can revise any more."""
        while self._by_end and self._by_end[0][0] < watermark_ms:
            self._drop(heappop(self._by_end)[1])

    def undo(self) -> None:
        """Take back what came since the table was last logged, in the table as well."""
        for undone_id, undone in self._table.undo().items():
            if undone is not None:
                self._remove(undone.prediction)
            if (found := self._table.get(undone_id)) is not None:
                self._add(found.prediction)

    def _drop(self, prediction_id: str) -> None:
        settled = self._table.pop(prediction_id)
        if settled is not None:
            self._remove(settled.prediction)

    def _add(self, prediction: Pending) -> None:
        self._n += 1
        self._by_event[prediction.event_id] = prediction.prediction_id
        heappush(self._by_end, (self.ends_at(prediction), prediction.prediction_id))

    def _remove(self, prediction: Pending) -> None:
        self._n -= 1
        self._by_event.pop(prediction.event_id, None)

    def _order(self) -> None:
        self._by_end = [(self.ends_at(each.prediction), id_) for id_, each in self._table.scan()]
        heapify(self._by_end)
        self._n = len(self._by_end)
