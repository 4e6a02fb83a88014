"""Tells that answers no longer come as the champion's twin expects: `learn` sees all outcomes.

The first prediction of each visit counts, when its label is known. If the pipeline asks for it the
twin's scores are watched here, too, of all partitions together. The detectors are a record on
`models`, the changelog of the role, written in the transaction of the batch that it looked at; with
it leaves the alert. So whoever takes over goes on where the last batch ended, to the same alerts.
"""

import logging
from collections.abc import Callable, Mapping
from datetime import timedelta
from heapq import heappop, heappush
from math import isfinite
from typing import Final

import msgspec

from agents.deployments.deployed import Deployed
from agents.kafka.batch import Batch
from agents.observability import metric_list
from agents.observability.alert_desk import AlertDesk
from agents.observability.metrics import Metrics
from agents.observability.visit_alert import visit_alert
from agents.pipeline import Pipeline
from online_models.drift import SIGNALS, DriftAlarm, Moved, VisitDrift, rest_of
from online_models.drift.answer_drift import SIGNALS_OF_ANSWERS
from online_models.twin import FrozenTwin, twin_of
from schemas.deployments import split
from schemas.errors import UNREADABLE
from schemas.outcomes import Outcome
from streams.feature_set import FeatureSet

logger = logging.getLogger(__name__)

KEY: Final = b"drift/visits"
"""Of the record on `models`; no model has such a name."""
MOST_WAITING: Final = 512
"""Visits whose labels are known before their horizon ends; of more, the oldest wait no longer."""
_PARTITION: Final = 0
"""Of `outcomes`, which has one."""
_GAUGES: Final = (
    *(metric_list.DRIFT_STATISTIC, metric_list.DRIFT_THRESHOLD),
    *(metric_list.DRIFT_MEAN, metric_list.DRIFT_REFERENCE),
)

Look = Callable[[int, Outcome], None]


class Watched(msgspec.Struct, array_like=True):
    """Detectors as they are stored, with what they watch."""

    twin: str = ""
    """Whose scores are what was expected: a twin, or the version that serves."""
    pinned_at: int = -1
    schema: str = ""
    target: str = ""
    kept_negatives: float = 1.0
    """The share of them: among fewer, more outcomes are positive."""
    detectors: bytes = b""
    waiting: list[tuple[int, float, float]] = []
    """Visits by the end of their horizon (ms), as a heap: with what was said, and the rest."""


_decode = msgspec.msgpack.Decoder(Watched).decode
_encode = msgspec.msgpack.Encoder().encode


class VisitWatch:
    """Detectors for the outcomes of all partitions in their order.

    Some labels are known at once, and others, as that nothing happened, when the horizon ends.
    Where visits rise in the morning, more of the former come beside fewer of the latter, though
    nothing changed. So all are watched when their horizon ends.

    Another twin expects other answers, and another label rule asks another question: with either
    they begin anew.

    Parameters
    ----------
    models
        Full name of the topic.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        features: FeatureSet,
        deployed: Deployed,
        desk: AlertDesk,
        metrics: Metrics,
        *,
        models: str,
    ) -> None:
        self._pipeline = pipeline
        self._features = features
        self._deployed = deployed
        self._desk = desk
        self._metrics = metrics
        self._models = models
        self._is_on: Final = pipeline.watches_answers
        self.begin(None)

    def begin(self, record: bytes | None) -> None:
        """Go on from what stands on `models`."""
        try:
            self._watched = Watched() if record is None else _decode(record)
            self._drift = self._detectors(self._watched.detectors) if self._is_on else None
        except UNREADABLE as error:  # another release wrote it
            logger.warning("what is known of visits is forgotten: %s", error)
            self.begin(None)
        self._alarms: list[tuple[int, Outcome, Moved, DriftAlarm]] = []
        self._is_news = False

    def no_longer_ours(self) -> None:
        """Stop telling of what another worker watches now."""
        self.begin(None)
        for spec in _GAUGES:
            for signal in (*SIGNALS, *SIGNALS_OF_ANSWERS):
                self._metrics.remove(spec, partition=_PARTITION, signal=signal)

    def watching(self, twins: Mapping[str, FrozenTwin]) -> Look:
        """Tell what to do with each outcome of a batch that begins."""
        champion = self._deployed.roles.champion
        name, version = split(champion)
        twin = twins.get(twin_of(champion))
        if self._drift is None or (version is None and twin is None):
            return lambda offset, outcome: None
        if version is None and twin is not None:
            self._begin_anew(twin.name, twin.pinned_at)
        else:
            self._begin_anew(champion, -1)
        drift, watched, names = self._drift, self._watched, self._features.names
        horizon_ms = self._pipeline.label.horizon // timedelta(milliseconds=1)
        waiting = watched.waiting

        def look(offset: int, outcome: Outcome) -> None:
            label = outcome.label
            if not outcome.begins_visit or outcome.judged == 0.0 or label is None:
                return
            if (outcome.schema, outcome.target) != (watched.schema, watched.target):
                return
            score, named = outcome.score, None
            if version is None and twin is not None:
                scorer = twin.scorer
                if len(outcome.features) != len(names):
                    return
                score = scorer.score(dict(zip(names, outcome.features, strict=True)))
                if scorer.degraded_reason is not None:
                    return
                named = getattr(scorer, "prediction", None)
            elif (outcome.model, outcome.model_version) != (name, version):
                return  # it is frozen: what it said then is what it would say
            rest = rest_of(label, score, named)
            if rest is None or not isfinite(rest):
                return
            self._is_news = True
            heappush(waiting, (outcome.event_at + horizon_ms, score, rest))
            while waiting and (waiting[0][0] <= outcome.labelled_at or len(waiting) > MOST_WAITING):
                end_ms, score, rest = heappop(waiting)
                for moved, alarm in drift.update(score, rest, end_ms - horizon_ms):
                    self._alarms.append((offset, outcome, moved, alarm))

        return look

    def settle(self, batch: Batch, now_ms: int) -> None:
        """Tell what moved, and write down what is known."""
        drift, alarms = self._drift, self._alarms
        if drift is None or not self._is_news:
            return
        self._is_news, self._alarms = False, []
        is_silenced = self._desk.silence("drift", now_ms) is not None
        for offset, outcome, moved, alarm in alarms:
            alert = visit_alert(
                alarm,
                moved,
                outcome,
                use_case=self._pipeline.use_case,
                twin=self._watched.twin,
                offset=offset,
                raised_at=now_ms,
            )
            logger.warning("%s moved, by what %s says of visits", moved, self._watched.twin)
            self._desk.emit(batch, alert)
            labels = {"partition": _PARTITION, "signal": alarm.signal}
            self._metrics.counter(metric_list.DRIFT_ALARMS, **labels).inc(not is_silenced)
        self._watched.detectors = drift.encode()
        batch.emit(self._models, _encode(self._watched), KEY, partition=0)
        for (signal, statistic, recent, reference), threshold in drift.standings():
            labels = {"partition": _PARTITION, "signal": signal}
            for spec, value in zip(_GAUGES, (statistic, threshold, recent, reference), strict=True):
                self._metrics.gauge(spec, **labels).set(value)
            self._metrics.counter(metric_list.DRIFT_ALARMS, **labels)

    def _begin_anew(self, twin: str, pinned_at: int) -> None:
        """Forget what was, if it was of something else."""
        label = self._pipeline.label
        now = Watched(*(twin, pinned_at, self._features.schema, label.target, label.keep_negatives))
        was = self._watched
        if msgspec.structs.replace(was, detectors=b"", waiting=[]) == now:
            return
        if self._drift is not None and self._drift.n:
            self._is_news = True  # whoever takes over is to forget it, too
            reason = "model" if was.schema == now.schema else "schema"
            self._metrics.counter(
                metric_list.DRIFT_RESETS, partition=_PARTITION, reason=reason
            ).inc()
        self._watched, self._drift = now, self._detectors(b"")

    def _detectors(self, encoded: bytes) -> VisitDrift:
        policy, of_scores = self._pipeline.drift, None
        if self._pipeline.watches_together:
            of_scores = policy.of_scores(1, beside_answers=True)
        lengths, warmup = (policy.of_answers(), of_scores), policy.warmup_scores
        if not encoded:
            return VisitDrift(*lengths, warmup=warmup)
        return VisitDrift.decode(encoded, *lengths, warmup=warmup)
