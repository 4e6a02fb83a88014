"""Decide what one update function must do for a set of feature declarations.

Each declaration becomes an expression over variables; asking for a variable plans the counter,
window, flag or field behind it. `streams.fold_source` writes the plan down as Python.
"""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Final, Generic, Literal, NamedTuple, TypeVar, assert_never

from msgspec import inspect

from schemas.errors import InvalidDeclaration
from schemas.events import UserEvent
from streams import distinct, frequent
from streams.distinct import Sketch, union
from streams.feature_kinds import (
    LONGEST_AGO,
    ActionFilter,
    CurrentSession,
    DecayedCount,
    Derived,
    Feature,
    FieldValue,
    HourOfDay,
    IsAction,
    Latest,
    OneOf,
    RequestTime,
    Rolling,
    TimeSince,
    TopValue,
    span_name,
)
from streams.frequent import Summary, combined, known_as
from streams.merging import NOTHING, Evict, MergeTiling, evict_smallest
from streams.windows import Tiling, tile_width_ms

MICRO: Final = 1_000_000
"""Numeric fields are counted in integer millionths: their totals are exact in any order."""
LARGEST: Final = 1e15
"""A number that is beyond counts as this."""

_MS: Final = timedelta(milliseconds=1)
_DAY_MS: Final = timedelta(days=1) // _MS
_NUMBER: Final = (inspect.IntType, inspect.FloatType)
_TEXT: Final = (inspect.StrType, inspect.LiteralType)
_ANYTHING: Final = (inspect.Type,)
_KIND_NAMES: Final = {_NUMBER: "a number", _TEXT: "text", _NUMBER + _TEXT: "a number or text"}

OF_EVENT: Final = (IsAction, OneOf, HourOfDay, FieldValue, RequestTime)
"""Kinds of features of the very event."""

T = TypeVar("T")


class Counter(NamedTuple):
    """One cumulative count of a user's state."""

    of: Literal["events", "millionths", "squares", "values", "sessions", "session_ms"]
    only: ActionFilter | None = None
    field: str | None = None

    def __str__(self) -> str:
        subject = (self.only.name if self.only is not None else "", self.field or "", self.of)
        return "_".join(part for part in subject if part)


class Quotient(NamedTuple):
    """A statistic that divides counts by others: their windows must have begun together.

    So it has columns of its own in the tiles. Else a mean that is declared where a total was before
    would divide what was added up long since by the number of the events since then.
    """

    statistic: Literal["rate", "mean", "variance", "session_duration_mean", "top"]
    only: ActionFilter | None = None

    def __str__(self) -> str:
        return "_".join([*([self.only.name] if self.only else []), self.statistic])


Counted = tuple[Counter, Quotient | None]
"""What a column of tiles counts, and for which statistic if not for any."""


class Mergeable(NamedTuple):
    """A value of each event that is merged with those of other events."""

    statistic: Literal["min", "max", "distinct", "top"]
    field: str
    only: ActionFilter | None

    def __str__(self) -> str:
        subject = (self.only.name if self.only is not None else "", self.field, self.statistic)
        return "_".join(part for part in subject if part)


class Merging(Generic[T]):
    """Values that merge in the same way, and their windows."""

    def __init__(
        self, *, nothing: Callable[[], T], merge: Callable[[T, T], T], evict: Evict[T]
    ) -> None:
        self._nothing, self._merge, self._evict = nothing, merge, evict
        self.values: dict[Mergeable, str] = {}
        """Value -> variable with what this event has of it."""
        self.windows: dict[tuple[Mergeable, int], str] = {}
        """Value and span in ms -> variable with what that window has of it."""

    def tilings(self) -> tuple[MergeTiling[T], ...]:
        """Group the windows by the width of their tiles, finest first."""
        column = {value: position for position, value in enumerate(self.values)}
        by_width: dict[int, list[tuple[Mergeable, int]]] = {}
        for value, span_ms in self.windows:
            by_width.setdefault(tile_width_ms(span_ms), []).append((value, span_ms))
        return tuple(
            MergeTiling(
                width_ms,
                spans_ms=sorted({span_ms for _, span_ms in windows}),
                columns=sorted({column[value] for value, _ in windows}),
                nothing=self._nothing,
                merge=self._merge,
                evict=self._evict,
            )
            for width_ms, windows in sorted(by_width.items())
        )


class FoldPlan:
    """Variables, counters and windows for some features of one type of events.

    Parameters
    ----------
    features
        What to compute, in the order of the result.
    record
        The events' type; the fields that features name are its.

    Examples
    --------
    >>> from streams.features import action, count
    >>> buys = count(action({"purchase"}, name="buy"), over=timedelta(days=7))
    >>> FoldPlan([buys], UserEvent).features
    {'buy_count_7d': 'float(buy_events_in_7d)'}
    """

    def __init__(self, features: Sequence[Feature], record: type[UserEvent]) -> None:
        self._record = record
        self._variables: set[str] = set()
        self.fields: dict[str, str] = {}
        """Field of the event -> variable."""
        self.bounded: dict[str, str] = {}
        """Numeric field -> variable with its value within bounds, where the event has it."""
        self.amounts: dict[tuple[str, str], str] = {}
        """What counters count of a numeric field, and the field -> variable with it."""
        self.flags: dict[ActionFilter, str] = {}
        """Filter -> variable that is 1 when the event passes, else 0."""
        self.previous: dict[ActionFilter, str] = {}
        """Filter -> variable with the time of the latest event before this one that passed."""
        self.counters: dict[Counter, int] = {}
        """Counter -> position in the state's `counts`."""
        self.windows: dict[tuple[Counted, int], str] = {}
        """What is counted and span in ms -> variable with the count in that window."""
        self.lows: Merging[float] = Merging(
            nothing=lambda: NOTHING, merge=min, evict=evict_smallest
        )
        """The smallest values; the largest is minus the smallest of the negatives."""
        self.sketches: Merging[Sketch] = Merging(nothing=dict, merge=union, evict=distinct.evict)
        """Sets of values."""
        self.tops: Merging[Summary] = Merging(nothing=dict, merge=combined, evict=frequent.evict)
        """Frequent values; a window's variable has the most frequent one and its count."""
        self.decays: dict[DecayedCount, int] = {}
        """Decayed count -> position in the state's `decays`."""
        self.latest: dict[Latest, int] = {}
        """Latest value -> position in the state's `values`, and `valued_at`."""
        self.functions: dict[str, Derived | RequestTime] = {}
        """Variable of a function -> what it derives."""
        self.inputs: dict[str, str] = {}
        """Name of a feature that others derive from -> variable."""
        self.has_sessions = False
        self.of_event: set[str] = set()
        """Names of features of the very event, of which nothing is remembered."""
        self.features: dict[str, str] = {}
        """Name -> expression, in the order of the result."""
        for feature in features:
            if not isinstance(feature, Feature):
                raise InvalidDeclaration(f"{feature!r} is no feature: see `streams.features`")
            for name, expression in zip(feature.names, self._express(feature), strict=True):
                if name.startswith("_"):
                    raise InvalidDeclaration(
                        f"feature `{name}`: names that begin with `_` are the online store's own"
                    )
                if name in self.features:
                    raise InvalidDeclaration(f"feature `{name}` is declared twice")
                self.features[name] = expression
            if isinstance(feature, OF_EVENT):
                self.of_event.update(feature.names)
        self.columns = self._columns()
        """Width of tiles in ms -> what their columns count; finest first."""
        self.tilings = self._tilings()
        self.low_tilings = self.lows.tilings()
        self.sketch_tilings = self.sketches.tilings()
        self.top_tilings = self.tops.tilings()

    def _express(self, feature: Feature) -> list[str]:  # noqa: PLR0911, PLR0912 - one for each kind
        match feature:
            case Rolling():
                return [self._rolling(feature)]
            case TopValue(field=field, values=values, over=over, only=only):
                if only is not None:
                    self._flag(only, feature)
                self._field(field, _TEXT, feature)
                top, _ = self._top(field, only, over)
                return [f"1.0 if {top}[0] == {known_as(value)!r} else 0.0" for value in values]
            case TimeSince(only=only):
                return [self._time_since(only, feature)]
            case CurrentSession(statistic=statistic):
                self.has_sessions = True
                if statistic == "events":
                    return ["float(state.session_events)"]
                return ["(state.last_ms - state.session_start_ms) / 1000"]
            case IsAction(only=only):
                return [f"float({self._flag(only, feature)})"]
            case OneOf(field=field, values=values):
                text = self._field(field, _TEXT, feature)
                return [f"1.0 if {text} == {value!r} else 0.0" for value in values]
            case HourOfDay():
                angle = f"ts % {_DAY_MS} * RADIANS_PER_MS"
                return [f"sin({angle})", f"cos({angle})"]
            case DecayedCount(only=only):
                if only is not None:
                    self._flag(only, feature)
                return [f"decays[{self.decays.setdefault(feature, len(self.decays))}]"]
            case Latest(field=field, only=only):
                self._field(field, _NUMBER, feature)
                if only is not None:
                    self._flag(only, feature)
                position = self.latest.setdefault(feature, len(self.latest))
                is_recent = f"now - valued_at[{position}] < {LONGEST_AGO // _MS}"
                return [f"values[{position}] if {is_recent} else 0.0"]
            case FieldValue(field=field):
                value = self._field(field, _NUMBER, feature)
                return [f"bounded({value}) if {value} is not None else 0.0"]
            case RequestTime(of=of):
                function = self._variable(f"request_time_{feature.names[0]}")
                self.functions[function] = feature
                inputs = (self._field(field, _ANYTHING, feature) for field in of)
                return [f"{function}({', '.join(inputs)})"]
            case Derived():
                return [self._derived(feature)]
        assert_never(feature)

    def _derived(self, feature: Derived) -> str:
        for name in feature.of:
            if name not in self.features:
                raise InvalidDeclaration(
                    f"feature `{feature.names[0]}` is derived of `{name}`, which is not declared"
                    " before it"
                )
            if name not in self.inputs:
                self.inputs[name] = self._variable(f"input_{len(self.inputs)}")
        function = self._variable(f"derive_{feature.names[0]}")
        self.functions[function] = feature
        return f"{function}({', '.join(self.inputs[name] for name in feature.of)})"

    def _rolling(self, feature: Rolling) -> str:  # noqa: PLR0911 - one for each statistic
        only, field, over = feature.only, feature.field, feature.over
        if only is not None:
            self._flag(only, feature)
        if field is not None:
            is_any = feature.statistic in ("distinct", "top_share")
            kinds = _NUMBER + _TEXT if is_any else _NUMBER
            self._field(field, kinds, feature)
        match feature.statistic:
            case "count":
                return f"float({self._window(Counter('events', only), over)})"
            case "rate":
                quotient = Quotient("rate", only)
                some = self._window(Counter("events", only), over, quotient)
                # None: a late event's window, under declarations that began after it.
                n = self._window(Counter("events"), over, quotient)
                return f"{some} / {n} if {n} else 0.0"
            case "total":
                return f"{self._window(Counter('millionths', only, field), over)} / {MICRO}"
            case "mean":
                quotient = Quotient("mean", only)
                millionths = self._window(Counter("millionths", only, field), over, quotient)
                n = self._window(Counter("values", only, field), over, quotient)
                return f"{millionths} / ({n} * {MICRO}) if {n} else 0.0"
            case "variance":
                quotient = Quotient("variance", only)
                squares = self._window(Counter("squares", only, field), over, quotient)
                millionths = self._window(Counter("millionths", only, field), over, quotient)
                n = self._window(Counter("values", only, field), over, quotient)
                # Integers up to the division: nothing cancels out.
                scatter = f"{squares} * {n} * {MICRO} - {millionths} * {millionths}"
                # Below none by rounding alone, where all values are equal.
                return (
                    f"(scatter if (scatter := {scatter}) > 0 else 0)"
                    f" / ({n} * {MICRO}) ** 2 if {n} else 0.0"
                )
            case "min" | "max" as statistic:
                smallest = self._merged(self.lows, Mergeable(statistic, str(field), only), over)
                sign = "-" if statistic == "max" else ""
                return f"{sign}{smallest} if {smallest} < NOTHING else 0.0"
            case "distinct" as statistic:
                return self._merged(self.sketches, Mergeable(statistic, str(field), only), over)
            case "top_share":
                top, n = self._top(str(field), only, over)
                return f"{top}[1] / {n} if {n} else 0.0"
            case "session_count":
                self.has_sessions = True
                return f"{self._window(Counter('sessions'), over)} + 1.0"
            case "session_duration_mean":
                self.has_sessions = True
                quotient = Quotient("session_duration_mean")
                ms = self._window(Counter("session_ms"), over, quotient)
                n = self._window(Counter("sessions"), over, quotient)
                return f"{ms} / ({n} * 1000) if {n} else 0.0"
        assert_never(feature.statistic)

    def _time_since(self, only: ActionFilter | None, feature: Feature) -> str:
        since = "last"
        if only is not None:
            self._flag(only, feature)
            if only not in self.previous:
                self.previous[only] = self._variable(f"previous_{only.name}")
            since = self.previous[only]
        longest = LONGEST_AGO // _MS
        return f"log1p((ago if (ago := now - {since}) < {longest} else {longest}) / 1000)"

    def _flag(self, only: ActionFilter, feature: Feature) -> str:
        for known in self.flags:
            if known.name == only.name and known != only:
                raise InvalidDeclaration(
                    f"feature `{feature.names[0]}`: `{only.name}` means {only.actions} here "
                    f"but {known.actions} in another feature"
                )
        if only not in self.flags:
            self.flags[only] = self._variable(f"is_{only.name}")
        return self.flags[only]

    def _field(self, name: str, kinds: tuple[type[inspect.Type], ...], feature: Feature) -> str:
        record = inspect.type_info(self._record)
        types = {f.name: f.type for f in record.fields}  # type: ignore[attr-defined]  # a struct
        if name not in types:
            raise InvalidDeclaration(
                f"feature `{feature.names[0]}`: {self._record.__name__} has no field `{name}`"
            )
        options = getattr(types[name], "types", (types[name],))
        if not all(isinstance(option, (*kinds, inspect.NoneType)) for option in options):
            raise InvalidDeclaration(
                f"feature `{feature.names[0]}`: field `{name}` of {self._record.__name__} "
                f"is not {_KIND_NAMES[kinds]}"
            )
        if name not in self.fields:
            self.fields[name] = self._variable(f"event_{name}")
        if kinds == _NUMBER and name not in self.bounded:
            self.bounded[name] = self._variable(f"bounded_{name}")
        return self.fields[name]

    def _top(self, field: str, only: ActionFilter | None, over: timedelta) -> tuple[str, str]:
        """Plan the most frequent value, and always how many there were: they begin together."""
        n = self._window(Counter("values", only, field), over, Quotient("top", only))
        return self._merged(self.tops, Mergeable("top", field, only), over), n

    def _window(self, counter: Counter, over: timedelta, part_of: Quotient | None = None) -> str:
        self.counters.setdefault(counter, len(self.counters))
        if counter.of in ("millionths", "squares"):
            amount = counter.of, str(counter.field)
            if amount not in self.amounts:
                self.amounts[amount] = self._variable(f"{counter.field}_in_{counter.of}")
        key = (counter, part_of), over // _MS
        if key not in self.windows:
            of = "" if part_of is None else f"_of_{part_of}"
            self.windows[key] = self._variable(f"{counter}{of}_in_{span_name(over)}")
        return self.windows[key]

    def _merged(self, merging: Merging[Any], value: Mergeable, over: timedelta) -> str:
        if value not in merging.values:
            merging.values[value] = self._variable(f"{value}_of_event")
        key = value, over // _MS
        if key not in merging.windows:
            merging.windows[key] = self._variable(f"{value}_in_{span_name(over)}")
        return merging.windows[key]

    def _variable(self, name: str) -> str:
        while name in self._variables:
            name += "_"
        self._variables.add(name)
        return name

    def _columns(self) -> dict[int, list[Counted]]:
        columns: dict[int, dict[Counted, None]] = {}
        for counted, span_ms in self.windows:
            columns.setdefault(tile_width_ms(span_ms), {})[counted] = None
        return {width_ms: list(each) for width_ms, each in sorted(columns.items())}

    def _tilings(self) -> tuple[Tiling, ...]:
        """Group the windows by the width of their tiles, finest first."""
        spans_ms = {span_ms for _, span_ms in self.windows}
        return tuple(
            Tiling(
                width_ms,
                spans_ms=sorted(span for span in spans_ms if tile_width_ms(span) == width_ms),
                counters=[self.counters[counter] for counter, _ in columns],
            )
            for width_ms, columns in self.columns.items()
        )
