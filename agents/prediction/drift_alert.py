"""From a drift alarm to the alert that people read."""

from typing import Any

from agents.observability.runbooks import RUNBOOKS
from online_models.drift import TwinAlarm
from schemas.alerts import Alert
from schemas.cloudevents import rfc3339


def drift_alert(
    found: TwinAlarm,
    *,
    use_case: str,
    partition: int,
    event_id: str,
    event_at: int,
    raised_at: int,
    model: str,
    model_version: int,
) -> Alert:
    """Say that scores or actions of a partition are not what they were, and on what that rests.

    Its id follows from the event that raised it: the same alarm computed twice is one alert. That a
    model moves that learns is no reason to warn.
    """
    alarm, segment = found.alarm, found.segment
    signal = alarm.signal if found.is_of_twin else alarm.signal.replace("score_", "difference_")
    attributed: dict[str, Any] = {} if segment is None else {"segment": segment._asdict()}
    if found.of_class is not None:
        attributed["class"] = found.of_class or "other"
    if found.of_action is not None:
        attributed["action"] = found.of_action
    return Alert(
        alert_id=f"drift-{use_case}-{partition}-{event_id}-{signal}",
        kind="drift",
        level="warning" if found.is_of_twin else "normal",
        use_case=use_case,
        signal=signal,
        value=alarm.statistic,
        threshold=alarm.threshold,
        raised_at=raised_at,
        evidence={
            "event_at": event_at,
            "event_time": rfc3339(event_at).decode(),
            "event_id": event_id,
            "partition": partition,
            "moved": found.moved,
            "recent": alarm.value,
            "reference": alarm.reference,
            "severity": alarm.severity,
            "onset_at": alarm.onset_ms,
            "onset_time": rfc3339(alarm.onset_ms).decode(),
            "scores_since_onset": alarm.n_since_onset,
            "scores_since_reset": alarm.n,
            "model": model,
            "model_version": model_version,
            **attributed,
        },
        runbook=RUNBOOKS["drift"],
    )
