"""What kinds of features can be declared, as data; `streams.features` has the words for them."""

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Literal

from schemas.errors import InvalidDeclaration

SESSION_GAP: Final = timedelta(minutes=30)
"""Inactivity that ends a session of events without a `session_id`."""

LONGEST_AGO: Final = timedelta(days=90)
"""`time_since` counts no further: what never happened happened this long ago."""

_UNITS: Final = (
    (timedelta(days=1), "d"),
    (timedelta(hours=1), "h"),
    (timedelta(minutes=1), "m"),
    (timedelta(seconds=1), "s"),
    (timedelta(milliseconds=1), "ms"),
)


def span_name(span: timedelta) -> str:
    """Write a span in the largest unit that divides it.

    >>> span_name(timedelta(days=7)), span_name(timedelta(hours=36)), span_name(timedelta(0, 0.5))
    ('7d', '36h', '500ms')
    """
    for unit, name in _UNITS:
        if span >= unit and span % unit == timedelta():
            return f"{span // unit}{name}"
    raise InvalidDeclaration(f"a span is a positive number of whole milliseconds, not {span}")


def several(texts: Iterable[str], of: str) -> tuple[str, ...]:
    """Take several texts, and never one text for its letters.

    >>> several({"view"}, "filter `click`")
    ('view',)
    >>> several("view", "filter `click`")
    Traceback (most recent call last):
    schemas.errors.InvalidDeclaration: filter `click` needs several texts, as ('view',), not 'view'
    """
    if isinstance(texts, str):
        raise InvalidDeclaration(f"{of} needs several texts, as ({texts!r},), not {texts!r}")
    found = tuple(texts)
    if not found or not all(isinstance(text, str) for text in found):
        raise InvalidDeclaration(f"{of} needs several texts, not {found!r}")
    return found


def _check_span(span: timedelta, of: str, kind: str = "span") -> None:
    if not isinstance(span, timedelta):
        raise InvalidDeclaration(f"{of} needs a timedelta as its {kind}, not {span!r}")
    if span <= timedelta() or span % timedelta(milliseconds=1):
        raise InvalidDeclaration(f"{of} needs a {kind} of whole milliseconds > 0, not {span}")


@dataclass(frozen=True, slots=True)
class ActionFilter:
    """The events that count: those with one of these actions."""

    name: str
    actions: tuple[str, ...]
    """Sorted, so that equal filters read the same."""

    def __post_init__(self) -> None:
        if not self.name.isidentifier() or self.name == "event":
            raise InvalidDeclaration(
                f"an action filter's name becomes part of feature names: {self.name!r} cannot"
            )
        if not self.actions or any(action != action.lower() for action in self.actions):
            raise InvalidDeclaration(
                f"filter `{self.name}` needs actions in lower case, not {self.actions}"
            )


Statistic = Literal[
    "count",
    "rate",
    "total",
    "mean",
    "variance",
    "min",
    "max",
    "distinct",
    "top_share",
    "session_count",
    "session_duration_mean",
]


@dataclass(frozen=True, slots=True)
class Rolling:
    """A statistic over a trailing span: see the functions from `count` to `session_count`."""

    statistic: Statistic
    over: timedelta
    only: ActionFilter | None = None
    field: str | None = None

    def __post_init__(self) -> None:
        _check_span(self.over, f"feature `{self._stem}`")

    @property
    def names(self) -> tuple[str, ...]:
        """The name under which the feature is served."""
        return (f"{self._stem}_{span_name(self.over)}",)

    @property
    def _stem(self) -> str:
        subject = [self.only.name] if self.only is not None else []
        if self.field is not None:
            subject.append(self.field)
        elif self.only is None and self.statistic == "count":
            subject.append("event")
        return "_".join([*subject, self.statistic])


@dataclass(frozen=True, slots=True)
class TopValue:
    """See `top_value`."""

    field: str
    values: tuple[str, ...]
    over: timedelta
    only: ActionFilter | None = None

    def __post_init__(self) -> None:
        _check_span(self.over, f"feature `{self._stem}`")
        several(self.values, f"feature `{self._stem}`")

    @property
    def names(self) -> tuple[str, ...]:
        """One name for each value."""
        return tuple(f"{self._stem}_{span_name(self.over)}_is_{value}" for value in self.values)

    @property
    def _stem(self) -> str:
        return "_".join([*([self.only.name] if self.only else []), self.field, "top"])


@dataclass(frozen=True, slots=True)
class TimeSince:
    """See `time_since`."""

    only: ActionFilter | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The name under which the feature is served."""
        return (f"seconds_since_{'event' if self.only is None else self.only.name}",)


@dataclass(frozen=True, slots=True)
class CurrentSession:
    """See `session_events` and `session_duration`."""

    statistic: Literal["events", "duration"]

    @property
    def names(self) -> tuple[str, ...]:
        """The name under which the feature is served."""
        return (f"session_{self.statistic}",)


@dataclass(frozen=True, slots=True)
class IsAction:
    """See `is_action`."""

    only: ActionFilter

    @property
    def names(self) -> tuple[str, ...]:
        """The name under which the feature is served."""
        return (f"is_{self.only.name}",)


@dataclass(frozen=True, slots=True)
class OneOf:
    """See `one_of`."""

    field: str
    values: tuple[str, ...]

    def __post_init__(self) -> None:
        several(self.values, f"feature `{self.field}_is_...`")

    @property
    def names(self) -> tuple[str, ...]:
        """One name for each value."""
        return tuple(f"{self.field}_is_{value}" for value in self.values)


@dataclass(frozen=True, slots=True)
class HourOfDay:
    """See `hour_of_day`."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the two coordinates."""
        return ("hour_sin", "hour_cos")


@dataclass(frozen=True, slots=True)
class DecayedCount:
    """See `decayed_count`."""

    half_life: timedelta
    only: ActionFilter | None = None

    def __post_init__(self) -> None:
        _check_span(self.half_life, f"feature `{self._stem}`", "half-life")

    @property
    def names(self) -> tuple[str, ...]:
        """The name under which the feature is served."""
        return (f"{self._stem}_{span_name(self.half_life)}",)

    @property
    def _stem(self) -> str:
        return f"{'event' if self.only is None else self.only.name}_decayed_count"


@dataclass(frozen=True, slots=True)
class Latest:
    """See `latest`."""

    field: str
    only: ActionFilter | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The name under which the feature is served."""
        return ("_".join([*([self.only.name] if self.only else []), self.field, "latest"]),)


@dataclass(frozen=True, slots=True)
class FieldValue:
    """See `field_value`."""

    field: str

    @property
    def names(self) -> tuple[str, ...]:
        """The name under which the feature is served."""
        return (f"event_{self.field}",)


@dataclass(frozen=True, slots=True)
class Derived:
    """See `derived`."""

    name: str
    of: tuple[str, ...]
    version: int
    function: Callable[..., float] = field(repr=False, compare=False)
    """Not part of what the feature is: its text cannot be compared. `version` tells."""

    def __post_init__(self) -> None:
        _check_function(self, of_what="derived of nothing")

    @property
    def names(self) -> tuple[str, ...]:
        """The name under which the feature is served."""
        return (_versioned(self.name, self.version),)


@dataclass(frozen=True, slots=True)
class RequestTime:
    """See `request_time`."""

    name: str
    of: tuple[str, ...]
    version: int
    function: Callable[..., float] = field(repr=False, compare=False)
    """Not part of what the feature is: its text cannot be compared. `version` tells."""

    def __post_init__(self) -> None:
        _check_function(self, of_what="a function of no field")

    @property
    def names(self) -> tuple[str, ...]:
        """The name under which the feature is served."""
        return (_versioned(self.name, self.version),)


def _check_function(feature: Derived | RequestTime, *, of_what: str) -> None:
    name, function = feature.name, feature.function
    if not name.isidentifier():
        raise InvalidDeclaration(f"a feature cannot be called {name!r}")
    if not feature.of:
        raise InvalidDeclaration(f"feature `{name}` is {of_what}")
    if type(feature.version) is not int or feature.version < 1:
        raise InvalidDeclaration(f"feature `{name}`: versions count from 1, whole numbers")
    if not callable(function):
        raise InvalidDeclaration(f"feature `{name}` needs a function, not {function!r}")
    try:
        signature = inspect.signature(function)
    except ValueError:
        return  # of some functions written in C nobody can tell
    try:
        signature.bind(*feature.of)
    except TypeError as error:
        raise InvalidDeclaration(
            f"feature `{name}`: its function cannot take {', '.join(feature.of)}: {error}"
        ) from error


def _versioned(name: str, version: int) -> str:
    return name if version == 1 else f"{name}_v{version}"


Feature = (
    Rolling
    | TopValue
    | TimeSince
    | CurrentSession
    | IsAction
    | OneOf
    | HourOfDay
    | DecayedCount
    | Latest
    | FieldValue
    | RequestTime
    | Derived
)
"""One declaration. Its `names` are what it is served under: mostly one, for some several."""
