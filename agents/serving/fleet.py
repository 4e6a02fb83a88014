"""All processes of a system, as their telemetry shows them: who lives, totals, rates, gauges."""

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from agents.observability import metric_list
from agents.observability.metric_spec import CounterSpec, GaugeSpec, HistogramSpec
from agents.serving.samples import bucket_counts, parse
from schemas.telemetry import Telemetry

SILENT_MS: Final = 5_000
"""Telemetry comes more than once a second; a process that missed six in a row is down."""
FORGET_MS: Final = 15 * 60_000
"""A process that is down for this long is no longer shown."""
RECENT_MS: Final = 60_000
"""How far back `recent_buckets` can look."""

State = Literal["ready", "starting", "down"]
Labels = Mapping[str, str]
Samples = dict[str, dict[str, float]]
"""Metric -> sample -> value."""

_CUMULATIVE: Final = frozenset(
    {spec.name for spec in metric_list.ALL if isinstance(spec, CounterSpec)}
    | {
        f"{spec.name}_{part}"
        for spec in metric_list.ALL
        if isinstance(spec, HistogramSpec)
        for part in ("bucket", "count", "sum")
    }
)


@dataclass(slots=True)
class Process:
    """The last that one process said of itself."""

    name: str
    pid: int
    at: int
    samples: Samples
    per_second: Samples = field(default_factory=dict)
    """How fast what it counts grew between its last two records."""

    def state(self, now_ms: int) -> State:
        """Tell how it is."""
        if now_ms - self.at > SILENT_MS:
            return "down"
        ready = metric_list.READY.name
        return "ready" if self.samples.get(ready) == {ready: 1} else "starting"


class Fleet:
    """Folds telemetry of many processes into figures of the whole system.

    Totals survive restarts: what a counter grew by is added up, and a new process counts from
    zero. Memory is bounded by the processes of the last quarter of an hour and their samples.

    Examples
    --------
    >>> fleet, name = Fleet(), metric_list.PREDICTIONS.name
    >>> fleet.fold(Telemetry("predict-0", pid=7, at=0, samples={name: 500.0}))
    >>> fleet.fold(Telemetry("predict-0", pid=7, at=2_000, samples={name: 700.0}))
    >>> fleet.per_second(metric_list.PREDICTIONS, now_ms=2_000)
    100.0
    >>> fleet.fold(Telemetry("predict-0", pid=8, at=3_000, samples={name: 60.0}))
    >>> fleet.total(metric_list.PREDICTIONS)
    760.0
    """

    def __init__(self) -> None:
        self.processes: dict[str, Process] = {}
        self._totals: defaultdict[str, defaultdict[str, float]] = defaultdict(
            lambda: defaultdict(float)
        )
        self._recent: deque[tuple[int, Samples]] = deque()
        """(when, what was counted since the record before)."""

    def fold(self, telemetry: Telemetry) -> None:
        """Take in a record; what is older than the process's last one is passed over."""
        before = self.processes.get(telemetry.process)
        if before is not None and telemetry.at <= before.at:
            return
        samples = _by_metric(telemetry.samples)
        process = Process(telemetry.process, telemetry.pid, telemetry.at, samples)
        if before is not None and before.pid == telemetry.pid:
            increases = _increases(samples, before.samples)
            seconds = (telemetry.at - before.at) / 1000
            process.per_second = {
                metric: {sample: grown / seconds for sample, grown in of_metric.items()}
                for metric, of_metric in increases.items()
            }
            self._recent.append((telemetry.at, increases))
        else:
            # When it counted this is unknown, so it is part of the totals alone.
            increases = _increases(samples, {})
        for metric, of_metric in increases.items():
            totals = self._totals[metric]
            for sample, grown in of_metric.items():
                totals[sample] += grown
        self.processes[telemetry.process] = process
        if samples.get(metric_list.UP.name) == {metric_list.UP.name: 0}:
            del self.processes[telemetry.process]  # it ended in good order

    def forget(self, now_ms: int) -> None:
        """Let go of what is no longer shown."""
        while self._recent and self._recent[0][0] <= now_ms - RECENT_MS:
            self._recent.popleft()
        for name, process in list(self.processes.items()):
            if now_ms - process.at > FORGET_MS:
                del self.processes[name]

    def total(self, spec: CounterSpec, **labels: str) -> float:
        """Tell what was counted since the first record we know, where the labels match."""
        return _sum(self._totals[spec.name], labels)

    def totals_by(self, spec: CounterSpec, label: str) -> dict[str, float]:
        """Tell what was counted at all, by the values of a label; the largest first."""
        totals: defaultdict[str, float] = defaultdict(float)
        for sample, total in self._totals[spec.name].items():
            if total > 0:
                totals[parse(sample).labels[label]] += total
        return dict(sorted(totals.items(), key=lambda item: -item[1]))

    def per_second(self, spec: CounterSpec, now_ms: int, **labels: str) -> float | None:
        """Tell how fast a counter grows, over the processes that live; `None` if none has it."""
        rates = [
            _sum(process.per_second[spec.name], labels)
            for process in self.alive(now_ms)
            if spec.name in process.per_second
        ]
        return sum(rates) if rates else None

    def recent_by(
        self, spec: CounterSpec, label: str, now_ms: int, *, over_ms: int
    ) -> dict[str, float]:
        """Tell what was counted over the last while, by the values of a label."""
        counted: defaultdict[str, float] = defaultdict(float)
        for at, increases in self._recent:
            if now_ms - over_ms < at <= now_ms:
                for sample, grown in increases.get(spec.name, {}).items():
                    counted[parse(sample).labels[label]] += grown
        return counted

    def recent_buckets(
        self, spec: HistogramSpec, now_ms: int, *, over_ms: int
    ) -> list[tuple[float, float]]:
        """Tell a histogram's (upper bound, count) over the last while."""
        return _buckets(
            increases.get(f"{spec.name}_bucket", {})
            for at, increases in self._recent
            if now_ms - over_ms < at <= now_ms
        )

    def buckets(self, spec: HistogramSpec, **labels: str) -> list[tuple[float, float]]:
        """Tell a histogram's (upper bound, count) since the first record we know."""
        total = self._totals[f"{spec.name}_bucket"]
        return _buckets([{s: n for s, n in total.items() if _matches(s, labels)}])

    def gauges(
        self, spec: GaugeSpec, now_ms: int, *, but: str | None = None
    ) -> list[tuple[Labels, float]]:
        """Tell where a gauge stands in the processes that live, the latest said last.

        Parameters
        ----------
        but
            A role whose processes are left out.
        """
        return [
            (parse(sample).labels, value)
            for process in sorted(self.alive(now_ms), key=lambda process: process.at)
            if process.name.rpartition("-")[0] != but
            for sample, value in process.samples.get(spec.name, {}).items()
        ]

    def alive(self, now_ms: int) -> list[Process]:
        """Tell which processes speak."""
        return [p for p in self.processes.values() if p.state(now_ms) != "down"]


def _by_metric(samples: Mapping[str, float]) -> Samples:
    grouped: defaultdict[str, dict[str, float]] = defaultdict(dict)
    for sample, value in samples.items():
        grouped[parse(sample).name][sample] = value
    return dict(grouped)


def _increases(samples: Samples, before: Samples) -> Samples:
    """Tell what cumulative samples grew by; one that shrank was started anew."""
    increases: Samples = {}
    for metric in _CUMULATIVE & samples.keys():
        past = before.get(metric, {})
        increases[metric] = {
            sample: value - past.get(sample, 0.0) if value >= past.get(sample, 0.0) else value
            for sample, value in samples[metric].items()
        }
    return increases


def _matches(sample: str, labels: Labels) -> bool:
    return labels.items() <= parse(sample).labels.items()


def _sum(of_metric: Mapping[str, float], labels: Labels) -> float:
    return sum(value for sample, value in of_metric.items() if _matches(sample, labels))


def _buckets(parts: Iterable[Mapping[str, float]]) -> list[tuple[float, float]]:
    cumulative: defaultdict[str, float] = defaultdict(float)
    for part in parts:
        for sample, count in part.items():
            cumulative[parse(sample).labels["le"]] += count
    return bucket_counts(cumulative.items())
