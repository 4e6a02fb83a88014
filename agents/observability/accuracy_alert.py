"""From a change of level to the alert that people read."""

from collections.abc import Mapping
from typing import Any, Final

from agents.observability.runbooks import RUNBOOKS
from online_models.accuracy import AccuracyWatch
from online_models.levels import LEVELS
from schemas.alerts import Alert, Level
from schemas.cloudevents import rfc3339
from schemas.tasks import task_name

SIGNALS: Final[Mapping[str, str]] = {
    "binary": "roc_auc",
    "anomaly": "roc_auc",
    "multiclass": "accuracy",
    "regression": "closeness",
}
"""By task, what is judged; of choices there are no levels."""


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
        signal=SIGNALS[task_name(model)],
        value=value,
        threshold=threshold,
        raised_at=raised_at,
        evidence=evidence | {"outcomes_offset": offset},
        action=action,
        runbook=RUNBOOKS["accuracy"],
    )
