"""What the predict role tells; instruments are found once, and told per batch where possible."""

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from agents.observability import metric_list
from agents.observability.metrics import Metrics
from agents.prediction.degraded import REASONS
from agents.prediction.spilled_states import SpillCounts
from online_models.drift import ScoreDrift, TwinAlarm
from schemas import topics
from schemas.labels import LabelType, LabelValue
from streams.fates import Fates
from streams.feature_defaults import DefaultCounter
from streams.quality import QualityJudge, Tally


class PredictMetrics:
    """Counts and measures of the predict role."""

    def __init__(
        self,
        metrics: Metrics,
        challengers: Sequence[str],
        quality: QualityJudge,
        defaults: DefaultCounter,
        *,
        says: LabelType = bool,
        are_probabilities: bool = True,
    ) -> None:
        self._metrics = metrics
        counter = metrics.counter
        self._events = counter(metric_list.EVENTS, topic=topics.USER_EVENTS.name)
        self._labels = counter(metric_list.EVENTS, topic=topics.LABELS.name)
        self._predictions = counter(metric_list.PREDICTIONS)
        self._duplicates = counter(metric_list.DUPLICATES)
        self._late = counter(metric_list.LATE_EVENTS)
        self._scores = metrics.histogram(metric_list.SCORES)
        self._are_probabilities = are_probabilities
        self._seconds = metrics.histogram(metric_list.PROCESSING_SECONDS)
        self._sizes = metrics.histogram(metric_list.BATCH_RECORDS)
        # Told from the start, as reasons are below.
        for label in _labels_of(says):
            counter(metric_list.OUTCOMES, label=label)
        # Told from the start: what appears with its first reason has not grown, to Prometheus.
        self._degraded = {
            reason: counter(metric_list.DEGRADED, reason=reason) for reason in REASONS
        }
        self._reviews = counter(metric_list.REVIEWS_QUEUED)
        self._bad_traceparents = counter(metric_list.BAD_TRACEPARENTS)
        self._checks = {
            name: counter(metric_list.QUALITY_CHECKS, field=name) for name in quality.expectations
        }
        self._nulls = {
            name: counter(metric_list.QUALITY_NULLS, field=name) for name in quality.expectations
        }
        self._missing = {
            name: counter(metric_list.FEATURES_MISSING, feature=name) for name in quality.features
        }
        self._count_defaults = defaults.count
        self._defaults = {
            name: counter(metric_list.FEATURES_DEFAULT, feature=name) for name in defaults.names
        }
        self._challengers = {
            name: metrics.histogram(metric_list.CHALLENGER_SCORE_SECONDS, model=name)
            for name in challengers
        }

    def events(self, n: int) -> None:
        """Count a batch of events."""
        self._events.inc(n)
        self._sizes.observe(n)

    def predicted(self, scores: Sequence[float], n_duplicates: int, n_late: int) -> None:
        """Count what came of the events of a batch, or of a part of it."""
        self._predictions.inc(len(scores))
        self._duplicates.inc(n_duplicates)
        self._late.inc(n_late)
        if self._are_probabilities:
            self._scores.observe_many(scores)

    def served(self, features: Sequence[Mapping[str, float]]) -> None:
        """Count which features of a batch, or of a part of it, stood at their defaults."""
        for name, n in self._count_defaults(features).items():
            self._defaults[name].inc(n)

    def quality(self, tally: Tally) -> None:
        """Count what the events of a batch, or of a part of it, had of findings."""
        for name, n in tally.checks.items():
            self._checks[name].inc(n)
        for name, n in tally.nulls.items():
            self._nulls[name].inc(n)
        for name, n in tally.missing.items():
            self._missing[name].inc(n)
        for (name, finding), n in tally.found.items():
            labels = {"field": name, "finding": finding}
            self._metrics.counter(metric_list.QUALITY_FINDINGS, **labels).inc(n)
        for (name, finding), summary in tally.exemplars.items():
            labels = {"field": name, "finding": finding}
            self._metrics.counter(metric_list.QUALITY_FINDINGS, **labels).exemplify(summary)

    def labels(self, n: int) -> None:
        """Count a batch of labels."""
        self._labels.inc(n)

    def processing(self, seconds: float) -> None:
        """Measure a batch."""
        self._seconds.observe(seconds)

    def outcomes(self, labels: Sequence[LabelValue | None]) -> None:
        """Count predictions whose labels became known."""
        for label, n in Counter(map(_label_of, labels)).items():
            # What waited may be of another label rule, which this release no longer has.
            self._metrics.counter(metric_list.OUTCOMES, label=label).inc(n)

    def degraded(self, reasons: Mapping[str, int]) -> None:
        """Count why predictions were less than the best."""
        for reason, n in reasons.items():
            self._degraded[reason].inc(n)

    def reviews(self, n: int) -> None:
        """Count decisions that people should judge."""
        self._reviews.inc(n)

    def fates(self, now: Fates, told: tuple[int, ...]) -> None:
        """Count what became of labels and predictions since this was told last."""
        values = msgspec.structs.astuple(now)
        for fate, value, before in zip(now.__struct_fields__, values, told, strict=True):
            if value != before:
                self._metrics.counter(metric_list.LABELS, fate=fate).inc(value - before)

    def crowded_out(self, n: int) -> None:
        """Count event ids that were forgotten before their time."""
        self._metrics.counter(metric_list.EVENT_IDS_CROWDED_OUT).inc(n)

    def spill(self, where: SpillCounts, *, n_reads: int, n_writes: int) -> None:
        """Tell where users' states are; count reads and writes of the disk."""
        for place, n in (("memory", where.in_memory), ("disk", where.on_disk)):
            self._metrics.gauge(metric_list.SPILL_USERS, place=place).set(n)
        self._metrics.counter(metric_list.SPILL_READS).inc(n_reads)
        self._metrics.counter(metric_list.SPILL_WRITES).inc(n_writes)

    def begun_anew(self, n: int) -> None:
        """Count users' states that could not be read."""
        self._metrics.counter(metric_list.STATES_BEGUN_ANEW).inc(n)

    def challenger(self, model: str, seconds: float) -> None:
        """Measure a challenger."""
        histogram = self._challengers.get(model)
        if histogram is None:  # it was the champion until somebody promoted another
            histogram = self._metrics.histogram(metric_list.CHALLENGER_SCORE_SECONDS, model=model)
            self._challengers[model] = histogram
        histogram.observe(seconds)

    def bad_traceparents(self, n: int) -> None:
        """Count records whose trace context was ignored."""
        self._bad_traceparents.inc(n)

    def drift_alarm(self, partition: int, found: TwinAlarm) -> None:
        """Count an alarm; that a model moves which learns is none, though it is told."""
        if found.is_of_twin:
            labels = {"partition": partition, "signal": found.alarm.signal}
            self._metrics.counter(metric_list.DRIFT_ALARMS, **labels).inc()
        level = "warning" if found.is_of_twin else "normal"
        self._metrics.counter(metric_list.ALERTS, kind="drift", level=level).inc()

    def drift_reset(self, partition: int, reason: str) -> None:
        """Count a detector that began anew, not for an alarm."""
        self._metrics.counter(metric_list.DRIFT_RESETS, partition=partition, reason=reason).inc()

    def drift(self, partition: int, drift: ScoreDrift) -> None:
        """Tell where a detector stands."""
        gauge = self._metrics.gauge
        for signal, statistic, recent, reference in drift.standings():
            labels = {"partition": partition, "signal": signal}
            gauge(metric_list.DRIFT_STATISTIC, **labels).set(statistic)
            gauge(metric_list.DRIFT_THRESHOLD, **labels).set(drift.threshold)
            gauge(metric_list.DRIFT_MEAN, **labels).set(recent)
            gauge(metric_list.DRIFT_REFERENCE, **labels).set(reference)
            self._metrics.counter(metric_list.DRIFT_ALARMS, **labels)

    def no_drift(self, partition: int) -> None:
        """Stop telling of a partition that another worker watches now, or `learn`."""
        for spec in (
            metric_list.DRIFT_STATISTIC,
            metric_list.DRIFT_THRESHOLD,
            metric_list.DRIFT_MEAN,
            metric_list.DRIFT_REFERENCE,
        ):
            self._metrics.remove(spec, partition=partition)

    def entries(self, counts: dict[str, int]) -> None:
        """Tell how much is remembered, over all partitions."""
        for table, count in counts.items():
            self._metrics.gauge(metric_list.STATE_ENTRIES, table=table).set(count)


def _labels_of(says: LabelType) -> tuple[str, ...]:
    return ("false", "true", "none") if says is bool else ("some", "none")


def _label_of(label: LabelValue | None) -> str:
    """Tell the value of the metric's label: there may be thousands of classes.

    >>> [_label_of(label) for label in (True, False, "rose", 7.5, None)]
    ['true', 'false', 'some', 'some', 'none']
    """
    if label is None:
        return "none"
    return str(label).lower() if isinstance(label, bool) else "some"
