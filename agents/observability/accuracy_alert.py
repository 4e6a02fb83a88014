"""From a change of level to the alert that people read."""

from typing import Any

from agents.observability.runbooks import RUNBOOKS
from online_models.accuracy import AccuracyWatch
from online_models.levels import LEVELS
from schemas.alerts import Alert, Level
from schemas.cloudevents import rfc3339


def accuracy_alert(
    watch: AccuracyWatch,
    *,
    use_case: str,
    model: str,
    before: Level,
    offset: int,
    raised_at: int,
    action: str = "none",
) -> Alert:
    """Say that who serves is at another level than what was told last, and on what that rests.

    Parameters
    ----------
    model
        Who serves: `name`, or `name@version`.
    before
        The level that was told last, of whoever served then.
    offset
        Of the outcome with which it is so: the same alert told twice has one id.
    """
    changed, best = watch.changed, watch.best or 0.0
    lines = watch.lines() or [0.0]
    value, threshold = best, lines[max(0, LEVELS.index(watch.level) - 1)]
    evidence: dict[str, Any] = {"model": model, "level_before": before, "best": best}
    if changed is not None and changed.level == watch.level:
        value, threshold = changed.value, changed.threshold
        evidence |= {
            "since_at": changed.since,
            "since": rfc3339(changed.since).decode(),
            "labels_since": changed.n,
        }
    return Alert(
        alert_id=f"accuracy-{use_case}-{model}-{offset}-{watch.level}",
        kind="accuracy",
        level=watch.level,
        use_case=use_case,
        signal="roc_auc" if watch.chance else "accuracy",
        value=value,
        threshold=threshold,
        raised_at=raised_at,
        evidence=evidence | {"outcomes_offset": offset},
        action=action,
        runbook=RUNBOOKS["accuracy"],
    )
