"""How the evidence of drift got to where it is: what the page draws for one partition. Pure."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from agents.serving.tables import Row
from agents.serving.timeline import SPAN_S

STEP_S: Final = 5
MAX_SERIES: Final = 1_000
"""Partitions times signals that are followed; a use case with more is seen on a dashboard."""


class DriftHistory:
    """Keeps the statistics of the last quarter of an hour, one in some seconds.

    Examples
    --------
    >>> history = DriftHistory()
    >>> rows = [{"partition": "1", "signal": "score_mean", "statistic": 3.5, "threshold": 14.0}]
    >>> for at_ms in (10_000, 12_000, 15_000):
    ...     history.note(lambda: rows, at_ms)
    >>> history.of("1")
    {'score_mean': [(10, 3.5, 14.0), (15, 3.5, 14.0)]}
    """

    def __init__(self) -> None:
        self._series: dict[tuple[str, str], deque[tuple[int, float | None, float | None]]] = {}
        self._step: int | None = None

    def note(self, read: Callable[[], Sequence[Row]], now_ms: int) -> None:
        """Take in rows of `tables.drift`, which are read where a step has begun."""
        step = now_ms // (STEP_S * 1000)
        if self._step is not None and step <= self._step:
            return
        self._step = step
        for row in read():
            key = row["partition"], row["signal"]
            series = self._series.get(key)
            if series is None:
                if len(self._series) >= MAX_SERIES:
                    continue
                series = self._series[key] = deque(maxlen=SPAN_S // STEP_S)
            series.append((now_ms // 1000, row.get("statistic"), row.get("threshold")))

    def of(self, partition: str) -> dict[str, list[tuple[int, float | None, float | None]]]:
        """Tell of each signal of a partition (seconds since the epoch, statistic, threshold)."""
        return {
            signal: list(series)
            for (of_partition, signal), series in sorted(self._series.items())
            if of_partition == partition
        }
