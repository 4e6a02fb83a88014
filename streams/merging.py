"""Statistics that merge and cannot be subtracted, within trailing windows of event time.

In the same tiles as `streams.windows`. What left a window cannot be taken away from a minimum or a
set. So each tile keeps its own, and each window that of its closed tiles: an event in order changes
only the tile that is open. When time leaves a tile, it is merged into that of each window; only
when a tile leaves a window, those that stay are looked at, and no more of them than are needed to
know that nothing changed.
"""

import sys
from bisect import bisect_left
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Final, Generic, TypeVar

import msgspec

NOTHING: Final = sys.float_info.max
"""Smallest of no values at all. Not infinity, which JSON cannot write."""

T = TypeVar("T")
"""What is merged."""


Evict = Callable[[T, Sequence[T], Sequence[T]], T]
"""From what all merge to, what left and what stays: what that merges to."""


def evict_smallest(smallest: float, left: Sequence[float], inside: Sequence[float]) -> float:
    """Tell the smallest of what stays; most often it is none of those that left.

    >>> evict_smallest(2.0, [3.0], [2.0, 5.0]), evict_smallest(2.0, [2.0, 3.0], [5.0, 4.0])
    (2.0, 4.0)
    """
    return smallest if min(left) > smallest else min(inside)


class MergedTiles(msgspec.Struct, Generic[T], array_like=True, gc=False):
    """What one user did, in tiles of one width: the state that a `MergeTiling` works on."""

    ends: list[int]
    """Ends of the closed tiles that have something, ascending, in tile widths."""
    tiles: list[list[T]]
    """Each column in each of them."""
    opened: list[T]
    """Each column in the newest tile, which is still open."""
    closed: list[list[T]]
    """Each column in all closed tiles of each window."""
    rolls_at_ms: int
    """From this event time on, `MergeTiling.roll` has something to do."""


class MergeTiling(Generic[T]):
    """Moves the windows of one tile width over some columns of one user's values.

    Parameters
    ----------
    width_ms
        Tile width.
    spans_ms
        Spans of the windows, ascending; `MergedTiles.closed` has their order.
    columns
        Which of the values of an event these windows look at; at least one.
    nothing
        Makes what merges with anything to that.
    merge
        Associative and commutative, within the error that the values state. It changes nothing.
    evict
        Merge what stays in a window, given what that and what left it merge to; by default all of
        it anew. It changes nothing.

    Examples
    --------
    >>> tiling = MergeTiling(300_000, [600_000], [0], nothing=lambda: NOTHING, merge=min)
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

    def __init__(
        self,
        width_ms: int,
        spans_ms: Sequence[int],
        columns: Sequence[int],
        *,
        nothing: Callable[[], T],
        merge: Callable[[T, T], T],
        evict: Evict[T] | None = None,
    ) -> None:
        self.width_ms = width_ms
        self.spans_ms = tuple(spans_ms)
        self.columns = tuple(columns)
        self._nothing = nothing
        self._merge = merge
        self._evict = self._merged_anew if evict is None else evict
        # Where within a tile windows start whose span is no whole number of tiles.
        self._phases = tuple({span % width_ms for span in spans_ms} - {0})

    def new(self) -> MergedTiles[T]:
        """Return the tiles of a user who did nothing yet."""
        closed = [self._empty() for _ in self.spans_ms]
        return MergedTiles([], [], self._empty(), closed, rolls_at_ms=0)

    def roll(self, state: MergedTiles[T], last_ms: int, now_ms: int) -> None:
        """Move the windows' common end from `last_ms` on to `now_ms`."""
        width = self.width_ms
        end, last_end = -(-now_ms // width), -(-last_ms // width)
        ends, tiles = state.ends, state.tiles
        if end > last_end:
            opened, empty = state.opened, self._empty()
            if opened != empty:
                ends.append(last_end)
                tiles.append(opened)
                merge = self._merge
                state.closed = [list(map(merge, closed, opened)) for closed in state.closed]
                state.opened = empty
        n_left = 0
        for window, span_ms in enumerate(self.spans_ms):
            first = (now_ms - span_ms) // width + 1
            if not ends or ends[0] >= first:
                n_left = 0
                continue
            if ends[-1] < first:
                n_left = len(ends)
                state.closed[window] = self._empty()
                continue
            n_left = bisect_left(ends, first)
            n_before = bisect_left(ends, (last_ms - span_ms) // width + 1, 0, n_left)
            if n_left > n_before:
                state.closed[window] = list(
                    map(
                        self._evict,
                        state.closed[window],
                        zip(*tiles[n_before:n_left], strict=True),
                        zip(*tiles[n_left:], strict=True),
                    )
                )
        if n_left:
            # What left the longest window, no window will ask for again.
            del ends[:n_left], tiles[:n_left]
        state.rolls_at_ms = end * width
        for phase in self._phases:
            rolls_at_ms = ((now_ms - phase) // width + 1) * width + phase
            state.rolls_at_ms = min(state.rolls_at_ms, rolls_at_ms)

    def add_late(
        self, state: MergedTiles[T], values: Sequence[T], at_ms: int, last_ms: int
    ) -> None:
        """Put the values of a late event where they belong in time; the windows do not move."""
        end = -(-at_ms // self.width_ms)
        late = [values[column] for column in self.columns]
        if end == -(-last_ms // self.width_ms):
            state.opened = self._merged(state.opened, late)
            return
        if late == self._empty() or end < self._first(self.spans_ms[-1], last_ms):
            return
        position = bisect_left(state.ends, end)
        if position < len(state.ends) and state.ends[position] == end:
            state.tiles[position] = self._merged(state.tiles[position], late)
        else:
            state.ends.insert(position, end)
            state.tiles.insert(position, late)
        self._look(state, last_ms)

    def moved(
        self, tiles: MergedTiles[T], columns: Sequence[int | None], last_ms: int
    ) -> MergedTiles[T]:
        """Take over what another tiling of this width kept of a user until `last_ms`.

        Parameters
        ----------
        columns
            Where each of this tiling's columns stands in `tiles`; `None` where it was not kept.
        """

        def picked(values: Sequence[T]) -> list[T]:
            return [self._nothing() if i is None else values[i] for i in columns]

        state = self.new()
        state.opened = picked(tiles.opened)
        first = self._first(self.spans_ms[-1], last_ms)
        for end, values in zip(tiles.ends, map(picked, tiles.tiles), strict=True):
            if end >= first and values != self._empty():
                state.ends.append(end)
                state.tiles.append(values)
        self._look(state, last_ms)
        return state

    def _empty(self) -> list[T]:
        return [self._nothing() for _ in self.columns]

    def _merged_anew(self, _: T, __: Sequence[T], inside: Sequence[T]) -> T:
        return reduce(self._merge, inside)

    def _merged(self, one: list[T], other: list[T]) -> list[T]:
        return list(map(self._merge, one, other))

    def _first(self, span_ms: int, now_ms: int) -> int:
        """Tell the first tile of a window, by its end."""
        return (now_ms - span_ms) // self.width_ms + 1

    def _look(self, state: MergedTiles[T], now_ms: int) -> None:
        for window, span_ms in enumerate(self.spans_ms):
            inside = state.tiles[bisect_left(state.ends, self._first(span_ms, now_ms)) :]
            state.closed[window] = reduce(self._merged, inside, self._empty())
