"""The figures as tables that go into a document as they are."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

BACKLOG: Final = {
    "peer": "peer",
    "delivery": "delivery",
    "per_s": "events/s",
    "us_per_event": "µs/event",
    "cpu_us_per_event": "CPU µs/event",
    "ratio": "ratio",
    "lost": "lost",
    "duplicated": "duplicated",
}
LATENCY: Final = {
    "peer": "peer",
    "delivery": "delivery",
    "rate": "events/s",
    "p50": "p50 ms",
    "p95": "p95 ms",
    "p99": "p99 ms",
    "max": "max ms",
    "lost": "lost",
    "duplicated": "duplicated",
}


def tables(figures: Mapping[str, Any]) -> str:
    """Write the machine, the backlog and the latencies down."""
    machine = figures["machine"]
    parts = [
        f"{machine['cores']} cores, {machine['python']}, "
        f"load average before: {machine['load_before']:.1f}"
    ]
    if figures["backlog"]:
        parts.append(table(BACKLOG, figures["backlog"]))
    if figures["latency"]:
        parts.append(table(LATENCY, figures["latency"]))
    return "\n\n".join(parts)


def table(columns: Mapping[str, str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Write rows down; one that failed says why instead.

    >>> print(table({"peer": "peer", "per_s": "events/s"}, [
    ...     {"peer": "a", "per_s": 12_000},
    ...     {"peer": "b", "failure": "not installable: no wheel"},
    ... ]))
    | peer | events/s                  |
    | ---- | ------------------------- |
    | a    | 12,000                    |
    | b    | not installable: no wheel |
    """
    cells = [list(columns.values()), *(_cells(columns, row) for row in rows)]
    widths = [max(len(row[at]) for row in cells) for at in range(len(columns))]
    lines = [
        "| " + " | ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) + " |"
        for row in cells
    ]
    lines.insert(1, "| " + " | ".join("-" * width for width in widths) + " |")
    return "\n".join(lines)


def _cells(columns: Mapping[str, str], row: Mapping[str, Any]) -> Sequence[str]:
    cells = [_text(row[name]) if name in row else "" for name in columns]
    if "failure" in row:
        cells[cells.index("")] = row["failure"]
    return cells


def _text(value: object) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int | float) else str(value)
