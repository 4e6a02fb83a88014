"""What is reported of one prediction before it is settled, where the last word counts."""

from collections.abc import Iterable
from typing import Final, NamedTuple

from schemas.labels import LabelValue


class Report(NamedTuple):
    """A label that somebody reports.

    Of two of one time, the positive is later, or the larger, or what stands behind in the alphabet.
    """

    at: int
    """Event time at which it became known, ms."""
    label: LabelValue
    by: str = ""
    """Who judged it, if a person did. Former releases did not keep it."""


MOST_REPORTS: Final = 16
"""Reports of one name that are kept; the oldest make room."""


def gathered(reports: Iterable[Report]) -> tuple[Report, ...]:
    """Put reports into the order of their times, each once.

    >>> said = Report(7, False), Report(5, True), Report(7, True, by="eve"), Report(5, True)
    >>> [(at, label) for at, label, _ in gathered(said)]
    [(5, True), (7, False), (7, True)]
    """
    return tuple(sorted(set(reports), key=_order)[-MOST_REPORTS:])


def latest(reports: Iterable[Report], *, until_ms: int) -> Report | None:
    """Find the last word of a time; `None`: nothing was said by then.

    >>> latest([Report(5, True), Report(7, False)], until_ms=6)
    Report(at=5, label=True, by='')
    >>> latest([Report(5, True), Report(7, False)], until_ms=4) is None
    True
    """
    in_time = [report for report in reports if report.at <= until_ms]
    return max(in_time, key=_order) if in_time else None


def _order(report: Report) -> tuple[int, str, LabelValue, str]:
    # Of different types only where the label rule was changed meanwhile.
    return report.at, type(report.label).__name__, report.label, report.by
