"""Spans of whole days, as somebody types them."""

import re
from datetime import timedelta

from schemas.errors import ThalwegError

_DAYS = {"d": 1, "w": 7}


class InvalidSpan(ThalwegError, ValueError):
    """A span of time that is none."""


def days(text: str) -> timedelta:
    """Read a span of whole days, or of weeks.

    Raises
    ------
    InvalidSpan
        It is none.

    >>> days("7d").days, days("8w").days
    (7, 56)
    >>> days("a week")
    Traceback (most recent call last):
        ...
    agents.monitoring.spans.InvalidSpan: --since: `a week` is no number of days such as 7d, or of \
weeks such as 8w
    """
    if (found := re.fullmatch(r"([1-9][0-9]{0,3})([dw])", text)) is None:
        raise InvalidSpan(
            f"--since: `{text}` is no number of days such as 7d, or of weeks such as 8w"
        )
    return timedelta(days=int(found[1]) * _DAYS[found[2]])
