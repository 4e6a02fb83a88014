"""What is reported of one prediction before it is settled, where the last word counts."""

from collections.abc import Iterable
from typing import Final

from schemas.labels import LabelValue

Report = tuple[int, LabelValue]
"""The event time of a label in ms, and what it says. Of two at one time, the positive is later, or
the larger, or what stands behind in the alphabet."""

MOST_REPORTS: Final = 16
"""Reports of one name that are kept; the oldest make room."""


def gathered(reports: Iterable[Report]) -> tuple[Report, ...]:
    """Put reports into the order of their times, each once.

    >>> gathered([(7, False), (5, True), (7, True), (5, True)])
    ((5, True), (7, False), (7, True))
    """
    return tuple(sorted(set(reports), key=_order)[-MOST_REPORTS:])


def latest(reports: Iterable[Report], *, until_ms: int) -> Report | None:
    """Find the last word of a time; `None`: nothing was said by then.

    >>> latest([(5, True), (7, False)], until_ms=6)
    (5, True)
    >>> latest([(5, True), (7, False)], until_ms=4) is None
    True
    """
    in_time = [report for report in reports if report[0] <= until_ms]
    return max(in_time, key=_order) if in_time else None


def _order(report: Report) -> tuple[int, str, LabelValue]:
    # Of different types only where the label rule was changed meanwhile.
    return report[0], type(report[1]).__name__, report[1]
