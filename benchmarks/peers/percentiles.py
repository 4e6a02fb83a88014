"""Percentiles of latencies."""

from collections.abc import Collection


def percentiles(values_ms: Collection[float]) -> dict[str, float | None]:
    """Tell the usual ones, each a value that occurred.

    >>> percentiles([1.0, 2.0, 3.0, 4.0])
    {'p50': 3.0, 'p95': 4.0, 'p99': 4.0, 'max': 4.0}
    """
    ordered = sorted(values_ms)
    told: dict[str, float | None] = {
        f"p{q}": round(ordered[len(ordered) * q // 100], 1) if ordered else None
        for q in (50, 95, 99)
    }
    return told | {"max": round(ordered[-1], 1) if ordered else None}
