"""Spans of time in which people know better: nobody is called, and nothing acts by itself."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from schemas.errors import InvalidDeclaration


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """A span of wall time in which alerts are written down and do nothing.

    Examples
    --------
    >>> from datetime import UTC
    >>> sale = Silence(
    ...     since=datetime(2026, 11, 27, tzinfo=UTC),
    ...     until=datetime(2026, 11, 30, tzinfo=UTC),
    ...     why="the sale: shoppers are others",
    ...     kinds=("drift",),
    ... )
    >>> at_ms = 1_795_910_400_000
    >>> print(silenced([sale], "drift", at_ms))
    silenced until 2026-11-30T00:00:00+00:00: the sale: shoppers are others
    >>> silenced([sale], "accuracy", at_ms) is None
    True
    """

    since: datetime
    until: datetime
    why: str
    kinds: tuple[str, ...] = ()
    """Of alerts; empty: all of them."""

    def __post_init__(self) -> None:
        if self.since.tzinfo is None or self.until.tzinfo is None:
            raise InvalidDeclaration("a silence has times with a time zone")
        if self.until <= self.since:
            raise InvalidDeclaration(f"a silence ends after it began, not at {self.until}")
        if not self.why:
            raise InvalidDeclaration("a silence says why")

    def __str__(self) -> str:
        return f"silenced until {self.until.isoformat()}: {self.why}"

    def holds(self, kind: str, at_ms: int) -> bool:
        """Tell whether it is about alerts of a kind at a wall time."""
        begun, over = (at_ms - _ms(end) for end in (self.since, self.until))
        return begun >= 0 > over and (not self.kinds or kind in self.kinds)


def silenced(silences: Iterable[Silence], kind: str, at_ms: int) -> Silence | None:
    """Find the first silence that holds."""
    return next((each for each in silences if each.holds(kind, at_ms)), None)


def _ms(at: datetime) -> int:
    return int(at.timestamp()) * 1_000 + at.microsecond // 1_000
