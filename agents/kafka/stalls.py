"""Find partitions that do not move although there is something to do. No I/O, no clock."""

from collections.abc import Mapping
from typing import NamedTuple

from faust.types.tuples import TP


class Position(NamedTuple):
    """How far a partition is processed and committed, and how far it goes."""

    at: int
    end: int
    """Behind the last record that a reader of committed records can see."""


class Stalls:
    """Notices partitions that have stood still with lag for too long.

    >>> stalls, tp = Stalls(patience_s=30.0), TP("events", 0)
    >>> stalls.look(0.0, {tp: Position(at=10, end=12)})
    frozenset()
    >>> stalls.look(20.0, {tp: Position(at=11, end=12)})  # it moved
    frozenset()
    >>> stalls.look(50.0, {tp: Position(at=11, end=90)})
    frozenset({TP(topic='events', partition=0)})
    """

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._moved: dict[TP, tuple[int, float]] = {}
        """Where a partition was seen first, and when, since it last moved or had no lag."""

    def look(self, now_s: float, positions: Mapping[TP, Position]) -> frozenset[TP]:
        """Take note of all partitions that may flow; tell which of them are stalled.

        A partition that is missing starts anew when it is back.
        """
        moved: dict[TP, tuple[int, float]] = {}
        for tp, position in positions.items():
            if position.end > position.at:
                at, since_s = self._moved.get(tp, (position.at, now_s))
                moved[tp] = (at, since_s) if at == position.at else (position.at, now_s)
        self._moved = moved
        return frozenset(
            tp for tp, (_, since_s) in moved.items() if now_s - since_s >= self._patience_s
        )

    def forgive(self) -> None:
        """Begin anew: something was done about it."""
        self._moved = {}
