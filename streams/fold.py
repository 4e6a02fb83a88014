"""The rolling features of one user, folded event by event.

`compile_features` turns declarations into one specialised function (its text is
`FeatureFold.source`). The same function serves online, in a replay and in a backfill, so they
cannot differ.
"""

import hashlib
import json
import linecache
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from struct import Struct
from typing import Any, Final

import msgspec

from schemas.errors import UNREADABLE
from schemas.events import UserEvent
from streams.distinct import Sketch, cardinality_of_union, sketch_of, union
from streams.feature_kinds import (
    LONGEST_AGO,
    SESSION_GAP,
    CurrentSession,
    Derived,
    Feature,
    Latest,
    RequestTime,
    Rolling,
    TimeSince,
    TopValue,
)
from streams.fold_plan import LARGEST, FoldPlan
from streams.fold_source import write_update, write_view
from streams.fold_state import UserState, new_state
from streams.frequent import Summary, combined, most_frequent, summary_of
from streams.layout import MEANING_VERSION, Layout, layout_of
from streams.listed_state import ListedState
from streams.merging import NOTHING
from streams.migration import Migration
from streams.windows import tile_width_ms

HALF_LIVES: Final = 20
"""After so many, a millionth of a decayed count is left."""
_MS: Final = timedelta(milliseconds=1)
_HOUR: Final = timedelta(hours=1)
_HEADER: Final = Struct(">q8s")
_PACKED: Final = b"\x01"
"""Stands before what has its tiles packed. MessagePack and JSON of a list begin otherwise."""
_OPENING_BRACKET: Final = ord("[")
_View = Callable[[UserState, Mapping[str, float], int], dict[str, float]]


class FeatureFold:
    """Features of one user as of each event, the event included; made by `compile_features`.

    Attributes
    ----------
    names
        The features, in the order of every result.
    schema
        Hash of the declarations and of what they mean.
    source
        The generated functions, as text.
    layout
        What stands where in an encoded state.
    retention
        Forgetting a user who did nothing for longer changes no window and no `time_since`, and a
        decayed count by no more than a millionth of what it was.
    update
        Adds an event to its user's state, in place, and returns the features as of the largest
        event time seen. Events may come in any order.
    """

    def __init__(self, features: Sequence[Feature], record: type[UserEvent]) -> None:
        plan = FoldPlan(features, record)
        self.names: Final = tuple(plan.features)
        self.schema: Final = _schema(features)
        self.source: Final = f"{write_update(plan)}\n\n{write_view(plan)}"
        self.layout: Final = layout_of(plan)
        spans_ms = [span + t.width_ms for t in plan.tilings for span in t.spans_ms]
        spans_ms += [span + t.width_ms for t in plan.low_tilings for span in t.spans_ms]
        spans_ms += [span + t.width_ms for t in plan.sketch_tilings for span in t.spans_ms]
        spans_ms += [span + t.width_ms for t in plan.top_tilings for span in t.spans_ms]
        spans_ms += [HALF_LIVES * (decayed.half_life // _MS) for decayed in plan.decays]
        self.retention: Final = max(_HOUR, _looks_back(features), max(spans_ms, default=0) * _MS)
        compiled = _compile(self.source, f"<features {self.schema}>", plan)
        self.update: Final[Callable[[UserState, UserEvent], dict[str, float]]] = compiled["update"]
        self._view: Final[_View] = compiled["view"]
        self._plan = plan
        self._tag = bytes.fromhex(self.schema)
        self._migrations: dict[bytes, Migration] = {}
        self._take_over = Migration(self.layout, self.layout, plan)
        self._encode_into = msgspec.msgpack.Encoder().encode_into
        self._decode = msgspec.msgpack.Decoder(UserState).decode
        self._decode_wide = msgspec.json.Decoder(UserState).decode
        self._decode_listed = msgspec.msgpack.Decoder(ListedState).decode
        self._decode_wide_listed = msgspec.json.Decoder(ListedState).decode

    def new(self) -> UserState:
        """Return the state of a user who did nothing yet."""
        return new_state(self._plan)

    def encode(self, state: UserState) -> bytes:
        """Write a state: 8 bytes of last event time, the schema, a 1, and MessagePack."""
        header = _HEADER.pack(state.last_ms, self._tag)
        written = bytearray(header + _PACKED)
        try:
            self._encode_into(state, written, len(written))
        except OverflowError:
            # MessagePack ends at 64 bits, totals do not.
            return header + _PACKED + json.dumps(msgspec.to_builtins(state)).encode()
        return bytes(written)

    def decode(self, raw: bytes) -> UserState:
        """Read a state back; of other declarations, what these remember as well: see `adopt`."""
        tag = raw[8:16]
        migrate = self._migrations.get(tag)
        if tag != self._tag and migrate is None:
            return self.new()
        body = memoryview(raw)[_HEADER.size :]
        if raw[_HEADER.size] == _PACKED[0]:
            body = body[1:]
            state = (self._decode_wide if body[0] == _OPENING_BRACKET else self._decode)(body)
            return state if migrate is None else migrate(state)
        decode = self._decode_wide_listed if body[0] == _OPENING_BRACKET else self._decode_listed
        return (migrate or self._take_over)(decode(body))

    def view(self, raw: bytes, served: Mapping[str, float], at_ms: int) -> dict[str, float]:
        """Tell the features as of a moment after the last event, from an encoded state.

        Windows are rolled on, counts decay, and `time_since` counts from the last event. The
        session is that of the last event, and ends with the next one.

        Parameters
        ----------
        served
            The features that were served with the last event: those of that very event stay.
        at_ms
            Up to the last event time, the features are as they were served.

        Raises
        ------
        KeyError
            `served` lacks a feature: it is of other declarations.
        Exception
            Whatever a derived feature raises.

        Examples
        --------
        >>> from streams.features import count, hour_of_day
        >>> minute = timedelta(minutes=1)
        >>> fold = compile_features([count(over=10 * minute), hour_of_day()], UserEvent)
        >>> ada = fold.new()
        >>> served = fold.update(ada, UserEvent("ada", "search", 1_704_067_200_000))
        >>> fold.view(fold.encode(ada), served, 1_704_067_200_000 + 3_600_000)
        {'event_count_10m': 0.0, 'hour_sin': 0.0, 'hour_cos': 1.0}
        """
        if at_ms <= self.last_event_ms(raw):
            return {name: served[name] for name in self.names}
        return self._view(self.decode(raw), served, at_ms)

    def adopt(self, schema: str, layout: bytes) -> bool:
        """Learn to decode states of other declarations from their encoded layout.

        Without it, or when this returns false, they come back new: written by a release in which
        declarations meant something else, or whose layout cannot be read.
        """
        try:
            old = Layout.decode(layout)
        except UNREADABLE:
            return False
        if old.meaning != self.layout.meaning:
            return False
        if schema != self.schema:
            self._migrations[bytes.fromhex(schema)] = Migration(old, self.layout, self._plan)
        return True

    def can_read(self, raw: bytes) -> bool:
        """Tell whether `decode` knows where things stand in an encoded state."""
        tag = raw[8:16]
        return tag == self._tag or tag in self._migrations

    @staticmethod
    def schema_of(raw: bytes) -> str:
        """Tell under which schema a state was encoded."""
        return raw[8:16].hex()

    @staticmethod
    def last_event_ms(raw: bytes) -> int:
        """Tell the last event time of an encoded state, at the cost of eight bytes."""
        return int.from_bytes(raw[:8], "big", signed=True)


def compile_features(features: Sequence[Feature], record: type[UserEvent]) -> FeatureFold:
    """Turn declarations into the function that keeps them up to date.

    Raises
    ------
    InvalidDeclaration
        For a name declared twice, or a field that `record` lacks or has in another type.

    Examples
    --------
    >>> from streams.features import count, session_duration
    >>> minute = timedelta(minutes=1)
    >>> fold = compile_features([count(over=10 * minute), session_duration()], UserEvent)
    >>> ada = fold.new()
    >>> fold.update(ada, UserEvent("ada", "search", 1_704_067_200_000))
    {'event_count_10m': 1.0, 'session_duration': 0.0}
    >>> fold.update(ada, UserEvent("ada", "buy", 1_704_067_205_000))
    {'event_count_10m': 2.0, 'session_duration': 5.0}
    >>> fold.last_event_ms(fold.encode(ada))
    1704067205000
    """
    return FeatureFold(features, record)


def bounded(value: float) -> float:
    """Let a number count as a thousand million million if it is beyond.

    >>> bounded(10**400), bounded(3)
    (1000000000000000.0, 3.0)
    """
    return float(value if -LARGEST <= value <= LARGEST else clipped(value))


def clipped(value: float) -> float:
    """Bring what is beyond the largest numbers that count back to them.

    >>> clipped(10**400), clipped(float("-inf"))
    (1000000000000000.0, -1000000000000000.0)
    """
    return max(-LARGEST, min(value, LARGEST))


def _finite(feature: Derived | RequestTime) -> Callable[..., float]:
    """Let a pipeline's own function give nothing but finite numbers."""
    function, name = feature.function, feature.names[0]

    def derive(*values: float) -> float:
        value = float(function(*values))
        if not math.isfinite(value):
            raise ValueError(f"feature `{name}` would be {value} for {values}")
        return value

    return derive


def _schema(features: Sequence[Feature]) -> str:
    meaning: tuple[object, ...] = (MEANING_VERSION, SESSION_GAP, LONGEST_AGO, tuple(features))
    spans = [each.over for each in features if isinstance(each, Rolling | TopValue)]
    if short := sorted({tile_width_ms(span // _MS) for span in spans if span < _HOUR}):
        # Such windows had tiles of five minutes once; no others changed.
        meaning += (tuple(short),)
    return hashlib.sha256(repr(meaning).encode()).hexdigest()[:16]


def _looks_back(features: Sequence[Feature]) -> timedelta:
    """Tell how far features look back that have no window."""
    sessions = ("session_count", "session_duration_mean")
    does = any(
        isinstance(each, TimeSince | Latest | CurrentSession)
        or (isinstance(each, Rolling) and each.statistic in sessions)
        for each in features
    )
    return LONGEST_AGO if does else timedelta()


def _compile(source: str, filename: str, plan: FoldPlan) -> dict[str, Any]:
    tilings, low_tilings, sketch_tilings = plan.tilings, plan.low_tilings, plan.sketch_tilings
    top_tilings = plan.top_tilings

    def roll(state: UserState, now_ms: int) -> None:
        rolls_at_ms = []
        for tiling, tiles in zip(tilings, state.tiles, strict=True):
            if now_ms >= tiles.rolls_at_ms:
                tiling.roll(tiles, state.counts, state.last_ms, now_ms)
            rolls_at_ms.append(tiles.rolls_at_ms)
        for low_tiling, lows in zip(low_tilings, state.lows, strict=True):
            if now_ms >= lows.rolls_at_ms:
                low_tiling.roll(lows, state.last_ms, now_ms)
            rolls_at_ms.append(lows.rolls_at_ms)
        for sketch_tiling, sketches in zip(sketch_tilings, state.sketches, strict=True):
            if now_ms >= sketches.rolls_at_ms:
                sketch_tiling.roll(sketches, state.last_ms, now_ms)
            rolls_at_ms.append(sketches.rolls_at_ms)
        for top_tiling, tops in zip(top_tilings, state.tops, strict=True):
            if now_ms >= tops.rolls_at_ms:
                top_tiling.roll(tops, state.last_ms, now_ms)
            rolls_at_ms.append(tops.rolls_at_ms)
        state.rolls_at_ms = min(rolls_at_ms)

    def add_late(state: UserState, before: list[int], at_ms: int) -> None:
        for tiling, tiles in zip(tilings, state.tiles, strict=True):
            tiling.add_late(tiles, before, state.counts, at_ms, state.last_ms)

    def add_late_lows(state: UserState, values: Sequence[float], at_ms: int) -> None:
        for tiling, lows in zip(low_tilings, state.lows, strict=True):
            tiling.add_late(lows, values, at_ms, state.last_ms)

    def add_late_sketches(state: UserState, values: Sequence[Sketch], at_ms: int) -> None:
        for tiling, sketches in zip(sketch_tilings, state.sketches, strict=True):
            tiling.add_late(sketches, values, at_ms, state.last_ms)

    def add_late_tops(state: UserState, values: Sequence[Summary], at_ms: int) -> None:
        for tiling, tops in zip(top_tilings, state.tops, strict=True):
            tiling.add_late(tops, values, at_ms, state.last_ms)

    flags_of = {
        action: tuple(int(action in only.actions) for only in plan.flags)
        for only in plan.flags
        for action in only.actions
    }
    namespace: dict[str, Any] = {
        "roll": roll,
        "add_late": add_late,
        "flags_of": flags_of.get,
        "no_flags": (0,) * len(plan.flags),
        "add_late_lows": add_late_lows,
        "add_late_sketches": add_late_sketches,
        "add_late_tops": add_late_tops,
        "NOTHING": NOTHING,
        "sketch_of": sketch_of,
        "union": union,
        "cardinality_of_union": cardinality_of_union,
        "summary_of": summary_of,
        "combined": combined,
        "most_frequent": most_frequent,
        "bounded": bounded,
        "clipped": clipped,
        "no_features": dict.fromkeys(plan.features, 0.0),
        "log1p": math.log1p,
        "sin": math.sin,
        "cos": math.cos,
        "RADIANS_PER_MS": math.tau / 86_400_000,
        **{variable: _finite(feature) for variable, feature in plan.functions.items()},
    }
    # As dataclasses do; only identifiers and literals of the declarations enter the text.
    exec(compile(source, filename, "exec"), namespace)  # noqa: S102
    # Tracebacks and debuggers find the text there.
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    return namespace
