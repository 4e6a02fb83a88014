"""How we are: one record per process and second on `telemetry`."""

from typing import Annotated

import msgspec


class Telemetry(msgspec.Struct):
    """All metric samples of one process at one moment.

    `samples` maps a sample's name with its labels, written as Prometheus writes them
    (`thalweg_events_total{topic="user-events"}`), to its value.
    """

    process: str
    """Role and slot, such as `predict-0`."""
    pid: Annotated[int, msgspec.Meta(ge=0, lt=2**32)]
    at: int
    """Wall time, ms since the epoch."""
    samples: dict[str, float]
    exemplars: dict[str, dict[str, int]] = {}
    """Of some counters, examples of what was counted since the record before: sample -> text ->
    how often, at least."""
