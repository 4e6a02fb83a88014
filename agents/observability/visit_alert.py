"""From an alarm of the visits of all partitions to the alert that people read."""

from agents.observability.runbooks import RUNBOOKS
from online_models.drift import DriftAlarm, Moved
from schemas.alerts import Alert
from schemas.cloudevents import rfc3339
from schemas.outcomes import Outcome


def visit_alert(
    alarm: DriftAlarm,
    moved: Moved,
    outcome: Outcome,
    *,
    use_case: str,
    twin: str,
    offset: int,
    raised_at: int,
) -> Alert:
    """Say that answers no longer come as a twin expects them, or scores as they did, and why.

    Parameters
    ----------
    outcome
        With which it is so; `offset` is where it stands in the log, so that the same alarm computed
        twice is one alert.
    """
    return Alert(
        alert_id=f"drift-{use_case}-{moved}-{offset}",
        kind="drift",
        level="warning",
        use_case=use_case,
        signal=alarm.signal,
        value=alarm.statistic,
        threshold=alarm.threshold,
        raised_at=raised_at,
        evidence={
            "event_at": outcome.event_at,
            "event_time": rfc3339(outcome.event_at).decode(),
            "prediction_id": outcome.prediction_id,
            "outcomes_offset": offset,
            "moved": moved,
            "recent": alarm.value,
            "reference": alarm.reference,
            "severity": alarm.severity,
            "onset_at": alarm.onset_ms,
            "onset_time": rfc3339(alarm.onset_ms).decode(),
            "scores_since_onset": alarm.n_since_onset,
            "scores_since_reset": alarm.n,
            "model": twin,
        },
        runbook=RUNBOOKS["drift"],
    )
