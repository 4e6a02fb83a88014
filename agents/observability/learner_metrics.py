"""What the learn role tells of its models."""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from agents.observability import metric_list
from agents.observability.metrics import Metrics
from online_models.learner import Learner
from online_models.levels import LEVELS
from online_models.prequential import Prequential
from online_models.progress import Evaluation
from schemas.alerts import Level
from schemas.outcomes import Outcome

logger = logging.getLogger(__name__)

_OF_THE_LEARNERS: Final = (
    *(metric_list.MODEL_EVALUATED, metric_list.MODEL_UNJUDGED, metric_list.MODEL_SKIPPED),
    *(metric_list.MODEL_ROC_AUC, metric_list.MODEL_LOG_LOSS, metric_list.MODEL_WINDOW_ROC_AUC),
    *(metric_list.MODEL_WINDOW_LOG_LOSS, metric_list.MODEL_WINDOW_OUTCOMES),
    *(metric_list.MODEL_FIGURE, metric_list.MODEL_LAG, metric_list.MODEL_UNWEIGHTED),
    metric_list.MODEL_ACCURACY_LEVEL,
    *(metric_list.SNAPSHOT_BYTES, metric_list.SNAPSHOT_WRITE_SECONDS),
)
"""Gauges that are true only of who has the learners."""


_FIGURES: Final = {
    "roc_auc": metric_list.MODEL_ROC_AUC,
    "log_loss": metric_list.MODEL_LOG_LOSS,
    "recent_roc_auc": metric_list.MODEL_WINDOW_ROC_AUC,
    "recent_log_loss": metric_list.MODEL_WINDOW_LOG_LOSS,
}
"""Those that have a metric of their own."""


class LearnerMetrics:
    """Prequential figures of each model, beside those of the two baselines."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._n_learned: dict[str, int] = {}
        self._version = ""
        """The version whose level is told."""
        self._delays = metrics.histogram(metric_list.LABEL_DELAY_SECONDS)

    def tell(self, learners: Iterable[Learner]) -> None:
        """Set all figures."""
        for learner in learners:
            name = learner.model
            counter = self._metrics.counter(metric_list.MODEL_LEARNED, model=name)
            # Fewer than before when the learner was restored: what was not committed is gone.
            counter.inc(max(0, learner.n_learned - self._n_learned.get(name, 0)))
            self._n_learned[name] = learner.n_learned
            self._evaluated(name, learner.prequential)
            unjudged = self._metrics.gauge(metric_list.MODEL_UNJUDGED, model=name)
            unjudged.set(learner.progress.n_unjudged)
            skipped = self._metrics.gauge(metric_list.MODEL_SKIPPED, model=name)
            if learner.failure is not None and skipped.value != learner.progress.n_skipped:
                logger.error("%s does not learn what makes it raise: %s", name, learner.failure)
            skipped.set(learner.progress.n_skipped)
            unweighted = self._metrics.gauge(metric_list.MODEL_UNWEIGHTED, model=name)
            unweighted.set(learner.progress.n_unweighted)
            level = self._metrics.gauge(metric_list.MODEL_ACCURACY_LEVEL, model=name)
            level.set(LEVELS.index(learner.progress.accuracy.level))
            # The baselines see the same outcomes with every learner: any learner's will do.
            self._evaluated(metric_list.BASELINE_RATE, learner.progress.base_rate)
            self._evaluated(metric_list.BASELINE_LAST_CLASS, learner.progress.last_class)

    def version_level(self, reference: str, level: Level) -> None:
        """Tell the level of a version that serves; that of a model its learner has."""
        if reference != self._version:
            if self._version:
                self._metrics.remove(metric_list.MODEL_ACCURACY_LEVEL, model=self._version)
            self._version = reference if "@" in reference else ""
        if self._version:
            gauge = self._metrics.gauge(metric_list.MODEL_ACCURACY_LEVEL, model=self._version)
            gauge.set(LEVELS.index(level))

    def known(self, outcomes: Sequence[Outcome]) -> None:
        """Measure how late labels are: those that count, once each."""
        # One that revises was known before, and one that was only assumed is not known yet.
        known = [each.labelled_at - each.event_at for each in outcomes if each.judged > 0]
        self._delays.observe_many([delay_ms / 1000 for delay_ms in known])

    def lags(self, offsets: Mapping[str, int]) -> None:
        """Tell how much of the log each model lacks."""
        for model, lag in offsets.items():
            self._metrics.gauge(metric_list.MODEL_LAG, model=model).set(lag)

    def no_longer_ours(self) -> None:
        """Stop telling of models that another worker teaches now.

        Beside its figures ours would be those of another, worse or better model.
        """
        for spec in _OF_THE_LEARNERS:
            self._metrics.remove(spec)

    def published(self, model: str, n_bytes: int, took_s: float) -> None:
        """Note a snapshot that is on its way."""
        self._metrics.counter(metric_list.SNAPSHOTS, model=model, result="published").inc()
        self._metrics.gauge(metric_list.SNAPSHOT_BYTES, model=model).set(n_bytes)
        self._metrics.gauge(metric_list.SNAPSHOT_WRITE_SECONDS, model=model).set(took_s)

    def refused(self, model: str, reason: str) -> None:
        """Note a snapshot that cannot be gone on from; its model learns the log anew."""
        logger.warning("cannot go on from the snapshot of %s: %s", model, reason)
        self._metrics.counter(metric_list.SNAPSHOTS, model=model, result="refused").inc()

    def too_large(self, model: str, n_bytes: int) -> None:
        """Note a snapshot that the topic does not take; the last one stays in service."""
        logger.error("the snapshot of %s has %d bytes, more than `models` takes", model, n_bytes)
        self._metrics.counter(metric_list.SNAPSHOTS, model=model, result="too_large").inc()

    def _evaluated(self, name: str, evaluation: Evaluation) -> None:
        gauge = self._metrics.gauge
        gauge(metric_list.MODEL_EVALUATED, model=name).set(evaluation.n)
        for figure, value in evaluation.figures().items():
            if (spec := _FIGURES.get(figure)) is not None:
                gauge(spec, model=name).set(value)
            else:
                gauge(metric_list.MODEL_FIGURE, figure=figure, model=name).set(value)
        if isinstance(evaluation, Prequential):
            positives = sum(label for label, _ in evaluation.ring)
            in_window = metric_list.MODEL_WINDOW_OUTCOMES
            gauge(in_window, model=name, label="true").set(positives)
            gauge(in_window, model=name, label="false").set(len(evaluation.ring) - positives)
