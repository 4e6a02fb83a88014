"""From a change of a signal's level to the alert that people read."""

import math
from typing import Final

from agents.monitoring.drift_view import FALSE_ALARMS, LARGE, Shift
from agents.monitoring.sketch_fold import DAY_MS
from agents.observability.runbooks import RUNBOOKS
from schemas.alerts import Alert
from schemas.cloudevents import rfc3339

_LEAST_P: Final = 1e-300


def shift_alert(shift: Shift, use_case: str, *, raised_at: int) -> Alert:
    """Say that a signal is no longer what it was, or is again, and on what that rests.

    Its id follows from the day that was compared: the same shift told twice is one alert.
    """
    reading = shift.reading
    comparison, day = reading.comparison, reading.day
    if comparison is None or day is None:
        raise ValueError(f"`{reading.signal}` was not compared yet")
    whose = f"{reading.model}-" if reading.model else ""
    return Alert(
        alert_id=f"shift-{use_case}-{whose}{reading.signal}-{day}-{reading.level}",
        kind="shift",
        level=reading.level,
        use_case=use_case,
        signal=reading.signal,
        value=evidence_of(reading.p),
        threshold=evidence_of(FALSE_ALARMS),
        raised_at=raised_at,
        evidence={
            "event_at": (day + 1) * DAY_MS - 1,
            "level_before": shift.before,
            "model": reading.model,
            "day": date_of(day),
            "p": reading.p,
            "index": comparison.psi,
            "index_by_chance": comparison.psi_by_chance,
            "index_large": LARGE,
            "index_p": comparison.psi_p,
            "distance": comparison.ks,
            "distance_p": comparison.ks_p,
            "users_reference": round(comparison.n_reference, 1),
            "users": round(comparison.n_recent, 1),
        },
        runbook=RUNBOOKS["shift"],
    )


def evidence_of(p: float) -> float:
    """Tell a probability in powers of ten.

    >>> evidence_of(0.001), evidence_of(0.0)
    (3.0, 300.0)
    """
    return -math.log10(max(p, _LEAST_P))


def date_of(day: int) -> str:
    """Write a day, counted from the epoch.

    >>> date_of(0)
    '1970-01-01'
    """
    return rfc3339(day * DAY_MS).decode()[:10]
