"""The features whose cost is measured."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Final

from streams.feature_kinds import Feature
from streams.features import (
    action,
    count,
    decayed_count,
    distinct,
    hour_of_day,
    is_action,
    latest,
    maximum,
    mean,
    minimum,
    rate,
    session_count,
    session_duration,
    session_events,
    time_since,
    top_share,
    top_value,
    total,
    variance,
)

HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(days=1)
SPANS: Final = (HOUR, 6 * HOUR, DAY, 7 * DAY, 30 * DAY, 90 * DAY)
BUY: Final = action({"buy"}, name="buy")

BY_STATISTIC: Final[Mapping[str, Callable[[timedelta], Feature]]] = {
    "count": lambda span: count(BUY, over=span),
    "rate": lambda span: rate(BUY, over=span),
    "total": lambda span: total("amount", over=span),
    "mean": lambda span: mean("amount", over=span),
    "variance": lambda span: variance("amount", over=span),
    "minimum": lambda span: minimum("amount", over=span),
    "maximum": lambda span: maximum("amount", over=span),
    "distinct": lambda span: distinct("item", over=span),
    "top_share": lambda span: top_share("item", over=span),
    "top_value": lambda span: top_value("item", ("item-1",), over=span),
    "session_count": lambda span: session_count(over=span),
    "decayed_count": lambda span: decayed_count(BUY, half_life=span),
}
"""What makes a feature of a span; where there is no window, of a half-life."""

SUBTRACTED: Final = ("count", "rate", "total", "mean", "variance")
"""Statistics that are differences of cumulative counts."""
MERGED: Final = ("minimum", "maximum", "distinct", "top_share")
"""Statistics whose tiles are merged."""

THIRTY: Final[Sequence[Feature]] = (
    *(count(over=span) for span in SPANS),
    *(count(BUY, over=span) for span in SPANS[1:5]),
    *(rate(BUY, over=span) for span in SPANS[3:]),
    *(total("amount", over=span) for span in SPANS[1:4]),
    *(mean("amount", over=span) for span in SPANS[3:5]),
    variance("amount", over=30 * DAY),
    minimum("amount", over=7 * DAY),
    maximum("amount", over=7 * DAY),
    distinct("item", over=7 * DAY),
    time_since(),
    time_since(BUY),
    session_events(),
    session_duration(),
    session_count(over=30 * DAY),
    decayed_count(half_life=DAY),
    latest("amount", BUY),
    is_action({"cart"}, name="cart"),
)
"""A mix as pipelines have it."""


def of_span(statistics: Sequence[str], span: timedelta) -> list[Feature]:
    """Declare some statistics over the same span."""
    return [BY_STATISTIC[statistic](span) for statistic in statistics]


BASE: Final[Sequence[Feature]] = (session_events(), hour_of_day())
"""What costs next to nothing; what a feature adds to it is its own."""
