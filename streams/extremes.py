"""The smallest values within trailing windows, in the same tiles as `streams.windows`.

What left a window cannot be subtracted from a minimum. So each tile keeps its own, and each window
that of its closed tiles, which is worked out anew when time leaves a tile: an event in order costs
one comparison. The largest of some values is minus the smallest of their negatives.
"""

import sys
from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

import msgspec

NOTHING: Final = sys.float_info.max
"""Smallest of no values at all. Not infinity, which JSON cannot write."""


class Lows(msgspec.Struct, array_like=True, gc=False):
    """What one user did, in tiles of one width: the state that a `LowTiling` works on."""

    ends: list[int]
    """Ends of the closed tiles that have events, ascending, in tile widths."""
    lows: list[list[float]]
    """The smallest of each column in each of them."""
    opened: list[float]
    """The smallest of each column in the newest tile, which is still open."""
    closed: list[list[float]]
    """The smallest of each column in all closed tiles of each window."""
    rolls_at_ms: int
    """From this event time on, `LowTiling.roll` has something to do."""


class LowTiling:
    """Moves the windows of one tile width over some columns of one user's values.

    Parameters
    ----------
    width_ms
        Tile width.
    spans_ms
        Spans of the windows, ascending; `Lows.closed` has their order.
    columns
        Which of the values of an event these windows look at; at least one.

    Examples
    --------
    >>> tiling = LowTiling(300_000, spans_ms=[600_000], columns=[0])
    >>> lows, last_ms = tiling.new(), 0
    >>> for at_ms, value in ((1_000, 5.0), (700_000, 7.0), (1_200_001, 8.0)):
    ...     tiling.roll(lows, last_ms, at_ms)
    ...     lows.opened[0] = min(lows.opened[0], value)
    ...     last_ms = at_ms
    ...     print(min(lows.opened[0], lows.closed[0][0]))
    5.0
    5.0
    7.0
    """

    def __init__(self, width_ms: int, spans_ms: Sequence[int], columns: Sequence[int]) -> None:
        self.width_ms = width_ms
        self.spans_ms = tuple(spans_ms)
        self.columns = tuple(columns)
        self._nothing = [NOTHING] * len(self.columns)
        # Where within a tile windows start whose span is no whole number of tiles.
        self._phases = tuple({span % width_ms for span in spans_ms} - {0})

    def new(self) -> Lows:
        """Return the tiles of a user who did nothing yet."""
        closed = [self._nothing.copy() for _ in self.spans_ms]
        return Lows([], [], self._nothing.copy(), closed, rolls_at_ms=0)

    def roll(self, lows: Lows, last_ms: int, now_ms: int) -> None:
        """Move the windows' common end from `last_ms` on to `now_ms`."""
        width = self.width_ms
        end, last_end = -(-now_ms // width), -(-last_ms // width)
        if end > last_end:
            if lows.opened != self._nothing:
                lows.ends.append(last_end)
                lows.lows.append(lows.opened)
            lows.opened = self._nothing.copy()
        n_left = bisect_left(lows.ends, self._first(self.spans_ms[-1], now_ms))
        del lows.ends[:n_left], lows.lows[:n_left]
        self._look(lows, now_ms)
        lows.rolls_at_ms = min(
            [end * width, *(((now_ms - p) // width + 1) * width + p for p in self._phases)]
        )

    def add_late(self, lows: Lows, values: Sequence[float], at_ms: int, last_ms: int) -> None:
        """Put the values of a late event where they belong in time; the windows do not move."""
        end = -(-at_ms // self.width_ms)
        late = [values[column] for column in self.columns]
        if end == -(-last_ms // self.width_ms):
            lows.opened = list(map(min, lows.opened, late))
            return
        if late == self._nothing or end < self._first(self.spans_ms[-1], last_ms):
            return
        position = bisect_left(lows.ends, end)
        if position < len(lows.ends) and lows.ends[position] == end:
            lows.lows[position] = list(map(min, lows.lows[position], late))
        else:
            lows.ends.insert(position, end)
            lows.lows.insert(position, late)
        self._look(lows, last_ms)

    def _first(self, span_ms: int, now_ms: int) -> int:
        """Tell the first tile of a window, by its end."""
        return (now_ms - span_ms) // self.width_ms + 1

    def _look(self, lows: Lows, now_ms: int) -> None:
        for window, span_ms in enumerate(self.spans_ms):
            inside = lows.lows[bisect_left(lows.ends, self._first(span_ms, now_ms)) :]
            lows.closed[window] = [
                min(column) for column in zip(self._nothing, *inside, strict=True)
            ]
