"""Whether answers come too late to be of use: their p99 against the line of an emergency."""

from collections import Counter
from collections.abc import Iterable
from math import ceil, sqrt
from typing import Final, NamedTuple

MIN_PREDICTIONS: Final = 100
"""A window lasts until it has so many: fewer have no 99th percentile."""
MAY_BE_LATE: Final = 0.01
CONFIDENCE_Z: Final = 3.0
"""Standard errors. Every window is a chance to be wrong."""
_PER_SECOND: Final = 10
"""Latencies are told apart by tenths of a second."""


class Window(NamedTuple):
    """What the predictions of some time say."""

    since_ms: int
    n: int
    n_late: int
    p99_s: float
    """To the next tenth of a second."""
    longest_s: float

    @property
    def is_beyond(self) -> bool:
        """Tell whether more are late than chance makes of one in a hundred."""
        by_chance = CONFIDENCE_Z * sqrt(MAY_BE_LATE * (1 - MAY_BE_LATE) / self.n)
        return self.n_late / self.n > MAY_BE_LATE + by_chance

    @property
    def is_within(self) -> bool:
        """Tell whether it is over; in between, what was so goes on."""
        return self.n_late <= MAY_BE_LATE * self.n


class SlowAnswers:
    """Cuts predictions into windows of so much time, and so many predictions, at least.

    Memory is bounded by how late a prediction may be, in tenths of a second.

    Parameters
    ----------
    line_s
        Whoever waits for longer is not served.
    span_ms
        Of wall time.

    Examples
    --------
    >>> slow = SlowAnswers(5.0, span_ms=10_000)
    >>> slow.update([0.02] * 90 + [6.25] * 10, now_ms=0)
    >>> slow.closed(9_999) is None
    True
    >>> window = slow.closed(10_000)
    >>> window.is_beyond, window.p99_s, window.n_late
    (True, 6.3, 10)
    """

    def __init__(self, line_s: float, *, span_ms: int) -> None:
        self.line_s: Final = line_s
        self._span_ms = span_ms
        self._begin()

    def _begin(self) -> None:
        self._since_ms: int | None = None
        self._n = self._n_late = 0
        self._longest_s = 0.0
        self._tenths: Counter[int] = Counter()

    def update(self, latencies_s: Iterable[float], now_ms: int) -> None:
        """Take in how late predictions came that were seen just now."""
        for latency_s in latencies_s:
            if self._since_ms is None:
                self._since_ms = now_ms
            self._n += 1
            self._n_late += latency_s > self.line_s
            self._longest_s = max(self._longest_s, latency_s)
            self._tenths[ceil(latency_s * _PER_SECOND)] += 1

    def closed(self, now_ms: int) -> Window | None:
        """Give the window that is over, and begin the next; `None`: it goes on.

        One that began later than now, by a clock that was set back meanwhile, began now.
        """
        if self._since_ms is None:
            return None
        self._since_ms = since_ms = min(self._since_ms, now_ms)
        if self._n < MIN_PREDICTIONS or now_ms - since_ms < self._span_ms:
            return None
        left = self._n * MAY_BE_LATE
        for tenths in sorted(self._tenths, reverse=True):
            left -= self._tenths[tenths]
            if left < 0:
                break
        window = Window(since_ms, self._n, self._n_late, tenths / _PER_SECOND, self._longest_s)
        self._begin()
        return window
