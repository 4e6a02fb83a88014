"""The last quarter of an hour, second by second: what the charts show."""

from collections import deque
from collections.abc import Iterator
from typing import Final, TypedDict

from agents.observability import metric_list
from agents.serving.fleet import Fleet
from agents.serving.samples import quantile
from schemas import topics

GATHERING: Final = ("archive",)
"""Roles that let records wait on purpose: their lag says nothing beside that of others."""

SPAN_S: Final = 15 * 60
LATENCY_OVER_MS: Final = 10_000
"""Percentiles look back this far: long enough for a p99 to mean something."""


class Point(TypedDict):
    """What the charts show of one second; `None` where nobody knows."""

    at: int
    """Seconds since the epoch."""
    events: float | None
    predictions: float | None
    """Per second."""
    p50: float | None
    p95: float | None
    p99: float | None
    """Seconds from an event's publication to its prediction."""
    lag: dict[str, float]
    """Seconds that each consumer group is behind, on its worst topic."""


class Timeline:
    """Keeps one point per second of wall time, as far as the fleet's telemetry goes.

    Examples
    --------
    >>> timeline = Timeline()
    >>> timeline.advance(Fleet(), now_ms=5_300)
    >>> timeline.advance(Fleet(), now_ms=7_100)
    >>> [point["at"] for point in timeline.points]
    [5, 6, 7]
    """

    def __init__(self) -> None:
        self.points: deque[Point] = deque(maxlen=SPAN_S)
        self._second: int | None = None

    def advance(self, fleet: Fleet, now_ms: int) -> None:
        """Add the points of the seconds that have begun since the last call."""
        for second in self._seconds_to(now_ms // 1000):
            self.points.append(_point(fleet, second))

    def _seconds_to(self, second: int) -> Iterator[int]:
        first = second if self._second is None else self._second + 1
        if second >= first:
            self._second = second
        return iter(range(max(first, second - SPAN_S + 1), second + 1))


def _point(fleet: Fleet, second: int) -> Point:
    now_ms = second * 1000
    latency = fleet.recent_buckets(metric_list.LATENCY_SECONDS, now_ms, over_ms=LATENCY_OVER_MS)
    lag = sorted(fleet.gauges(metric_list.LAG_SECONDS, now_ms), key=lambda lag: lag[1])
    return {
        "at": second,
        "events": fleet.per_second(metric_list.EVENTS, now_ms, topic=topics.USER_EVENTS.name),
        "predictions": fleet.per_second(metric_list.PREDICTIONS, now_ms),
        "p50": quantile(latency, 0.50),
        "p95": quantile(latency, 0.95),
        "p99": quantile(latency, 0.99),
        "lag": {labels["group"]: s for labels, s in lag if labels["group"] not in GATHERING},
    }
