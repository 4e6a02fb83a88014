"""What a metric is: a name, a unit, labels and a meaning."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """One metric of the product; its three kinds are the subclasses."""

    kind: ClassVar[str]

    name: str
    """Full name as Prometheus shows it: `thalweg_<thing>_<unit>`, `_total` for counters."""
    unit: str
    """What one of it is: a base unit (`seconds`, `bytes`), or what is counted."""
    meaning: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CounterSpec(MetricSpec):
    """Only grows while a process lives."""

    kind = "counter"


@dataclass(frozen=True, slots=True)
class GaugeSpec(MetricSpec):
    """Stands at a value; says nothing before it is first set."""

    kind = "gauge"


@dataclass(frozen=True, slots=True, kw_only=True)
class HistogramSpec(MetricSpec):
    """Counts values by size."""

    kind = "histogram"

    buckets: tuple[float, ...]
    """Upper ends, inclusive and ascending; what is above the last is counted too."""


def markdown_table(specs: Iterable[MetricSpec]) -> str:
    """Write metrics as a table for people.

    >>> print(markdown_table([CounterSpec("thalweg_hops_total", "hops", "Hops made.", ("leg",))]))
    | metric | kind | unit | labels | meaning |
    | --- | --- | --- | --- | --- |
    | `thalweg_hops_total` | counter | hops | `leg` | Hops made. |
    """
    rows = ["| metric | kind | unit | labels | meaning |", "| --- | --- | --- | --- | --- |"]
    for spec in specs:
        labels = ", ".join(f"`{label}`" for label in spec.labels)
        cells = (f"`{spec.name}`", spec.kind, spec.unit, labels, spec.meaning)
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)
