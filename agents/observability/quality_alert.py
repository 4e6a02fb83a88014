"""From what predict counts to a score, and from a change of level to the alert that people read."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from msgspec import inspect
from msgspec.structs import replace

from agents.observability import metric_list
from agents.observability.instruments import sample_name
from agents.observability.metrics import Metrics
from agents.observability.quality import (
    MISSING_FEATURES,
    SCORE,
    QualityChange,
    QualityLevels,
    Share,
    Signal,
    shares,
    tolerance_of,
)
from agents.observability.runbooks import RUNBOOKS
from agents.pipeline import Pipeline
from schemas.alerts import Alert
from schemas.cloudevents import rfc3339
from schemas.reasons import Reason
from schemas.telemetry import Telemetry
from streams.quality import OF_FIELDS, RECORD, QualityJudge, Tally, Where
from streams.quality_window import QualityWindow

WORST: Final = 5
"""How many findings, or features, the evidence of a whole names."""
PIDS: Final = 4
"""Processes of one name that are told apart: one that stood still may have a last word."""


class QualityWatch:
    """Holds the latest events of all predict processes against what the pipeline expects.

    What a process counted before it was first heard of is left out: when that was is unknown.
    Memory is bounded by the window, the fields and the names of processes.

    Parameters
    ----------
    metrics
        Where the score and the shares are told.
    """

    def __init__(self, pipeline: Pipeline, metrics: Metrics) -> None:
        self._pipeline = pipeline
        self._metrics = metrics
        judge = QualityJudge(pipeline.quality, pipeline.event, pipeline.features)
        self._expectations = judge.expectations
        self._features = judge.features
        self._reader = _SampleReader(pipeline, judge)
        self._last: dict[str, dict[int, Telemetry]] = {}
        """Process -> the last that it said, of its samples what is about quality."""
        self._window = QualityWindow(pipeline.quality_window)
        self._levels = QualityLevels()
        self._told: set[Signal] = set()

    def begin(self, standing: Iterable[Alert]) -> None:
        """Go on from what was told last: what is over by now is told to be over."""
        for alert in standing:
            signal = Signal.read(alert.signal)
            self._levels.raised[signal] = alert.level
            self._told.add(signal)

    def fold(self, telemetry: Telemetry) -> list[Alert]:
        """Take in what a process says; few have anything to say about this."""
        tally = self._increase(telemetry)
        if tally is None or not tally.events:
            return []
        self._window.add(tally, telemetry.at)
        readings = self._readings(self._window.tally)
        self._tell(readings)
        changes = self._levels.update(readings.items())
        return [self._alert(change, telemetry.at) for change in changes]

    def _increase(self, telemetry: Telemetry) -> Tally | None:
        """Tell what a process counted since its last record."""
        counts = self._reader.counts(telemetry.samples)
        processes = self._last.setdefault(telemetry.process, {})
        last = processes.get(telemetry.pid)
        if not counts or (last is not None and telemetry.at < last.at):
            return None  # what is told again is known
        is_known = bool(processes)
        processes[telemetry.pid] = replace(telemetry, samples=counts, exemplars={})
        if len(processes) > PIDS:
            del processes[next(iter(processes))]
        if last is None:
            # A successor counts from zero; of who was there before us nobody knows what is new.
            before = {} if is_known else counts
        else:
            before = last.samples
            # In containers a successor has the same pid.
            if any(n < before.get(name, 0.0) for name, n in counts.items()):
                before = {}
        increases = {name: n - before.get(name, 0.0) for name, n in counts.items()}
        return self._reader.tally(increases, telemetry.exemplars)

    def _readings(self, tally: Tally) -> dict[Signal, Share]:
        readings = dict(shares(tally, self._expectations, len(self._features)))
        for signal in self._told - readings.keys():
            # Out of the window by now: none of so many.
            tolerance = tolerance_of(signal.field, self._expectations)
            readings[signal] = Share(0, tally.events, tally.events, tolerance)
        return readings

    def _tell(self, readings: Mapping[Signal, Share]) -> None:
        gauge, use_case, tally = self._metrics.gauge, self._pipeline.use_case, self._window.tally
        for signal, share in readings.items():
            if signal.finding == SCORE:
                gauge(metric_list.QUALITY_SCORE, use_case=use_case).set(1 - share.rate)
            elif signal.finding != MISSING_FEATURES:
                labels = {"field": signal.field, "finding": signal.finding, "use_case": use_case}
                gauge(metric_list.QUALITY_FINDING_RATIO, **labels).set(share.rate)
                self._told.add(signal)
        for name in self._expectations:
            ratio = _ratio(tally.nulls.get(name, 0), tally.checks.get(name, 0))
            gauge(metric_list.QUALITY_NULL_RATIO, field=name, use_case=use_case).set(ratio)
        for name in self._features:
            ratio = _ratio(tally.missing.get(name, 0), tally.served)
            gauge(metric_list.FEATURES_MISSING_RATIO, feature=name, use_case=use_case).set(ratio)

    def _alert(self, change: QualityChange, raised_at: int) -> Alert:
        """Tell people about a change of level, with what it rests on.

        Its id follows from the telemetry, so the same change told twice has one id.
        """
        signal, share, use_case = change.signal, change.share, self._pipeline.use_case
        is_score = signal.finding == SCORE
        return Alert(
            alert_id=f"quality-{use_case}-{signal}-{raised_at}-{change.level}",
            kind="quality",
            level=change.level,
            use_case=use_case,
            signal=str(signal),
            value=1 - share.rate if is_score else share.rate,
            threshold=1 - change.line if is_score else change.line,
            raised_at=raised_at,
            evidence={
                "level_before": change.before,
                "since": rfc3339(self._since_ms(change)).decode(),
                "found": share.bad,
                "of": share.of,
                "events": self._window.tally.events,
                **self._details(signal),
            },
            runbook=RUNBOOKS["quality"],
        )

    def _since_ms(self, change: QualityChange) -> int:
        """Find when the signal began to be as it is now."""
        line = change.share.tolerance / 2
        n_features = len(self._features)

        def is_so(tally: Tally) -> bool:
            share = dict(shares(tally, self._expectations, n_features)).get(change.signal)
            return (share is not None and share.rate > line) == (change.level != "normal")

        return self._window.since_ms(is_so)

    def _details(self, signal: Signal) -> dict[str, Any]:
        """Tell what a finding is about: values, or what is worst of a whole."""
        tally = self._window.tally
        if signal.finding == MISSING_FEATURES:
            rates = {name: _ratio(n, tally.served) for name, n in tally.missing.items()}
            return {"worst": _worst(rates)}
        if signal.finding == SCORE:
            read = shares(tally, self._expectations, 0)
            rates = {str(each): share.rate for each, share in read if each != signal}
            return {"worst": _worst(rates)}
        if signal.field == RECORD and not tally.exemplars.get(signal):
            return {}
        values = sorted(tally.exemplars.get(signal, {}).items(), key=lambda item: -item[1])
        return {"field": signal.field, "finding": signal.finding, "values": dict(values)}


class _SampleReader:
    """Finds what predict counts among the samples of a process."""

    def __init__(self, pipeline: Pipeline, judge: QualityJudge) -> None:
        self._served = metric_list.PREDICTIONS.name
        self._duplicates = metric_list.DUPLICATES.name
        self._late = metric_list.LATE_EVENTS.name
        self._checks = _by_sample(metric_list.QUALITY_CHECKS.name, "field", judge.expectations)
        self._nulls = _by_sample(metric_list.QUALITY_NULLS.name, "field", judge.expectations)
        self._missing = _by_sample(metric_list.FEATURES_MISSING.name, "feature", judge.features)
        described = inspect.type_info(pipeline.event)
        assert isinstance(described, inspect.StructType)  # noqa: S101 - for the type checker
        name = metric_list.QUALITY_FINDINGS.name
        self._found: dict[str, Where] = {
            sample_name(name, (("field", field), ("finding", finding))): (field, finding)
            for field in (RECORD, *(f.name for f in described.fields))
            for finding in map(str, (*OF_FIELDS, *Reason))
        }
        self._names = {
            *(self._served, self._duplicates, self._late),
            *(self._checks | self._nulls | self._missing | self._found),
        }

    def counts(self, samples: Mapping[str, float]) -> dict[str, float]:
        """Select what is about quality."""
        if self._served not in samples:
            return {}
        return {name: samples[name] for name in self._names & samples.keys()}

    def tally(self, counts: Mapping[str, float], exemplars: Mapping[str, dict[str, int]]) -> Tally:
        """Read counts as the tally they came of."""

        def of(names: Mapping[str, Any]) -> dict[Any, int]:
            found = ((key, int(counts.get(name, 0))) for name, key in names.items())
            return {key: n for key, n in found if n}

        return Tally(
            int(counts[self._served]),
            int(counts.get(self._duplicates, 0)),
            int(counts.get(self._late, 0)),
            of(self._checks),
            of(self._nulls),
            of(self._found),
            of(self._missing),
            {where: exemplars[name] for name, where in self._found.items() if name in exemplars},
        )


def _by_sample(metric: str, label: str, values: Iterable[str]) -> dict[str, str]:
    return {sample_name(metric, ((label, value),)): value for value in values}


def _ratio(n: int, of: int) -> float:
    return n / of if of else 0.0


def _worst(rates: Mapping[str, float]) -> dict[str, float]:
    ordered = sorted(((name, rate) for name, rate in rates.items() if rate), key=lambda x: -x[1])
    return dict(ordered[:WORST])
