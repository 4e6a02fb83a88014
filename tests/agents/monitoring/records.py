"""Sketches of days that a test makes up."""

import msgspec

from agents.monitoring.sketch_fold import DAY_MS
from online_models.sketch import Sketch
from schemas.sketches import SketchMinute

USE_CASE = "purchase-intent"


def day_of(
    day: int,
    signals: dict[str, list[int]],
    *,
    model: str = "",
    partition: int = -1,
    minute: int = 0,
) -> SketchMinute:
    """Make the record of a minute of a day on which each value was another user's."""
    return SketchMinute(
        *(USE_CASE, day * DAY_MS + minute * 60_000, partition, model, [*signals]),
        [
            Sketch.of({cell: values.count(cell) for cell in values}, squares=len(values)).encode()
            for values in signals.values()
        ],
    )


def encoded(record: SketchMinute) -> bytes:
    return msgspec.json.encode(record)
