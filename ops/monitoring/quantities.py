"""The quantities that are held to a goal of the pipeline (`agents/goals.py`), in PromQL."""

from dataclasses import dataclass
from typing import Final, Literal

from agents.prediction.degraded import ERRORS
from online_models.standard_error import MIN_PER_LABEL

WINDOW: Final = "5m"
"""Rates are of so long."""
PREDICTIONS: Final = "thalweg_latency_seconds"
_EVENTS: Final = 'thalweg_events_total{topic="user-events"}'
_BROKEN: Final = f'thalweg_degraded_total{{reason=~"{"|".join(ERRORS)}"}}'
_RAISED: Final = 'thalweg_dead_letters_total{reason="processing_failed"}'
CHAMPION: Final = "job_model:thalweg_champion:max"
PINNED: Final = (
    f'max by (job, model) (label_replace({CHAMPION}{{model=~".+@.+"}}, "model", "$1", "model", '
    '"(.+)@.+"))'
)
"""The model of which a version serves; answers tell its name."""
MIN_CLASSIFIED: Final = 100
"""Outcomes; a share of fewer says nothing."""
WAITING: Final = (
    'max by (job) (thalweg_lag_seconds{group="predict", topic="user-events"})'  # how long, in s
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """One number that is watched; of all processes of a Prometheus job together."""

    goal: str
    """The field of `Goals`, and the quantity's name."""
    title: str
    expr: str
    """PromQL: one value per job."""
    worse: Literal["above", "below"] = "above"
    unit: str = "percentunit"
    """As Grafana calls it."""
    lasts: str = "5m"
    """How long the goal must be missed before anybody is told."""
    only_while: str = ""
    """PromQL: without a value, the goal does not count."""
    emergency: str = ""
    """The goal beyond which it is an emergency."""
    of_task: str = ""
    """The only task whose models have it; empty: all do."""
    runbook: str
    """Heading of `docs/operations.md`."""

    @property
    def record(self) -> str:
        """Name of the recorded series."""
        return f"job:thalweg_{self.goal}:current"

    @property
    def alert(self) -> str:
        """Name of the alert, `ThalwegLatencyP99`."""
        return alert_of(self.goal)

    @property
    def missed(self) -> str:
        """PromQL that has a value while the goal is missed.

        >>> quantity = Quantity(goal="model_age", title="Age", expr="x", runbook="")
        >>> quantity.missed
        'job:thalweg_model_age:current > on (job) job:thalweg_goal:max{quantity="model_age"}'
        """
        expr = self.beyond(self.goal)
        return f"{expr} and on (job) {self.only_while}" if self.only_while else expr

    def beyond(self, name: str) -> str:
        """Give PromQL that has a value while it is worse than a goal."""
        return f"{self.record} {'>' if self.worse == 'above' else '<'} on (job) {goal(name)}"


def alert_of(name: str) -> str:
    """Name the alert that a goal is missed.

    >>> alert_of("latency_p99")
    'ThalwegLatencyP99'
    """
    return "Thalweg" + "".join(word.capitalize() for word in name.split("_"))


def goal(quantity: str) -> str:
    """Give the recorded goal of a quantity, in PromQL."""
    return f'job:thalweg_goal:max{{quantity="{quantity}"}}'


def rate(counter: str, window: str = WINDOW) -> str:
    """Give the rate of a counter over all processes of a job, in PromQL."""
    return f"sum by (job) (rate({counter}[{window}]))"


def errors(window: str = WINDOW) -> str:
    """Give the share of events that are set aside by a bug, or answered without a model."""
    return f"({rate(_BROKEN, window)} + {rate(_RAISED, window)}) / {rate(_EVENTS, window)}"


def _latency(quantile: float) -> str:
    return (
        f"histogram_quantile({quantile:g}, sum by (job, le) (rate({PREDICTIONS}_bucket[{WINDOW}])))"
    )


def _roc_auc(whose: str, model: str) -> str:
    """Give the ROC AUC of the latest outcomes, as judged by `learn` or as served, in PromQL."""
    enough = f"min by (job, model) (thalweg_{whose}_window_outcomes) >= {MIN_PER_LABEL}"
    return (
        f"max by (job) ((thalweg_{whose}_window_roc_auc and on (job, model) {enough})"
        f" * on (job, model) group_left () {model})"
    )


QUANTITIES: Final = (
    Quantity(
        goal="latency_p50",
        title="Latency, median",
        expr=_latency(0.5),
        unit="s",
        runbook="Predictions are late or slow",
    ),
    Quantity(
        goal="latency_p99",
        title="Latency, p99",
        expr=_latency(0.99),
        emergency="latency_p99_emergency",
        unit="s",
        runbook="Predictions are late or slow",
    ),
    Quantity(
        goal="error_ratio",
        title="Errors",
        expr=errors(),
        runbook="Predictions are degraded",
    ),
    Quantity(
        goal="predictions_per_second",
        title="Throughput",
        expr=rate("thalweg_predictions_total", "1m"),
        worse="below",
        unit="ops",
        only_while=f"{WAITING} > 5",
        runbook="Lag grows",
    ),
    Quantity(
        goal="roc_auc",
        title="ROC AUC of the champion",
        expr=f"{_roc_auc('model', CHAMPION)} or {_roc_auc('served', PINNED)}",
        worse="below",
        lasts="15m",
        runbook="An accuracy alert",
    ),
    Quantity(
        goal="accuracy",
        title="Accuracy of the champion, of classes",
        expr='max by (job) ((thalweg_model_figure{figure="recent_accuracy"} and on (job, model) '
        f"thalweg_model_evaluated_outcomes >= {MIN_CLASSIFIED}) "
        f"* on (job, model) group_left () {CHAMPION})",
        worse="below",
        lasts="15m",
        of_task="multiclass",
        runbook="An accuracy alert",
    ),
    Quantity(
        goal="features_missing_ratio",
        title="Feature missing most often",
        expr="max by (job) (thalweg_features_missing_ratio)",
        runbook="A quality alert",
    ),
    Quantity(
        goal="model_age",
        title="Age of the champion",
        expr=f"max by (job) (thalweg_model_age_seconds * on (job, model) group_left () {CHAMPION})",
        unit="s",
        runbook="A model is old",
    ),
    Quantity(
        goal="quality_score",
        title="Data quality",
        expr="min by (job) (thalweg_quality_score_ratio)",
        worse="below",
        runbook="A quality alert",
    ),
)
