"""What a remembered feature is when nothing is remembered, and how often it was served as that.

No fault: that a user bought nothing is a fact. But a feature that stands there for nearly all tells
a model nothing, and one that suddenly does has lost its events, or its users' state.
"""

from collections.abc import Mapping, Sequence
from math import log1p
from typing import Final

from streams.feature_kinds import (
    LONGEST_AGO,
    DecayedCount,
    Feature,
    Latest,
    Rolling,
    TimeSince,
    TopValue,
)


def default_of(feature: Feature) -> float | None:
    """Tell what a feature is of a user who did nothing; `None` if it is of the very event.

    The current session has at least that event, and what is derived has no default of its own.

    >>> from datetime import timedelta
    >>> from streams.features import count, hour_of_day, session_count, time_since
    >>> day = timedelta(days=1)
    >>> default_of(count(over=day)), default_of(session_count(over=day)), default_of(hour_of_day())
    (0.0, 1.0, None)
    >>> round(default_of(time_since()), 3)
    15.867
    """
    match feature:
        case Rolling(statistic="session_count"):
            return 1.0
        case Rolling() | TopValue() | DecayedCount() | Latest():
            return 0.0
        case TimeSince():
            return log1p(LONGEST_AGO.total_seconds())
        case _:
            return None


class DefaultCounter:
    """Counts how often features were served at their defaults.

    Examples
    --------
    >>> from datetime import timedelta
    >>> from streams.features import field_value, total
    >>> counter = DefaultCounter([field_value("amount"), total("amount", over=timedelta(days=1))])
    >>> counter.names
    ('amount_total_1d',)
    >>> counter.count([{"event_amount": 0.0, "amount_total_1d": 0.0},
    ...                {"event_amount": 0.0, "amount_total_1d": 9.5}])
    {'amount_total_1d': 1}
    """

    def __init__(self, features: Sequence[Feature]) -> None:
        self._defaults: Final = {
            name: default_of(feature) for feature in features for name in feature.names
        }
        self.names: Final = tuple(
            name for name, default in self._defaults.items() if default is not None
        )
        """Features that have a default."""

    def count(self, served: Sequence[Mapping[str, float]]) -> dict[str, int]:
        """Go through what was served, feature by feature: each has all in the same order."""
        columns = zip(*(features.values() for features in served), strict=True)
        return {
            name: n
            for (name, default), column in zip(self._defaults.items(), columns, strict=False)
            if default is not None and (n := column.count(default))
        }
