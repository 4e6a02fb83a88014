"""How users' states were written at first: with every tile as a list of numbers.

Nobody writes them any more. Whoever finds one takes it over as if it were of other declarations
(`streams.migration`).
"""

import msgspec

from streams.distinct import Sketch
from streams.frequent import Summary
from streams.merging import MergedTiles
from streams.windows import ListedTiles


class ListedState(msgspec.Struct, array_like=True, gc=False):
    """A `streams.fold_state.UserState` of that kind."""

    last_ms: int
    rolls_at_ms: int
    counts: list[int]
    tiles: list[ListedTiles]
    latest: list[int]
    session_id: str | None
    session_start_ms: int
    session_events: int
    lows: list[MergedTiles[float]] = []
    decays: list[float] = []
    values: list[float] = []
    valued_at: list[int] = []
    sketches: list[MergedTiles[Sketch]] = []
    tops: list[MergedTiles[Summary]] = []
