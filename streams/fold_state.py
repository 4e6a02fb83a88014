"""What is remembered of one user, by position: only the fold that made a state can read it."""

from datetime import timedelta
from typing import Final

import msgspec

from streams.distinct import Sketch
from streams.feature_kinds import LONGEST_AGO
from streams.fold_plan import FoldPlan
from streams.frequent import Summary
from streams.merging import MergedTiles
from streams.windows import Tiles

NEVER_MS: Final = -(LONGEST_AGO // timedelta(milliseconds=1))
"""The event time of what never happened."""


class UserState(msgspec.Struct, array_like=True, gc=False):
    """What is remembered of one user; `streams.layout` tells what stands at which position."""

    last_ms: int
    """Largest event time seen: the time that features are as of."""
    rolls_at_ms: int
    """From this event time on some window moves."""
    counts: list[int]
    """All there ever was, by counter."""
    tiles: list[Tiles]
    """One for each width of tiles."""
    latest: list[int]
    """Event time of the latest event that passed a filter, by filter of `time_since`."""
    session_id: str | None
    session_start_ms: int
    session_events: int
    lows: list[MergedTiles[float]] = []  # msgspec gives each state a list of its own
    """One for each width of tiles with smallest values."""
    decays: list[float] = []
    """Decayed counts, as of the largest event time."""
    values: list[float] = []
    """Latest values of fields."""
    valued_at: list[int] = []
    """Event times of these."""
    sketches: list[MergedTiles[Sketch]] = []
    """One for each width of tiles with sets of values."""
    tops: list[MergedTiles[Summary]] = []
    """One for each width of tiles with frequent values."""


def new_state(plan: FoldPlan) -> UserState:
    """Return the state of a user who did nothing yet.

    >>> from schemas.events import UserEvent
    >>> from streams.features import session_events
    >>> new_state(FoldPlan([session_events()], UserEvent)).session_events
    0
    """
    return UserState(
        last_ms=NEVER_MS,
        rolls_at_ms=0,
        counts=[0] * len(plan.counters),
        tiles=[tiling.new() for tiling in plan.tilings],
        latest=[NEVER_MS] * len(plan.previous),
        session_id=None,
        session_start_ms=0,
        session_events=0,
        lows=[tiling.new() for tiling in plan.low_tilings],
        decays=[0.0] * len(plan.decays),
        values=[0.0] * len(plan.latest),
        valued_at=[NEVER_MS] * len(plan.latest),
        sketches=[tiling.new() for tiling in plan.sketch_tilings],
        tops=[tiling.new() for tiling in plan.top_tilings],
    )
