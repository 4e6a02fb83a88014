"""Trailing windows of event time in tiles: constant memory, any order of arrival.

A tile of width `w` is the half-open interval `((k - 1) * w, k * w]`, known by its end `k`; only
tiles with events are kept. As of time `t` a window of `span` holds every tile that overlaps
`(t - span, t]`, that is `(floor((t - span) / w) * w, t]`: at least its span, and less than its span
and one tile. Its head is exact, as nothing is newer than `t`. This is the sawtooth window of
Chronon, with Chronon's widths from one hour on, and finer ones below.

What a window holds is a difference of two cumulative counts: all there ever was, minus all that
lies behind the window. So an event in order costs one addition for each counter, however many
windows look at it; the counts behind move when time leaves a tile. Counts are integers, so that
what was added can be taken away exactly.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from functools import reduce
from operator import add, itemgetter, sub

import msgspec

from streams.packed_tiles import TilePacking

_SECOND = 1_000
_MINUTE = 60_000
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR


def tile_width_ms(span_ms: int) -> int:
    """Choose the tile for a window: within a twelfth of the span, from twelve seconds on.

    >>> tile_width_ms(30_000), tile_width_ms(600_000)
    (1000, 15000)
    >>> tile_width_ms(3_600_000), tile_width_ms(7 * 86_400_000), tile_width_ms(30 * 86_400_000)
    (300000, 3600000, 86400000)
    """
    if span_ms < 5 * _MINUTE:
        return _SECOND
    if span_ms < _HOUR:
        return 15 * _SECOND
    if span_ms < 12 * _HOUR:
        return 5 * _MINUTE
    if span_ms < 12 * _DAY:
        return _HOUR
    return _DAY


def covered_from(at_ms: int, span_ms: int) -> int:
    """Tell where a window really starts (exclusive), when it ends at `at_ms`.

    >>> covered_from(7_200_000, 3_600_000)  # on a tile's edge: exact
    3600000
    >>> covered_from(7_200_001 + 299_998, 3_600_000)
    3600000
    """
    width_ms = tile_width_ms(span_ms)
    return (at_ms - span_ms) // width_ms * width_ms


class Tiles(msgspec.Struct, array_like=True, gc=False):
    """What one user did, in tiles of one width: the state that a `Tiling` works on.

    Vectors of counts are replaced, never changed in place: equal ones may be one list.
    """

    packed: bytes
    """The closed tiles that count something, ascending: `streams.packed_tiles`."""
    newest: int
    """End of the last of them, in tile widths, as long as there is one."""
    starts: list[int]
    """Where in `packed` the first tile of each window stands: at its end if there is none."""
    ends: list[int]
    """End of that tile, in tile widths, as long as there is one."""
    opened: list[int]
    """Cumulative counts when the newest tile, which is still open, was opened."""
    behind: list[list[int]]
    """Cumulative counts of what lies behind each window."""
    rolls_at_ms: int
    """From this event time on, `Tiling.roll` has something to do."""


class ListedTiles(msgspec.Struct, array_like=True, gc=False):
    """The same with every tile as a list of numbers: how states were written at first.

    Nothing works on these; `Tiling.moved` takes them over.
    """

    ends: list[int]
    """Ends of the closed tiles, ascending, in tile widths."""
    sums: list[list[int]]
    """What was counted in each of them."""
    opened: list[int]
    behind: list[list[int]]
    rolls_at_ms: int


class Tiling:
    """Moves the windows of one tile width over the counts of one user.

    Parameters
    ----------
    width_ms
        Tile width.
    spans_ms
        Spans of the windows, ascending; `Tiles.behind` has their order.
    counters
        Which of the user's cumulative counts these windows look at; at least one. One may be looked
        at twice, from other beginnings: see `moved`.

    Examples
    --------
    >>> tiling = Tiling(300_000, spans_ms=[600_000], counters=[0])
    >>> tiles, counts, last_ms = tiling.new(), [0], 0
    >>> for at_ms in (1_000, 2_000, 700_000, 1_200_001):
    ...     tiling.roll(tiles, counts, last_ms, at_ms)
    ...     counts[0] += 1
    ...     last_ms = at_ms
    ...     print(counts[0] - tiles.behind[0][0])
    1
    2
    3
    2
    """

    def __init__(self, width_ms: int, spans_ms: Sequence[int], counters: Sequence[int]) -> None:
        self.width_ms = width_ms
        self.spans_ms = tuple(spans_ms)
        self.counters = tuple(counters)
        # One counter as a slice: `itemgetter` gives a tuple of several, and a list of a slice.
        self._current = itemgetter(
            *(self.counters if len(self.counters) > 1 else [slice(counters[0], counters[0] + 1)])
        )
        self.packing = TilePacking([self.counters.index(counter) for counter in self.counters])
        self._windows = tuple(enumerate(self.spans_ms))
        # Where within a tile windows start whose span is no whole number of tiles.
        self._phases = tuple({span % width_ms for span in spans_ms} - {0})

    def new(self) -> Tiles:
        """Return the tiles of a user who did nothing yet."""
        zero, nowhere = [0] * len(self.counters), [0] * len(self.spans_ms)
        behind = [zero] * len(self.spans_ms)
        return Tiles(b"", 0, nowhere, nowhere.copy(), zero, behind, rolls_at_ms=0)

    def roll(self, tiles: Tiles, counts: list[int], last_ms: int, now_ms: int) -> None:
        """Move the windows' common end from `last_ms` on to `now_ms`."""
        width = self.width_ms
        end = -(-now_ms // width)
        last_end = -(-last_ms // width)
        packed, starts, ends, behind = tiles.packed, tiles.starts, tiles.ends, tiles.behind
        if end > last_end:
            current = list(self._current(counts))
            if current != tiles.opened:
                tile = self.packing.tile(
                    tuple(map(sub, current, tiles.opened)),
                    last_end - tiles.newest - 1 if packed else 0,
                )
                for window in range(len(starts)):
                    if starts[window] == len(packed):
                        ends[window] = last_end
                packed += tile
                tiles.newest = last_end
                tiles.opened = current
        for window, span in self._windows:
            first = (now_ms - span) // width + 1
            if first > last_end:
                behind[window] = tiles.opened
                starts[window] = len(packed)
            elif ends[window] < first and starts[window] < len(packed):
                behind[window] = left = behind[window].copy()
                starts[window], ends[window] = self.packing.leave(
                    packed, starts[window], ends[window], first, left
                )
        # What left the longest window, no window will ask for again.
        n_left = starts[-1]
        if n_left:
            packed = packed[n_left:]
            tiles.starts = [start - n_left for start in starts]
        tiles.packed = packed
        tiles.rolls_at_ms = end * width
        for phase in self._phases:
            rolls_at_ms = ((now_ms - phase) // width + 1) * width + phase
            tiles.rolls_at_ms = min(tiles.rolls_at_ms, rolls_at_ms)

    def add_late(
        self, tiles: Tiles, before: list[int], counts: list[int], at_ms: int, last_ms: int
    ) -> None:
        """Put what was just added to `counts` (`before` it was less) where it belongs in time.

        The windows end at `last_ms` and do not move. What is older than a window changes nothing
        in it.
        """
        width = self.width_ms
        end = -(-at_ms // width)
        if end == -(-last_ms // width):
            return  # still open
        added = [counts[i] - before[i] for i in self.counters]
        tiles.opened = list(map(add, tiles.opened, added))
        first = 0
        for window, span in self._windows:
            first = (last_ms - span) // width + 1
            if end < first:
                tiles.behind[window] = list(map(add, tiles.behind[window], added))
        if end < first:
            return
        ends, sums = self.packing.tiles(tiles.packed, tiles.ends[-1])
        position = bisect_left(ends, end)
        if position < len(ends) and ends[position] == end:
            sums[position] = list(map(add, sums[position], added))
        else:
            ends.insert(position, end)
            sums.insert(position, added)
        self._pack(tiles, ends, sums, last_ms)

    def moved(
        self,
        tiles: ListedTiles,
        columns: Sequence[int | None],
        counts: list[int],
        last_ms: int,
        kept_ms: Sequence[int | None],
    ) -> Tiles:
        """Take over what another tiling of this width kept of a user until `last_ms`.

        Parameters
        ----------
        columns
            Where each of `counters` stands in `tiles`; `None` where it was not kept: counted from
            now on.
        kept_ms
            For each of them, how far back what is divided by it was kept; `None` for no bound.
        """
        n_left = bisect_left(tiles.ends, (last_ms - self.spans_ms[-1]) // self.width_ms + 1)
        ends = tiles.ends[n_left:]
        firsts = [
            -math.inf if ms is None else (last_ms - ms) // self.width_ms + 1 for ms in kept_ms
        ]
        sums = [
            [
                0 if i is None or end < first else kept[i]
                for i, first in zip(columns, firsts, strict=True)
            ]
            for end, kept in zip(ends, tiles.sums[n_left:], strict=True)
        ]
        moved = self.new()
        moved.opened = [
            counts[counter] if i is None else tiles.opened[i]
            for counter, i in zip(self.counters, columns, strict=True)
        ]
        moved.behind = [
            reduce(
                _less,
                sums[bisect_left(ends, (last_ms - span) // self.width_ms + 1) :],
                moved.opened,
            )
            for span in self.spans_ms
        ]
        self._pack(moved, ends, sums, last_ms)
        return moved

    def _pack(
        self, tiles: Tiles, ends: Sequence[int], sums: Sequence[list[int]], last_ms: int
    ) -> None:
        """Write all tiles anew, and find the windows' first ones."""
        packed, before = bytearray(), 0
        kept_ends, kept_starts = [], []
        for end, counts in zip(ends, sums, strict=True):
            tile = self.packing.tile(tuple(counts), end - before - 1 if packed else 0)
            if tile:
                kept_ends.append(end)
                kept_starts.append(len(packed))
                packed += tile
                before = end
        firsts = [
            bisect_left(kept_ends, (last_ms - span) // self.width_ms + 1) for span in self.spans_ms
        ]
        tiles.packed = bytes(packed)
        tiles.newest = before
        tiles.starts = [[*kept_starts, len(packed)][first] for first in firsts]
        tiles.ends = [[*kept_ends, 0][first] for first in firsts]


def _less(counts: list[int], counted: list[int]) -> list[int]:
    return list(map(sub, counts, counted))
