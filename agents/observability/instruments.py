"""What counts and measures on the hot path: bare numbers, no locks.

Each instrument has one writing thread; a reader on another thread may see a batch half counted.
"""

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import Final

from prometheus_client.utils import floatToGoString

from agents.observability.metric_spec import CounterSpec, GaugeSpec, HistogramSpec
from streams.frequent import Summary, examples

Labels = tuple[tuple[str, str], ...]
"""Names and values."""
Samples = Iterator[tuple[str, float]]

_ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def sample_name(name: str, labels: Labels) -> str:
    """Name a sample as Prometheus does.

    >>> sample_name("thalweg_hops_total", (("leg", "1"),)), sample_name("thalweg_ready", ())
    ('thalweg_hops_total{leg="1"}', 'thalweg_ready')
    """
    if not labels:
        return name
    pairs = ",".join(f'{label}="{value.translate(_ESCAPES)}"' for label, value in labels)
    return f"{name}{{{pairs}}}"


class Counter:
    """A number that only grows; perhaps with examples of what was counted last."""

    __slots__ = ("exemplars", "name", "value")

    def __init__(self, spec: CounterSpec, labels: Labels = ()) -> None:
        self.name = sample_name(spec.name, labels)
        self.value = 0.0
        self.exemplars: Summary = {}

    def exemplify(self, summary: Summary) -> None:
        """Take note of what was counted: a few texts, and how often each."""
        self.exemplars = examples(self.exemplars, summary)

    def inc(self, amount: float = 1) -> None:
        """Count."""
        self.value += amount

    def samples(self) -> Samples:
        """Tell the value under its name."""
        yield self.name, self.value


class Gauge:
    """A number that stands where it was last set.

    There is no sample before that, nor while it is no finite number: telemetry is JSON.
    """

    __slots__ = ("name", "value")

    def __init__(self, spec: GaugeSpec, labels: Labels = ()) -> None:
        self.name = sample_name(spec.name, labels)
        self.value: float | None = None

    def set(self, value: float) -> None:
        """Put it there."""
        self.value = value if math.isfinite(value) else None

    def samples(self) -> Samples:
        """Tell the value under its name, if there is one."""
        if self.value is not None:
            yield self.name, self.value


class Histogram:
    """Values counted by size.

    >>> spec = HistogramSpec("thalweg_size_bytes", "bytes", "Sizes.", buckets=(1, 10))
    >>> sizes = Histogram(spec)
    >>> sizes.observe_many([0.5, 1, 7, 99])
    >>> for name, value in sizes.samples():
    ...     print(name, value)
    thalweg_size_bytes_bucket{le="1.0"} 2
    thalweg_size_bytes_bucket{le="10.0"} 3
    thalweg_size_bytes_bucket{le="+Inf"} 4
    thalweg_size_bytes_count 4
    thalweg_size_bytes_sum 107.5
    """

    __slots__ = ("bounds", "counts", "les", "names", "sum")

    def __init__(self, spec: HistogramSpec, labels: Labels = ()) -> None:
        self.bounds = spec.buckets
        bounds = (*spec.buckets, math.inf)
        self.les: list[str] = [floatToGoString(bound) for bound in bounds]  # type: ignore[no-untyped-call]
        self.counts = [0] * len(self.les)
        """Values in each bucket alone; the last bucket is all that is above every bound."""
        self.sum = 0.0
        self.names = [
            *(sample_name(f"{spec.name}_bucket", (("le", le), *labels)) for le in self.les),
            sample_name(f"{spec.name}_count", labels),
            sample_name(f"{spec.name}_sum", labels),
        ]

    def observe(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def observe_many(self, values: Sequence[float]) -> None:
        """Count a batch of values."""
        bounds, counts = self.bounds, self.counts
        for value in values:
            counts[bisect_left(bounds, value)] += 1
        self.sum += sum(values)

    def add_counts(self, counts: Sequence[int], total: float) -> None:
        """Count a batch that is counted by bucket already.

        Parameters
        ----------
        counts
            New values in each bucket alone, the one above every bound included.
        total
            The sum of the values.
        """
        self.counts = [before + new for before, new in zip(self.counts, counts, strict=True)]
        self.sum += total

    def cumulative(self) -> list[int]:
        """Count the values up to each bound, as Prometheus wants it."""
        return list(accumulate(self.counts))

    def samples(self) -> Samples:
        """Tell cumulative buckets, count and sum under their names."""
        cumulative = self.cumulative()
        return zip(self.names, [*cumulative, cumulative[-1], self.sum], strict=True)
