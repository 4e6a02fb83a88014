"""How the evidence of drift got to where it is: what the page draws for one partition. Pure."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from agents.serving.tables import Row

STEPS_S: Final[Mapping[str, int]] = {"15 min": 5, "6 h": 120, "7 d": 3_600}
"""Spans that are followed, and how far apart their points are; of each step the most evidence."""
POINTS: Final = 180
"""Of each span."""
MAX_SERIES: Final = 300
"""Partitions times signals that are followed; a use case with more is seen on a dashboard."""


class Point(NamedTuple):
    """Where a detector stood."""

    at: int
    """Seconds since the epoch."""
    statistic: float | None
    threshold: float | None


Series = dict[str, list[tuple[int, float | None, float | None]]]
"""By signal, oldest first: as `Point`, for JSON."""


class DriftHistory:
    """Keeps the statistics of the last minutes, hours and days, fewer the further they are past.

    Examples
    --------
    >>> history = DriftHistory()
    >>> rows = [{"partition": "1", "signal": "score_mean", "statistic": 3.5, "threshold": 14.0}]
    >>> for at_ms in (10_000, 12_000, 15_000):
    ...     history.note(lambda: rows, at_ms)
    >>> history.of("1")["15 min"]["score_mean"]
    [(10, 3.5, 14.0), (15, 3.5, 14.0)]
    >>> history.of("1")["6 h"]["score_mean"]
    [(15, 3.5, 14.0)]
    """

    def __init__(self) -> None:
        self._series: dict[tuple[str, str], dict[str, deque[Point]]] = {}
        self._step: int | None = None

    def note(self, read: Callable[[], Sequence[Row]], now_ms: int) -> None:
        """Take in rows of `tables.drift`, which are read where a step has begun."""
        now_s = now_ms // 1000
        step = now_s // min(STEPS_S.values())
        if self._step is not None and step <= self._step:
            return
        self._step = step
        for row in read():
            key = row["partition"], row["signal"]
            spans = self._series.get(key)
            if spans is None:
                if len(self._series) >= MAX_SERIES:
                    continue
                spans = self._series[key] = {span: deque(maxlen=POINTS) for span in STEPS_S}
            point = Point(now_s, row.get("statistic"), row.get("threshold"))
            for span, step_s in STEPS_S.items():
                _add(spans[span], point, step_s)

    def of(self, partition: str) -> dict[str, Series]:
        """Tell of each span what each signal of a partition was."""
        return {
            span: {
                signal: [(at, value, threshold) for at, value, threshold in spans[span]]
                for (of_partition, signal), spans in sorted(self._series.items())
                if of_partition == partition
            }
            for span in STEPS_S
        }


def _add(series: deque[Point], point: Point, step_s: int) -> None:
    """Add a point, or let it take part in that of its step: an alarm begins a detector anew."""
    if series and series[-1].at // step_s == point.at // step_s:
        before = series.pop()
        if (before.statistic or 0.0) > (point.statistic or 0.0):
            point = before._replace(at=point.at)
    series.append(point)
