"""From the learner's samples to a reading, and from a change of level to an alert."""

from collections.abc import Mapping
from typing import Final

from agents.observability import metric_list
from agents.observability.accuracy import LevelChange, Reading
from agents.observability.instruments import sample_name
from agents.pipeline import Pipeline
from schemas.alerts import Alert
from schemas.cloudevents import Headers, constant_headers, rfc3339

_HEADERS: Final = constant_headers("thalweg.alert", "/thalweg/watch")


def accuracy_reading(samples: Mapping[str, float], model: str) -> Reading | None:
    """Find a model's windowed accuracy among the samples of a process; few processes have it.

    >>> samples = {
    ...     'thalweg_model_window_roc_auc{model="m"}': 0.75,
    ...     'thalweg_model_window_outcomes{label="true",model="m"}': 90.0,
    ...     'thalweg_model_window_outcomes{label="false",model="m"}': 910.0,
    ...     'thalweg_model_evaluated_outcomes{model="m"}': 5000.0,
    ... }
    >>> accuracy_reading(samples, "m")
    Reading(roc_auc=0.75, positives=90, negatives=910, evaluated=5000)
    >>> accuracy_reading(samples, "other") is None
    True
    """
    of_model = ("model", model)
    in_window = metric_list.MODEL_WINDOW_OUTCOMES.name
    found = [
        samples.get(name)
        for name in (
            sample_name(metric_list.MODEL_WINDOW_ROC_AUC.name, (of_model,)),
            sample_name(in_window, (("label", "true"), of_model)),
            sample_name(in_window, (("label", "false"), of_model)),
            sample_name(metric_list.MODEL_EVALUATED.name, (of_model,)),
        )
    ]
    known = [value for value in found if value is not None]
    if len(known) < len(found):
        return None
    roc_auc, positives, negatives, evaluated = known
    return Reading(roc_auc, int(positives), int(negatives), int(evaluated))


def accuracy_alert(
    change: LevelChange, reading: Reading, pipeline: Pipeline, *, model: str, raised_at: int
) -> Alert:
    """Tell people about a change of level, with what it rests on.

    Its id follows from the outcomes, so the same change told twice has one id.
    """
    return Alert(
        alert_id=f"accuracy-{pipeline.use_case}-{model}-{reading.evaluated}-{change.level}",
        kind="accuracy",
        level=change.level,
        use_case=pipeline.use_case,
        signal="window_roc_auc",
        value=change.roc_auc,
        threshold=change.threshold,
        raised_at=raised_at,
        evidence={
            "model": model,
            "level_before": change.before,
            "best": change.best,
            "upper_confidence_bound": change.upper,
            "positives": reading.positives,
            "negatives": reading.negatives,
            "evaluated": reading.evaluated,
        },
    )


def alert_headers(alert: Alert) -> Headers:
    """Build the CloudEvents headers of an alert of the watch role."""
    at = rfc3339(alert.raised_at)
    return [*_HEADERS, ("ce_id", alert.alert_id.encode()), ("ce_time", at)]
