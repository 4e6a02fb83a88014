"""What the outcomes of the latest predictions will say, before they are known."""

from collections import deque
from collections.abc import Iterable, Sequence
from math import sqrt
from typing import Final

import msgspec
from confluent_kafka import Message

from agents.observability import metric_list
from agents.observability.judged_outcomes import JudgedOutcome
from agents.observability.metrics import Metrics
from online_models.accuracy import DESIGN_EFFECT
from online_models.calibration import Reliability
from online_models.estimated_quality import estimate
from online_models.prequential import WINDOW
from online_models.standard_error import CONFIDENCE_Z, MIN_PER_LABEL, roc_auc_error
from schemas.errors import UNREADABLE

MIN_OUTCOMES: Final = WINDOW
"""Fewer do not tell what scores are worth."""


class _Scored(msgspec.Struct):
    """What the estimate needs of a prediction."""

    score: float
    source: str
    model: str


_decode_scored = msgspec.json.Decoder(_Scored).decode


class EstimatedAccuracy:
    """Holds the latest scores of each model against what its scores were worth.

    Begins anew with the process, and says nothing before `MIN_OUTCOMES` outcomes of a model.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._reliability: dict[str, Reliability] = {}
        self._scores: deque[tuple[str, float]] = deque(maxlen=WINDOW)

    def outcomes(self, outcomes: Iterable[JudgedOutcome]) -> None:
        """Learn from outcomes what scores are worth."""
        for judged in outcomes:
            if judged.judged > 0.0 and judged.model_version:
                reliability = self._reliability.setdefault(judged.model, Reliability())
                reliability.update(judged.label, judged.score, judged.judged)

    def predictions(self, records: Sequence[Message]) -> None:
        """Take the latest scores that a model gave; what is no prediction is passed over."""
        for record in records[-WINDOW:]:
            try:
                scored = _decode_scored(record.value() or b"")
            except UNREADABLE:
                continue
            if scored.source in ("model", "ensemble"):
                self._scores.append((scored.model, scored.score))

    def tell(self) -> None:
        """Set the metrics of each model among the latest predictions, and of no other."""
        gauge = self._metrics.gauge
        specs = (
            *(metric_list.MODEL_ESTIMATED_ROC_AUC, metric_list.MODEL_ESTIMATED_MARGIN),
            *(metric_list.MODEL_ESTIMATED_LOG_LOSS, metric_list.MODEL_ESTIMATED_POSITIVES),
        )
        for spec in specs:
            self._metrics.remove(spec)
        for model in {model for model, _ in self._scores}:
            reliability = self._reliability.get(model)
            if reliability is None or reliability.n < MIN_OUTCOMES:
                continue
            scores = [score for whose, score in self._scores if whose == model]
            found = estimate(scores, reliability.calibration())
            positives, negatives = round(found.positives), round(found.negatives)
            gauge(metric_list.MODEL_ESTIMATED_LOG_LOSS, model=model).set(found.log_loss)
            gauge(metric_list.MODEL_ESTIMATED_POSITIVES, model=model).set(
                found.positives / len(scores)
            )
            if min(positives, negatives) >= MIN_PER_LABEL:
                error = sqrt(DESIGN_EFFECT) * roc_auc_error(found.roc_auc, positives, negatives)
                gauge(metric_list.MODEL_ESTIMATED_ROC_AUC, model=model).set(found.roc_auc)
                gauge(metric_list.MODEL_ESTIMATED_MARGIN, model=model).set(CONFIDENCE_Z * error)
