"""How scores and features are distributed, minute by minute: the record of `sketches`."""

import msgspec

SCORE = "score"
"""The signal that a model's scores are; all others are features, by their names."""


class SketchMinute(msgspec.Struct):
    """Counts of a minute of event time, or of an hour; several records of one add up."""

    use_case: str
    event_at: int
    """When the minute begins, ms since the epoch."""
    partition: int
    """Of `predictions`, where scores were counted; -1 for features, which come in one partition."""
    model: str
    """Whose scores; empty for features."""
    signals: list[str]
    sketches: list[bytes]
    """One for each signal, as `online_models.sketch` encodes it."""
    share: float = 1.0
    """Part of the users who were counted, at the time of writing."""
    minutes: int = 1
    """Of how many; 60 where event time runs fast, as in a replay."""
