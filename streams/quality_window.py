"""The latest events, as many as are asked for: a sliding window of tallies.

It slides by counts of events, not by time: a share of few events says little, at night as by day.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Final

from schemas.errors import InvalidDeclaration
from streams.quality import Tally

TILES: Final = 20
"""The window slides in steps of its size by this."""


@dataclass(slots=True)
class _Tile:
    began_at_ms: int
    tally: Tally


class QualityWindow:
    """Tallies of the last `size` events; of a few more, by at most a tile and what came at once.

    Parameters
    ----------
    size
        In events.

    Raises
    ------
    InvalidDeclaration
        The window would hold none.

    Examples
    --------
    >>> window = QualityWindow(size=100)
    >>> for at_ms in range(50):
    ...     window.add(Tally(served=10, late=int(at_ms >= 30)), at_ms)
    >>> window.tally.events, window.tally.late
    (100, 10)
    >>> window.since_ms(lambda tally: tally.late > 0)
    40
    """

    def __init__(self, size: int) -> None:
        if size < 1:
            raise InvalidDeclaration(f"a window of data quality needs events, not {size}")
        self._size = size
        self._tiles: deque[_Tile] = deque()
        self.tally = Tally()
        """Of all events in the window."""

    def add(self, tally: Tally, at_ms: int) -> None:
        """Take in what came since the last call; what is too old goes."""
        tiles = self._tiles
        if not tiles or tiles[-1].tally.events * TILES >= self._size:
            tiles.append(_Tile(at_ms, Tally()))
        tiles[-1].tally += tally
        n_events = sum(tile.tally.events for tile in tiles)
        while n_events - tiles[0].tally.events >= self._size:
            n_events -= tiles.popleft().tally.events
        self.tally = reduce(add, (tile.tally for tile in tiles))

    def since_ms(self, is_so: Callable[[Tally], bool]) -> int:
        """Tell when the newest unbroken run of tiles of which something is so began.

        If it is so of none but the whole, the run is the newest tile alone.
        """
        since_ms = self._tiles[-1].began_at_ms
        for tile in reversed(self._tiles):
            if not is_so(tile.tally):
                break
            since_ms = tile.began_at_ms
        return since_ms
