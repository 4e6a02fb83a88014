"""Spans of time in which people know better: nobody is called, and nothing acts by itself."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from schemas.deployments import ALL_ALERTS, Deployment
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
    by: str = ""
    """Who said so; empty: the pipeline."""

    def __post_init__(self) -> None:
        if self.since.tzinfo is None or self.until.tzinfo is None:
            raise InvalidDeclaration("a silence has times with a time zone")
        if self.until <= self.since:
            raise InvalidDeclaration(f"a silence ends after it began, not at {self.until}")
        if not self.why:
            raise InvalidDeclaration("a silence says why")

    def __str__(self) -> str:
        by = f" by {self.by}" if self.by else ""
        return f"silenced until {self.until.isoformat()}{by}: {self.why}"

    def holds(self, kind: str, at_ms: int) -> bool:
        """Tell whether it is about alerts of a kind at a wall time."""
        begun, over = (at_ms - _ms(end) for end in (self.since, self.until))
        return begun >= 0 > over and (not self.kinds or kind in self.kinds)


def silenced(silences: Iterable[Silence], kind: str, at_ms: int) -> Silence | None:
    """Find the first silence that holds."""
    return next((each for each in silences if each.holds(kind, at_ms)), None)


def told(silences: Iterable[Silence], now_ms: int) -> list[dict[str, Any]]:
    """Tell the silences that are not over, for programs; times in ms."""
    return [
        {
            "kinds": list(each.kinds),
            "since": _ms(each.since),
            "until": _ms(each.until),
            "by": each.by or None,
            "why": each.why,
        }
        for each in silences
        if now_ms < _ms(each.until)
    ]


def silence_of(event: Deployment) -> Silence:
    """Read a silence that somebody decided, and that took effect.

    >>> event = Deployment(
    ...     kind="silenced", use_case="intent", model="", at=0, by="ada@desk", why="the sale",
    ...     alert_kind="drift", until=3_600_000,
    ... )
    >>> print(silence_of(event))
    silenced until 1970-01-01T01:00:00+00:00 by ada@desk: the sale
    """
    return Silence(
        since=_time(event.at),
        until=_time(event.until),
        why=event.why,
        kinds=() if event.alert_kind == ALL_ALERTS else (event.alert_kind,),
        by=event.by,
    )


def _time(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1_000, UTC)


def _ms(at: datetime) -> int:
    return int(at.timestamp()) * 1_000 + at.microsecond // 1_000
