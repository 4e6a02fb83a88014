"""What stands where in an encoded state: names for its positions, kept beside the states.

A state is written by position, as short as can be. Whoever declares other features later reads it
by name: `streams.migration`.
"""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any, Final, NamedTuple

import msgspec

from streams.feature_kinds import LONGEST_AGO, SESSION_GAP, ActionFilter
from streams.fold_plan import Counted, FoldPlan, Merging
from streams.merging import MergeTiling

MEANING_VERSION: Final = 2
"""Raise it when the same declarations come to mean something else, or are remembered elsewhere."""

_MS: Final = timedelta(milliseconds=1)


class Column(NamedTuple):
    """What is remembered at one position, whatever declarations call it."""

    of: str
    actions: tuple[str, ...] | None = None
    """Those of the filter: under another name it remembers the same."""
    field: str | None = None
    part_of: tuple[str, tuple[str, ...] | None] | None = None
    """What divides it by others that began with it: statistic, and actions of its filter."""


class WidthLayout(msgspec.Struct, array_like=True, frozen=True):
    """The tiles of one width."""

    width_ms: int
    columns: tuple[Column, ...]
    kept_ms: int = 0
    """Of what merges: the longest span, for which tiles are kept; 0 where that was not noted."""
    bases: tuple[int, ...] = ()
    """Of what is counted: the columns that others are written as differences to, as
    `streams.packed_tiles` has them. Nobody notes them where tiles are written otherwise."""


class Layout(msgspec.Struct, frozen=True):
    """The positions of a state, in the order of `streams.fold_state.UserState`.

    Examples
    --------
    >>> from schemas.events import UserEvent
    >>> from streams.features import action, count
    >>> buys = count(action({"purchase"}, name="buy"), over=timedelta(hours=1))
    >>> layout = layout_of(FoldPlan([buys], UserEvent))
    >>> layout.counters
    (Column(of='events', actions=('purchase',), field=None, part_of=None),)
    >>> Layout.decode(layout.encode()) == layout
    True
    """

    meaning: tuple[int, ...]
    """States of another meaning cannot be read, whatever stands where."""
    counters: tuple[Column, ...]
    tiles: tuple[WidthLayout, ...]
    latest: tuple[Column, ...]
    has_sessions: bool
    lows: tuple[WidthLayout, ...]
    decays: tuple[Column, ...]
    values: tuple[Column, ...]
    sketches: tuple[WidthLayout, ...]
    tops: tuple[WidthLayout, ...] = ()

    def encode(self) -> bytes:
        """Write the layout down as JSON."""
        return msgspec.json.encode(self)

    @staticmethod
    def decode(raw: bytes) -> "Layout":
        """Read it back.

        Raises
        ------
        msgspec.DecodeError
            For what is no layout, such as one of a later release.
        """
        return msgspec.json.decode(raw, type=Layout)


def layout_of(plan: FoldPlan) -> Layout:
    """Name the positions of the states that a plan works on."""
    return Layout(
        meaning=(MEANING_VERSION, SESSION_GAP // _MS, LONGEST_AGO // _MS),
        counters=tuple(_counted((counter, None)) for counter in plan.counters),
        tiles=tuple(
            WidthLayout(
                width_ms, tuple(_counted(each) for each in columns), bases=tiling.packing.bases
            )
            for (width_ms, columns), tiling in zip(plan.columns.items(), plan.tilings, strict=True)
        ),
        latest=tuple(Column("time", only.actions) for only in plan.previous),
        has_sessions=plan.has_sessions,
        lows=_merged(plan.lows, plan.low_tilings),
        decays=tuple(
            Column(f"decayed_{decayed.half_life // _MS}", _actions(decayed.only))
            for decayed in plan.decays
        ),
        values=tuple(Column("value", _actions(each.only), each.field) for each in plan.latest),
        sketches=_merged(plan.sketches, plan.sketch_tilings),
        tops=_merged(plan.tops, plan.top_tilings),
    )


def positions(old: Sequence[Column], new: Iterable[Column]) -> tuple[int | None, ...]:
    """Tell where each of the new columns stood; `None` where it did not.

    >>> positions([Column("a"), Column("b")], [Column("b"), Column("c")])
    (1, None)
    """
    position = {column: i for i, column in enumerate(old)}
    return tuple(map(position.get, new))


def _counted(counted: Counted) -> Column:
    (of, only, field), quotient = counted
    part_of = None if quotient is None else (quotient.statistic, _actions(quotient.only))
    return Column(of, _actions(only), field, part_of)


def _actions(only: ActionFilter | None) -> tuple[str, ...] | None:
    return None if only is None else only.actions


def _merged(merging: Merging[Any], tilings: Sequence[MergeTiling[Any]]) -> tuple[WidthLayout, ...]:
    columns = [
        Column(value.statistic, _actions(value.only), value.field) for value in merging.values
    ]
    return tuple(
        WidthLayout(tiling.width_ms, tuple(columns[i] for i in tiling.columns), tiling.spans_ms[-1])
        for tiling in tilings
    )
