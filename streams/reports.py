"""What is reported of one prediction before it is settled, where the last word counts."""

from collections.abc import Iterable
from typing import Final

Report = tuple[int, bool]
"""The event time of a label in ms, and what it says. Of two at one time, the positive is later."""

MOST_REPORTS: Final = 16
"""Reports of one name that are kept; the oldest make room."""


def gathered(reports: Iterable[Report]) -> tuple[Report, ...]:
    """Put reports into the order of their times, each once.

    >>> gathered([(7, False), (5, True), (7, True), (5, True)])
    ((5, True), (7, False), (7, True))
    """
    return tuple(sorted(set(reports))[-MOST_REPORTS:])


def latest(reports: Iterable[Report], *, until_ms: int) -> Report | None:
    """Find the last word of a time; `None`: nothing was said by then.

    >>> latest([(5, True), (7, False)], until_ms=6)
    (5, True)
    >>> latest([(5, True), (7, False)], until_ms=4) is None
    True
    """
    return max((report for report in reports if report[0] <= until_ms), default=None)
