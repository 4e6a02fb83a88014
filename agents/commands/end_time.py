"""When something is to end, as people say it: in so much time, or at a time."""

import re
from datetime import datetime, timedelta
from typing import Final

from schemas.errors import ThalwegError

_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days"}
_SPAN: Final = re.compile(r"(\d{1,6})([mhd])", re.ASCII)


def end_time(said: str, now: datetime) -> datetime:
    """Read `90m`, `2h`, `3d`, or a date and time; one without a time zone is the wall clock's.

    Raises
    ------
    ThalwegError
        It is none of them, or lies beyond the calendar.

    Examples
    --------
    >>> from datetime import UTC
    >>> now = datetime(2026, 11, 28, 9, tzinfo=UTC)
    >>> end_time("90m", now).isoformat()
    '2026-11-28T10:30:00+00:00'
    >>> end_time("2026-11-30T08:00+01:00", now).isoformat()
    '2026-11-30T08:00:00+01:00'
    >>> end_time("soon", now)
    Traceback (most recent call last):
    schemas.errors.ThalwegError: `soon` is no end: say 90m, 2h, 3d, or 2026-11-28T10:00
    """
    span = _SPAN.fullmatch(said)
    try:
        if span is not None:
            return now + timedelta(**{_UNITS[span[2]]: int(span[1])})
        at = datetime.fromisoformat(said)
        return at if at.tzinfo is not None else at.astimezone()
    except (ValueError, OverflowError) as error:
        example = (now + timedelta(hours=1)).isoformat(timespec="minutes")[:16]
        raise ThalwegError(f"`{said}` is no end: say 90m, 2h, 3d, or {example}") from error
