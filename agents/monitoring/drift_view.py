"""Sketches of all partitions and workers, added up and held against a reference, day by day.

The reference of a signal is its first week. Afterwards each day of event time is compared once,
when it is over: a day, since within it users and their hours differ, and once, since who looks
again and again at growing counts is alarmed by chance in the end. Days that too few users came on
wait for the next.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

from agents.monitoring.sketch_fold import DAY_MS
from online_models.sketch import Sketch
from online_models.sketch_comparison import MIN_USERS, Comparison, compare, holm
from schemas.sketches import SketchMinute

REFERENCE_DAYS: Final = 7
GRACE_MS: Final = 3_600_000
"""How long after a day's end, in event time, what belongs to it is still waited for."""
FALSE_ALARMS: Final = 0.001
"""Probability that any signal at all is said to have moved on a day when none did."""
CLEAR: Final = 0.05
"""A signal whose day is more probable than this is back where it was ..."""
CLEAR_DAYS: Final = 2
"""... if it was so often in a row."""
LARGE: Final = 0.25
"""Index beyond chance from which a change is critical: the usual limit for a large one."""
FORGOTTEN_DAYS: Final = 30
"""A signal that nothing came of for so long, such as a model that left, is forgotten."""

ShiftLevel = Literal["normal", "warning", "critical"]
Name = tuple[str, str]
"""A signal, and whose it is: the model of a score."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What the last comparison of a signal said."""

    signal: str
    model: str
    level: ShiftLevel
    reference_days: int
    day: int | None = None
    """The last one compared, in days since the epoch; `None`: none was yet."""
    comparison: Comparison | None = None
    p: float = 1.0
    """Corrected for all signals that were compared that day."""


@dataclass(frozen=True, slots=True)
class Shift:
    """A signal's level changed."""

    before: ShiftLevel
    reading: Reading


@dataclass(slots=True)
class _Signal:
    reference: Sketch = field(default_factory=Sketch)
    reference_days: int = 0
    open: dict[int, Sketch] = field(default_factory=dict)
    """Days that are not over."""
    waiting: Sketch = field(default_factory=Sketch)
    """Of days that too few users came on."""
    level: ShiftLevel = "normal"
    clear_days: int = 0
    last_day: int = 0
    compared: tuple[int, Comparison, float] | None = None


class DriftView:
    """What all sketches say together; the same for everybody who reads them in their order.

    Memory is some kilobytes a signal.
    """

    def __init__(self) -> None:
        self._signals: dict[Name, _Signal] = {}
        self._latest_ms = 0
        self._closed: int | None = None
        """The last day that is over."""

    def fold(self, record: SketchMinute) -> list[Shift]:
        """Take in a record; tell whose level changed with the days that are over by it.

        Raises
        ------
        UnreadableSketch
            Nothing was taken in.
        """
        decoded = dict(zip(record.signals, map(Sketch.decode, record.sketches), strict=False))
        self._latest_ms = max(self._latest_ms, record.event_at)
        day = record.event_at // DAY_MS
        if self._closed is None or day > self._closed:
            for name, sketch in decoded.items():
                signal = self._signals.setdefault((name, record.model), _Signal())
                signal.open[day] = signal.open.get(day, Sketch()) + sketch
                signal.last_day = max(signal.last_day, day)
        over = (self._latest_ms - GRACE_MS) // DAY_MS - 1
        if self._closed is not None and over <= self._closed:
            return []
        shifts = [shift for each in self._days_until(over) for shift in self._close(each)]
        self._closed = over
        self._forget(over)
        return shifts

    def readings(self) -> list[Reading]:
        """Tell of each signal what is known, scores first."""
        return [
            self._reading(name, signal)
            for name, signal in sorted(
                self._signals.items(), key=lambda each: (not each[0][1], each)
            )
        ]

    def _days_until(self, over: int) -> list[int]:
        return sorted({day for each in self._signals.values() for day in each.open if day <= over})

    def _close(self, day: int) -> Iterator[Shift]:
        compared: dict[Name, Comparison] = {}
        for name, signal in self._signals.items():
            found = signal.open.pop(day, None)
            if found is None:
                continue
            if signal.reference_days < REFERENCE_DAYS or signal.reference.effective_n < MIN_USERS:
                signal.reference += found
                signal.reference_days += 1
                continue
            signal.waiting += found
            comparison = compare(signal.reference, signal.waiting)
            if comparison is not None:
                compared[name] = comparison
                signal.waiting = Sketch()
        for name, p in holm({name: each.p for name, each in compared.items()}).items():
            signal = self._signals[name]
            signal.compared = (day, compared[name], p)
            before, signal.level = signal.level, _level(signal, compared[name], p)
            if signal.level != before:
                yield Shift(before, self._reading(name, signal))

    def _forget(self, over: int) -> None:
        for name, signal in [*self._signals.items()]:
            if signal.last_day < over - FORGOTTEN_DAYS:
                del self._signals[name]

    @staticmethod
    def _reading(name: Name, signal: _Signal) -> Reading:
        day, comparison, p = signal.compared or (None, None, 1.0)
        return Reading(*name, signal.level, signal.reference_days, day, comparison, p)


def _level(signal: _Signal, comparison: Comparison, p: float) -> ShiftLevel:
    """Tell the level after a comparison: up at once, down after some clear days."""
    if p <= FALSE_ALARMS:
        signal.clear_days = 0
        found: ShiftLevel = "critical" if comparison.moved >= LARGE else "warning"
        return "critical" if signal.level == "critical" else found
    signal.clear_days = signal.clear_days + 1 if p > CLEAR else 0
    return "normal" if signal.clear_days >= CLEAR_DAYS else signal.level
