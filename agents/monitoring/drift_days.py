"""How signals came to where they are: each day that was compared, and weeks at a glance."""

import logging
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Final, NamedTuple

import msgspec

from agents.monitoring.drift_view import DriftView, Reading
from agents.monitoring.shift_alert import date_of
from online_models.sketch import UnreadableSketch
from schemas.sketches import SketchMinute, SketchReference

logger = logging.getLogger(__name__)

MARKS: Final = {"normal": ".", "warning": "w", "critical": "C"}
_LEVELS: Final = [*MARKS]
_MONDAY: Final = 4
"""The epoch began on a Thursday: day 4 was a Monday."""


class History(NamedTuple):
    """A signal over a span."""

    signal: str
    model: str
    compared: int
    moved: int
    """Days that were not what they should be."""
    largest: Reading
    weeks: str
    """A mark a week, of its worst day; a space where none was compared."""


def days(
    records: Iterable[SketchMinute], references: Iterable[SketchReference], use_case: str
) -> list[Reading]:
    """Compare each day of event time, as `watch` does; each with the reference as it is now.

    Levels begin at `normal`. Days that the reference is made of, or that were over when it was
    chosen, are compared as well: what the past looks like beside it is the question here.
    """
    view = DriftView(use_case)
    for reference in references:
        if reference.use_case == use_case:
            view.hold_against(msgspec.structs.replace(reference, after_day=-1))
    found: list[Reading] = []
    for record in records:
        try:
            found += (each.reading for each in view.look(record))
        except UnreadableSketch as error:
            logger.warning("no sketch: %s", error)
    return found


def histories(readings: Sequence[Reading]) -> list[History]:
    """Put the days of each signal together; those that moved most come first."""
    if not readings:
        return []
    found = []
    weeks = [_week(each.day or 0) for each in readings]
    ordered = sorted(readings, key=lambda each: (each.model, each.signal, each.day or 0))
    for (model, signal), group in groupby(ordered, key=lambda each: (each.model, each.signal)):
        of_signal = [*group]
        worst: dict[int, int] = {}
        for each in of_signal:
            week = _week(each.day or 0)
            worst[week] = max(worst.get(week, 0), _LEVELS.index(each.level))
        marks = [
            MARKS[_LEVELS[worst[week]]] if week in worst else " "
            for week in range(min(weeks), max(weeks) + 1)
        ]
        found.append(
            History(
                *(signal, model, len(of_signal)),
                sum(each.level != "normal" for each in of_signal),
                max(of_signal, key=_size),
                "".join(marks),
            )
        )
    return sorted(found, key=lambda each: (-each.moved, -_size(each.largest), each.signal))


def first_monday(readings: Sequence[Reading]) -> str:
    """Tell the date with which the first week begins."""
    return date_of(_week(min(each.day or 0 for each in readings)) * 7 + _MONDAY)


def _week(day: int) -> int:
    return (day - _MONDAY) // 7


def _size(reading: Reading) -> float:
    return 0.0 if reading.comparison is None else reading.comparison.moved
