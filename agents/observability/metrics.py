"""All metrics of one process: made once, served to Prometheus, readable as samples."""

import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeVar

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from agents.observability import metric_list
from agents.observability.instruments import Counter, Gauge, Histogram, Labels
from agents.observability.metric_spec import CounterSpec, GaugeSpec, HistogramSpec, MetricSpec
from streams.frequent import Summary

Instrument = Counter | Gauge | Histogram
_InstrumentT = TypeVar("_InstrumentT", Counter, Gauge, Histogram)
_SpecT = TypeVar("_SpecT", bound=MetricSpec)

_FAMILIES: Final[Mapping[str, Callable[..., Any]]] = {
    "counter": CounterMetricFamily,
    "gauge": GaugeMetricFamily,
    "histogram": HistogramMetricFamily,
}


class Metrics:
    """The instruments of one process, on a Prometheus registry of their own.

    Finding an instrument is not for the hot path: keep it. A label's value may be anything that
    prints; how many there are is bounded by whoever chooses them (no user ids).

    >>> metrics = Metrics()
    >>> events = metrics.counter(metric_list.EVENTS, topic="user-events")
    >>> events.inc(500)
    >>> metrics.samples()
    {'thalweg_events_total{topic="user-events"}': 500.0}
    """

    def __init__(self) -> None:
        self._instruments: dict[MetricSpec, dict[Labels, Instrument]] = {}
        self.registry = CollectorRegistry()
        self.registry.register(self)
        ProcessCollector(registry=self.registry)

    def counter(self, spec: CounterSpec, **labels: object) -> Counter:
        """Find or make a counter."""
        return self._find(Counter, spec, labels)

    def gauge(self, spec: GaugeSpec, **labels: object) -> Gauge:
        """Find or make a gauge."""
        return self._find(Gauge, spec, labels)

    def histogram(self, spec: HistogramSpec, **labels: object) -> Histogram:
        """Find or make a histogram."""
        return self._find(Histogram, spec, labels)

    def remove(self, spec: MetricSpec, **labels: object) -> None:
        """Forget what is no longer ours to tell, such as the drift of a revoked partition.

        Labels that are not given may have any value.

        >>> metrics = Metrics()
        >>> for topic in ("user-events", "labels"):
        ...     metrics.counter(metric_list.EVENTS, topic=topic).inc()
        >>> metrics.remove(metric_list.EVENTS, topic="labels")
        >>> metrics.samples()
        {'thalweg_events_total{topic="user-events"}': 1.0}
        >>> metrics.remove(metric_list.EVENTS)
        >>> metrics.samples()
        {}
        """
        if unknown := labels.keys() - set(spec.labels):
            raise ValueError(f"{spec.name} has the labels {spec.labels}, not {sorted(unknown)}")
        wanted = {(label, str(value)) for label, value in labels.items()}
        instruments = self._instruments.get(spec, {})
        for found in [each for each in instruments if wanted <= set(each)]:
            del instruments[found]

    def samples(self) -> dict[str, float]:
        """Tell all samples, named as Prometheus names them."""
        return {
            name: value for _, _, instrument in self._all() for name, value in instrument.samples()
        }

    def take_exemplars(self) -> dict[str, Summary]:
        """Tell, by sample, examples of what was counted since this was asked last."""
        taken: dict[str, Summary] = {}
        for _, _, instrument in self._all():
            if isinstance(instrument, Counter) and instrument.exemplars:
                taken[instrument.name] = instrument.exemplars
                instrument.exemplars = {}
        return taken

    def collect(self) -> Iterator[Metric]:
        """Tell all metrics to the registry, which asks at each scrape."""
        families: dict[str, Any] = {}
        for spec, labels, instrument in self._all():
            family = families.get(spec.name)
            if family is None:
                make = _FAMILIES[spec.kind]
                family = families[spec.name] = make(spec.name, spec.meaning, labels=spec.labels)
            values = [value for _, value in labels]
            if isinstance(instrument, Histogram):
                buckets = list(zip(instrument.les, instrument.cumulative(), strict=True))
                family.add_metric(values, buckets, instrument.sum)
            elif instrument.value is not None:
                family.add_metric(values, instrument.value)
        yield from families.values()

    def _find(
        self,
        make: Callable[[_SpecT, Labels], _InstrumentT],
        spec: _SpecT,
        labels: Mapping[str, object],
    ) -> _InstrumentT:
        ordered = _in_order(spec, labels)
        instruments = self._instruments.setdefault(spec, {})
        if ordered not in instruments:
            instruments[ordered] = make(spec, ordered)
        return instruments[ordered]  # type: ignore[return-value]  # a spec has one kind

    def _all(self) -> Iterator[tuple[MetricSpec, Labels, Instrument]]:
        # Copies, because other threads may add instruments while one reads.
        for spec, instruments in list(self._instruments.items()):
            for labels, instrument in list(instruments.items()):
                yield spec, labels, instrument


def _in_order(spec: MetricSpec, labels: Mapping[str, object]) -> Labels:
    if labels.keys() != set(spec.labels):
        raise ValueError(f"{spec.name} has the labels {spec.labels}, not {tuple(labels)}")
    return tuple((name, str(labels[name])) for name in spec.labels)


if __name__ == "__main__":
    sys.stdout.write(metric_list.markdown())
