"""When what an alert tells of happened, and whether the page can draw it at all. Pure.

Evidence may be anything: whoever publishes alerts writes it.
"""

from datetime import UTC, date, datetime
from typing import Any

import msgspec
import orjson

from schemas.alerts import Alert


class _Drawn(msgspec.Struct):
    """What scripts of the page draw as numbers."""

    recent: float | None = None
    reference: float | None = None


def happened_at(alert: Alert) -> Any:  # noqa: ANN401  # evidence may be anything
    """Tell when it happened, which for drift is event time."""
    return alert.evidence.get("event_at", alert.raised_at)


def day_of(at_ms: Any) -> date | None:  # noqa: ANN401  # likewise
    """Tell the day of a time; `None`: it is none.

    >>> day_of(0), day_of("yesterday"), day_of(10**30)
    (datetime.date(1970, 1, 1), None, None)
    """
    try:
        return datetime.fromtimestamp(at_ms / 1000, UTC).date()
    except (TypeError, ValueError, OverflowError, OSError):
        return None


def can_be_drawn(alert: Alert) -> bool:
    """Tell whether its times are some, its figures numbers, and all of it has a form in JSON.

    >>> alert = Alert("a", "drift", "warning", "u", "score_mean", 9.0, 8.0, 0)
    >>> can_be_drawn(alert), can_be_drawn(msgspec.structs.replace(alert, evidence={"n": 10**30}))
    (True, False)
    """
    onset_at = alert.evidence.get("onset_at", 0)
    if any(day_of(at) is None for at in (happened_at(alert), alert.raised_at, onset_at)):
        return False
    try:
        msgspec.convert(alert.evidence, _Drawn)
        orjson.dumps(alert.evidence)
    except (msgspec.ValidationError, orjson.JSONEncodeError):
        return False
    return True
