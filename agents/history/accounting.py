"""Hold what was sent against what came out: nothing lost, nothing twice, how late.

Pure bookkeeping, fed by `agents.history.audit`. It remembers the id of every event (some
200 bytes each): proving that nothing was lost or doubled needs no less.
"""

import math
from array import array
from collections import Counter
from collections.abc import Sequence

import msgspec

from schemas.alerts import Alert


class Latency(msgspec.Struct, frozen=True):
    """Milliseconds from an event's publication to its prediction at a reader."""

    p50: float
    p95: float
    p99: float


class DriftAlarm(msgspec.Struct, frozen=True, order=True):
    """One drift alarm, at its event time."""

    at: int
    """Event time, ms since the epoch."""
    signal: str
    value: float
    threshold: float


class Figures(msgspec.Struct, frozen=True):
    """What an audit found."""

    events_in: int
    """Events that Kafka acknowledged."""
    predictions_out: int
    lost: int
    """Events with neither a prediction nor a dead letter."""
    duplicated: int
    """Predictions beyond the first of their event."""
    dead_letters: dict[str, int]
    """By reason."""
    latency_ms: Latency | None
    """`None` when no prediction was seen as it appeared."""
    drift_alarms: list[DriftAlarm]


class Accounting:
    """The books of one replay. Order does not matter: an answer may be seen before its event.

    Examples
    --------
    >>> books = Accounting()
    >>> for event_id in ("e1", "e2", "e3"):
    ...     books.sent(event_id)
    >>> books.predicted("e1", latency_ms=7.5)
    >>> books.predicted("e1", latency_ms=8.5)
    >>> books.set_aside("e2", reason="too_late")
    >>> books.n_unanswered
    1
    >>> figures = books.figures()
    >>> figures.lost, figures.duplicated, figures.dead_letters
    (1, 1, {'too_late': 1})
    """

    def __init__(self) -> None:
        self._sent: set[str] = set()
        self._unanswered: set[str] = set()
        self._predictions: Counter[str] = Counter()
        self._set_aside: set[str] = set()
        self._reasons: Counter[str] = Counter()
        self._latencies_ms = array("d")
        self._alarms: list[DriftAlarm] = []

    def sent(self, event_id: str) -> None:
        """Note an event that Kafka has acknowledged."""
        self._sent.add(event_id)
        if event_id not in self._predictions and event_id not in self._set_aside:
            self._unanswered.add(event_id)

    def predicted(self, event_id: str, latency_ms: float | None) -> None:
        """Note a prediction; its latency only when it was seen as it appeared."""
        self._predictions[event_id] += 1
        self._unanswered.discard(event_id)
        if latency_ms is not None:
            self._latencies_ms.append(latency_ms)

    def set_aside(self, event_id: str | None, reason: str) -> None:
        """Note a dead letter; without an id where the record has none to be read."""
        self._reasons[reason] += 1
        if event_id is not None:
            self._set_aside.add(event_id)
            self._unanswered.discard(event_id)

    def alarmed(self, alert: Alert) -> None:
        """Note a drift alarm; alerts of other kinds are not part of an audit.

        Nor is it an alarm that a model moves which learns: that is told, at the level `normal`.
        """
        if alert.kind == "drift" and alert.level != "normal":
            self._alarms.append(
                DriftAlarm(
                    alert.evidence.get("event_at", alert.raised_at),
                    alert.signal,
                    alert.value,
                    alert.threshold,
                )
            )

    @property
    def n_unanswered(self) -> int:
        """How many events wait for a prediction or a dead letter."""
        return len(self._unanswered)

    def figures(self) -> Figures:
        """Close the books: what is unanswered now counts as lost."""
        of_sent = [
            self._predictions[event_id] for event_id in self._sent & self._predictions.keys()
        ]
        return Figures(
            events_in=len(self._sent),
            predictions_out=sum(of_sent),
            lost=len(self._unanswered),
            duplicated=sum(of_sent) - len(of_sent),
            dead_letters=dict(self._reasons.most_common()),
            latency_ms=_latency(sorted(self._latencies_ms)),
            drift_alarms=sorted(self._alarms),
        )


def percentile(ascending: Sequence[float], share: float) -> float:
    """Tell the smallest value that at least this share of the values does not exceed.

    >>> percentile([1.0, 2.0, 3.0, 4.0], 0.5), percentile([1.0, 2.0, 3.0, 4.0], 0.99)
    (2.0, 4.0)
    """
    return ascending[max(math.ceil(share * len(ascending)) - 1, 0)]


def _latency(ascending: Sequence[float]) -> Latency | None:
    if not ascending:
        return None
    return Latency(*(round(percentile(ascending, share), 1) for share in (0.5, 0.95, 0.99)))
