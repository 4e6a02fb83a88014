"""What of the features moved when the scores did: a drift alert, explained from the sketches.

What came since the onset is held against the week before it, or four where users are few, over all
partitions together, since features are counted so. The span since is one of whole days, to and with
that of the alert, so that hours of the day weigh on both sides alike; until its first day is over,
the same hours of the days before are taken.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, TypeGuard

from agents.monitoring.drift_view import decoded
from agents.monitoring.sketch_fold import DAY_MS
from online_models.feature_attribution import Attribution, FeatureMove, attribute
from online_models.sketch import Sketch, UnreadableSketch
from schemas.alerts import Alert
from schemas.cloudevents import rfc3339
from schemas.deployments import LAST_MS
from schemas.errors import ThalwegError
from schemas.sketches import SketchMinute

logger = logging.getLogger(__name__)

WEEK: Final = 7
FOUR_WEEKS: Final = 28
"""Days before the onset."""
_ENOUGH: Final = 4
"""Times as many users before as since: more would hardly make anything surer."""
_HOUR_MS: Final = 3_600_000
_DAY_H: Final = 24


class NoAttribution(ThalwegError, LookupError):
    """An alert has no onset that features could be held against."""


@dataclass(frozen=True, slots=True)
class Explained:
    """A drift alert, and what is known of the features around its onset."""

    alert: Alert
    days_before: int
    onset_at: int
    """Event time, ms since the epoch: the hour of the onset, all of which counts as since."""
    until: int
    is_over: bool
    """Whether the span since the onset is over; else more may be told later."""
    n_users: tuple[float, float]
    """Before and since, of the feature that most users had (effective)."""
    found: Attribution

    @property
    def before_from(self) -> int:
        """Tell when the days before begin, in ms since the epoch."""
        return self.onset_at - self.days_before * DAY_MS

    @property
    def is_thin(self) -> bool:
        """Whether more days before would make it surer."""
        before, since = self.n_users
        return before < _ENOUGH * since

    @property
    def told(self) -> str:
        """Say it in a sentence."""
        onset = _minute(self.onset_at)
        if not self.found.n_compared:
            why = "so far" if not self.is_over else f"in the days from {onset} or before"
            return f"too few users came {why} to compare any feature"
        n = len(self.found.moves)
        some = f"{n} of {self.found.n_compared} features moved" if n else "no feature surely moved"
        spans = f"from {onset} to {_minute(self.until)}, against the {self.days_before} days before"
        return f"{some} {spans}{'' if self.is_over else ' (so far)'}"

    def as_row(self) -> dict[str, Any]:
        """Write it as JSON has it."""
        evidence = self.alert.evidence
        return {
            "alert_id": self.alert.alert_id,
            "signal": self.alert.signal,
            "moved": evidence.get("moved"),
            "onset_at": self.onset_at,
            "until": self.until,
            "before_from": self.before_from,
            "is_over": self.is_over,
            "n_compared": self.found.n_compared,
            "features": [_row(move) for move in self.found.moves],
            "told": self.told,
        }


def onset_of(alert: Alert) -> int:
    """Tell the onset of a drift alert, in ms since the epoch.

    Raises
    ------
    NoAttribution
        It tells none.
    """
    return _times(alert)[0]


def needed_from(alert: Alert, days_before: int = WEEK) -> int:
    """Tell from which moment on sketches are needed, in ms since the epoch; raises likewise."""
    return _hour(onset_of(alert)) * _HOUR_MS - days_before * DAY_MS


def explain(alert: Alert, records: Iterable[SketchMinute], days_before: int = WEEK) -> Explained:
    """Say which features moved.

    Parameters
    ----------
    records
        Of the alert's use case, from `needed_from` on, in whatever order.

    Raises
    ------
    NoAttribution
        The alert tells no onset.
    """
    onset, alerted = map(_hour, _times(alert))
    days = max(1, -(-(alerted + 1 - onset) // _DAY_H))
    first = onset - days_before * _DAY_H
    by_hour, newest = _by_hour(records, first, onset + days * _DAY_H)
    n_hours = max(0, min(days * _DAY_H, newest - onset))
    if n_hours > _DAY_H:
        n_hours -= n_hours % _DAY_H
    since = _sum(by_hour, (hour for hour in by_hour if onset <= hour < onset + n_hours))
    before = _sum(
        by_hour, (hour for hour in by_hour if hour < onset and (hour - onset) % _DAY_H < n_hours)
    )
    return Explained(
        *(alert, days_before, onset * _HOUR_MS, (onset + n_hours) * _HOUR_MS),
        is_over=n_hours == days * _DAY_H,
        n_users=(_users(before), _users(since)),
        found=attribute(before, since),
    )


def _times(alert: Alert) -> tuple[int, int]:
    """Tell the onset, and when the alert was raised in event time; raises `NoAttribution`."""
    onset = alert.evidence.get("onset_at")
    raised = alert.evidence.get("event_at", onset)
    if alert.kind == "drift" and _is_time(onset) and _is_time(raised):
        return onset, raised
    raise NoAttribution(f"`{alert.alert_id}` is no drift alert with an onset")


def _is_time(at_ms: object) -> TypeGuard[int]:
    return isinstance(at_ms, int) and 0 < at_ms <= LAST_MS


def _by_hour(
    records: Iterable[SketchMinute], first: int, end: int
) -> tuple[dict[int, dict[str, Sketch]], int]:
    """Add the features up by the hours of a span; tell also the hour that is not over yet."""
    found: dict[int, dict[str, Sketch]] = {}
    newest = 0
    for record in records:
        hour = _hour(record.event_at)
        newest = max(newest, hour)
        if record.model or not first <= hour < end:
            continue
        try:
            _add(found.setdefault(hour, {}), decoded(record))
        except UnreadableSketch as error:
            logger.warning("no sketch: %s", error)
    return found, newest


def _users(sketches: dict[str, Sketch]) -> float:
    return max((each.effective_n for each in sketches.values()), default=0.0)


def _sum(by_hour: dict[int, dict[str, Sketch]], hours: Iterable[int]) -> dict[str, Sketch]:
    total: dict[str, Sketch] = {}
    for hour in hours:
        _add(total, by_hour[hour])
    return total


def _add(total: dict[str, Sketch], more: dict[str, Sketch]) -> None:
    for signal, sketch in more.items():
        known = total.get(signal)
        total[signal] = sketch if known is None else known + sketch


def _hour(at_ms: int) -> int:
    return at_ms // _HOUR_MS


def _minute(at_ms: int) -> str:
    return rfc3339(at_ms).decode()[:16].replace("T", " ")


def _row(move: FeatureMove) -> dict[str, Any]:
    compared = move.comparison
    return {
        "feature": move.feature,
        "index": compared.psi,
        "index_by_chance": compared.psi_by_chance,
        "distance": compared.ks,
        "p": move.p,
        "mean_before": move.mean_before,
        "mean_since": move.mean_since,
        "users_before": compared.n_reference,
        "users_since": compared.n_recent,
    }
