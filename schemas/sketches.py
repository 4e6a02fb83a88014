"""How scores and features are distributed, minute by minute: the record of `sketches`."""

from typing import Annotated, Final

import msgspec

SCORE = "score"
"""The signal that a model's scores are; all others are features, by their names."""
_YEAR_1: Final = -62_135_596_800_000
_YEAR_10_000: Final = 253_402_300_800_000
_DAY_MS: Final = 86_400_000
_Time = Annotated[int, msgspec.Meta(ge=_YEAR_1, lt=_YEAR_10_000)]
_Day = Annotated[int, msgspec.Meta(ge=_YEAR_1 // _DAY_MS, lt=_YEAR_10_000 // _DAY_MS)]


class SketchMinute(msgspec.Struct):
    """Counts of a minute of event time, or of an hour; several records of one add up."""

    use_case: str
    event_at: _Time
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


class SketchReference(msgspec.Struct, frozen=True):
    """What a signal is held against: the record of `sketch-references`, the newest of each.

    Days are counted from the epoch.
    """

    use_case: str
    model: str
    """Whose scores; empty for a feature."""
    signal: str
    sketch: bytes
    first_day: _Day
    last_day: _Day
    after_day: _Day
    """Days up to this one are not held against it: they made it, or were over before it was."""
    at: _Time
    """When it was made, ms since the epoch, by the writer's clock."""
    by: str
    """Who chose it: `user@host`; or `watch`, where it is the first week."""
    why: str = ""

    @property
    def key(self) -> bytes:
        """What its record is keyed by."""
        return f"{self.use_case}/{self.model}/{self.signal}".encode()
