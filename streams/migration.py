"""Take a user's state over from other declarations, by name: what both remember goes on.

- A counter, a filter's latest time, a latest value and a decayed count go on as they are.
- Tiles of one width go on, column by column. So each window over them is exact as far back as the
  tiles go, be it declared before or not; a window that is longer than any before it fills up.
- The current session goes on.
- What divides by a count that was kept for longer (`top_share`) begins where both were kept.
- What was not remembered begins with nothing.
"""

from collections.abc import Iterator, Sequence
from typing import Final, TypeVar

from streams.fold_plan import FoldPlan
from streams.fold_state import NEVER_MS, UserState
from streams.layout import Layout, WidthLayout, positions
from streams.listed_state import ListedState
from streams.merging import MergedTiles, MergeTiling
from streams.packed_tiles import TilePacking
from streams.windows import ListedTiles, Tiles

T = TypeVar("T")
Position = tuple[int | None, tuple[int | None, ...]]
"""Which of the old tiles are of a width, and where its columns stand in them."""


class Migration:
    """Turns states of one layout into those of a plan.

    Examples
    --------
    >>> from datetime import timedelta
    >>> from schemas.events import UserEvent
    >>> from streams.features import count, time_since
    >>> from streams.fold import compile_features
    >>> hour = timedelta(hours=1)
    >>> before = compile_features([count(over=hour), time_since()], UserEvent)
    >>> after = compile_features([time_since(), count(over=3 * hour)], UserEvent)
    >>> ada = before.new()
    >>> _ = before.update(ada, UserEvent("ada", "search", 1_704_067_200_000))
    >>> after.adopt(before.schema, before.layout.encode())
    True
    >>> ada = after.decode(before.encode(ada))
    >>> after.update(ada, UserEvent("ada", "buy", 1_704_067_201_000))["event_count_3h"]
    2.0
    """

    def __init__(self, old: Layout, new: Layout, plan: FoldPlan) -> None:
        self._plan: Final = plan
        self._goes_on: Final = old.has_sessions and new.has_sessions
        self._counters: Final = positions(old.counters, new.counters)
        self._latest: Final = positions(old.latest, new.latest)
        self._decays: Final = positions(old.decays, new.decays)
        self._values: Final = positions(old.values, new.values)
        self._packings: Final = tuple(TilePacking(each.bases) for each in old.tiles)
        self._tiles: Final = tuple(_by_width(old.tiles, new.tiles))
        kept_ms = {each.width_ms: each.kept_ms or None for each in old.tops}
        self._kept_ms: Final = [
            [
                kept_ms.get(each.width_ms)
                if column.part_of is not None and column.part_of[0] == "top"
                else None
                for column in each.columns
            ]
            for each in new.tiles
        ]
        self._lows: Final = tuple(_by_width(old.lows, new.lows))
        self._sketches: Final = tuple(_by_width(old.sketches, new.sketches))
        self._tops: Final = tuple(_by_width(old.tops, new.tops))

    def __call__(self, old: UserState | ListedState) -> UserState:
        """Return the state of the same user under the plan; the old one is used up."""
        plan, last_ms = self._plan, old.last_ms
        counts = _picked(old.counts, self._counters, 0)
        kept = list(map(_listed, self._packings, old.tiles))
        nothing = ListedTiles([], [], [], [], rolls_at_ms=0)
        return UserState(
            last_ms=last_ms,
            rolls_at_ms=0,  # the next event in order sets all windows' times
            counts=counts,
            tiles=[
                tiling.moved(nothing if i is None else kept[i], columns, counts, last_ms, kept_ms)
                for tiling, (i, columns), kept_ms in zip(
                    plan.tilings, self._tiles, self._kept_ms, strict=True
                )
            ],
            latest=_picked(old.latest, self._latest, NEVER_MS),
            session_id=old.session_id if self._goes_on else None,
            # A session that nobody watched began no later than its latest event.
            session_start_ms=old.session_start_ms if self._goes_on else last_ms,
            session_events=old.session_events if self._goes_on else 0,
            lows=list(_moved(plan.low_tilings, old.lows, self._lows, last_ms)),
            decays=_picked(old.decays, self._decays, 0.0),
            values=_picked(old.values, self._values, 0.0),
            valued_at=_picked(old.valued_at, self._values, NEVER_MS),
            sketches=list(_moved(plan.sketch_tilings, old.sketches, self._sketches, last_ms)),
            tops=list(_moved(plan.top_tilings, old.tops, self._tops, last_ms)),
        )


def _listed(packing: TilePacking, tiles: Tiles | ListedTiles) -> ListedTiles:
    if isinstance(tiles, ListedTiles):
        return tiles
    ends, sums = packing.tiles(tiles.packed, tiles.ends[-1])
    return ListedTiles(ends, sums, tiles.opened, tiles.behind, tiles.rolls_at_ms)


def _picked(values: Sequence[T], where: Sequence[int | None], nothing: T) -> list[T]:
    return [nothing if i is None else values[i] for i in where]


def _by_width(old: Sequence[WidthLayout], new: Sequence[WidthLayout]) -> Iterator[Position]:
    position = {each.width_ms: i for i, each in enumerate(old)}
    for each in new:
        i = position.get(each.width_ms)
        yield i, positions(() if i is None else old[i].columns, each.columns)


def _moved(
    tilings: Sequence[MergeTiling[T]],
    old: Sequence[MergedTiles[T]],
    where: Sequence[Position],
    last_ms: int,
) -> Iterator[MergedTiles[T]]:
    nothing: MergedTiles[T] = MergedTiles([], [], [], [], rolls_at_ms=0)
    for tiling, (i, columns) in zip(tilings, where, strict=True):
        yield tiling.moved(nothing if i is None else old[i], columns, last_ms)
