"""How good answers were as they were served, by who gave them: an ensemble, a segment's model."""

from collections.abc import Iterable
from math import isnan
from typing import Final

from agents.observability import metric_list
from agents.observability.judged_outcomes import JudgedOutcome
from agents.observability.metrics import Metrics
from online_models.prequential import Prequential

MOST_MODELS: Final = 20
"""Who answered last are remembered; more than a pipeline ever has."""

_OUTCOMES: Final = metric_list.SERVED_WINDOW_OUTCOMES


class ServedAccuracy:
    """Judges the scores of outcomes as they were served, by the `model` of the prediction.

    `learn` judges every model on all outcomes, which compares them. Here each is judged on those
    events that it answered: the only figures of an ensemble, and what a segment's model was worth
    there. Begins anew with the process.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._by_model: dict[str, Prequential] = {}
        self._told: set[str] = set()

    def outcomes(self, outcomes: Iterable[JudgedOutcome]) -> None:
        """Judge outcomes."""
        for served in outcomes:
            if served.judged > 0.0 and served.model_version:
                found = self._by_model.pop(served.model, None) or Prequential()
                self._by_model[served.model] = found  # the last to answer stands last
                found.update(served.label, served.score, served.judged)
        while len(self._by_model) > MOST_MODELS:
            del self._by_model[next(iter(self._by_model))]

    def tell(self) -> None:
        """Set the metrics of all who answered."""
        for model in self._told - self._by_model.keys():
            for spec in (metric_list.SERVED_WINDOW_ROC_AUC, metric_list.SERVED_WINDOW_LOG_LOSS):
                self._metrics.remove(spec, model=model)
            for label in ("true", "false"):
                self._metrics.remove(_OUTCOMES, label=label, model=model)
        self._told = set(self._by_model)
        for model, found in self._by_model.items():
            loss = self._metrics.gauge(metric_list.SERVED_WINDOW_LOG_LOSS, model=model)
            loss.set(found.recent_log_loss)
            if not isnan(roc_auc := found.recent_roc_auc):
                self._metrics.gauge(metric_list.SERVED_WINDOW_ROC_AUC, model=model).set(roc_auc)
            positives = sum(label for label, _ in found.ring)
            counts = (("true", positives), ("false", len(found.ring) - positives))
            for label, n in counts:
                self._metrics.gauge(_OUTCOMES, label=label, model=model).set(n)
