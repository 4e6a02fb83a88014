"""Sketches of all partitions and workers, added up and held against a reference, day by day.

The reference of a signal is its first week, or what somebody chose; it is kept on a topic of its
own. Afterwards each day of event time is compared once, when it is over: a day, since within it
users and their hours differ, and once, since who looks again and again at growing counts is alarmed
by chance in the end. Days that too few users came on wait for the next.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

import msgspec

from agents.monitoring.sketch_fold import DAY_MS
from online_models.sketch import Sketch, UnreadableSketch
from online_models.sketch_comparison import MIN_USERS, Comparison, compare, holm
from schemas.sketches import SketchMinute, SketchReference

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
BY: Final = "watch"
FIRST_WEEK: Final = "the first week"
"""Who chose a reference that nobody chose, and why."""

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
    reference: SketchReference | None = None
    """`None`: it is not whole yet."""
    day: int | None = None
    """The last one compared, in days since the epoch; `None`: none was yet."""
    comparison: Comparison | None = None
    p: float = 1.0
    """Corrected for all signals that were compared that day."""


@dataclass(frozen=True, slots=True)
class Reference:
    """What a signal is held against."""

    sketch: Sketch
    days: int
    """On which it was counted; `REFERENCE_DAYS` and enough users make it whole."""
    first: int
    """In days since the epoch."""
    last: int


@dataclass(frozen=True, slots=True)
class Shift:
    """A signal's level changed."""

    before: ShiftLevel
    reading: Reading


@dataclass(slots=True)
class _Signal:
    reference: Sketch = field(default_factory=Sketch)
    reference_days: int = 0
    first_day: int | None = None
    kept: SketchReference | None = None
    """The reference, once it is whole."""
    open: dict[int, Sketch] = field(default_factory=dict)
    """Days that are not over."""
    waiting: Sketch = field(default_factory=Sketch)
    """Of days that too few users came on."""
    level: ShiftLevel = "normal"
    clear_days: int = 0
    last_day: int | None = None
    """On which it came; `None`: not since the view began."""
    compared: tuple[int, Comparison, float] | None = None

    @property
    def after_day(self) -> int:
        """Days up to this one are not held against the reference."""
        return -1 if self.kept is None else self.kept.after_day


class DriftView:
    """What all sketches say together; the same for everybody who reads them in their order.

    Memory is some kilobytes a signal.

    Parameters
    ----------
    use_case
        Whose sketches and references these are.
    """

    def __init__(self, use_case: str) -> None:
        self._use_case = use_case
        self._signals: dict[Name, _Signal] = {}
        self._latest_ms = 0
        self._closed: int | None = None
        """The last day that is over."""
        self._made: dict[bytes, SketchReference | None] = {}

    def hold_against(self, reference: SketchReference) -> None:
        """Compare a signal with this from now on; what was said of it with another is over.

        Raises
        ------
        UnreadableSketch
            Nothing was changed.
        """
        name = (reference.signal, reference.model)
        before = self._signals.get(name, _Signal())
        if before.kept and msgspec.structs.replace(before.kept, at=reference.at) == reference:
            return  # its own, come back from the topic
        self._signals[name] = _Signal(
            reference=Sketch.decode(reference.sketch),
            reference_days=reference.last_day - reference.first_day + 1,
            first_day=reference.first_day,
            kept=reference,
            open={day: each for day, each in before.open.items() if day > reference.after_day},
            last_day=before.last_day,
        )
        self._made.pop(reference.key, None)

    def made(self, now_ms: int) -> Iterator[tuple[bytes, SketchReference | None]]:
        """Hand over the references that were made since, by key; `None`: it is forgotten."""
        made, self._made = self._made, {}
        for key, reference in made.items():
            yield key, reference and msgspec.structs.replace(reference, at=now_ms)

    def fold(self, record: SketchMinute) -> list[Shift]:
        """Take in a record; tell whose level changed with the days that are over by it.

        Raises
        ------
        UnreadableSketch
            Nothing was taken in.
        """
        return [each for each in self.look(record) if each.before != each.reading.level]

    def look(self, record: SketchMinute) -> list[Shift]:
        """Take in a record, likewise; tell of all that was compared what its level was and is."""
        found = decoded(record)
        self._latest_ms = max(self._latest_ms, record.event_at)
        day = record.event_at // DAY_MS
        if self._closed is None or day > self._closed:
            for name, sketch in found.items():
                signal = self._signals.setdefault((name, record.model), _Signal())
                signal.last_day = max(signal.last_day or 0, day)
                if day > signal.after_day:
                    signal.open[day] = signal.open.get(day, Sketch()) + sketch
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

    @property
    def latest_ms(self) -> int:
        """The newest event time."""
        return self._latest_ms

    def reference(self, signal: str, model: str = "") -> Reference | None:
        """Tell what a signal is held against, or what there is of it so far; `None`: nothing."""
        found = self._signals.get((signal, model))
        if found is None or found.first_day is None:
            return None
        last = found.last_day if found.kept is None else found.kept.last_day
        days, first = found.reference_days, found.first_day
        return Reference(found.reference, days, first, first if last is None else last)

    def _days_until(self, over: int) -> list[int]:
        return sorted({day for each in self._signals.values() for day in each.open if day <= over})

    def _close(self, day: int) -> Iterator[Shift]:
        compared: dict[Name, Comparison] = {}
        for name, signal in self._signals.items():
            found = signal.open.pop(day, None)
            if found is None:
                continue
            if signal.kept is None:
                self._gather(name, signal, day, found)
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
            yield Shift(before, self._reading(name, signal))

    def _gather(self, name: Name, signal: _Signal, day: int, found: Sketch) -> None:
        """Add a day to a reference; it is whole with a week, if enough users came."""
        signal.reference += found
        signal.reference_days += 1
        signal.first_day = day if signal.first_day is None else signal.first_day
        if signal.reference_days < REFERENCE_DAYS or signal.reference.effective_n < MIN_USERS:
            return
        signal.kept = SketchReference(
            use_case=self._use_case,
            model=name[1],
            signal=name[0],
            sketch=signal.reference.encode(),
            first_day=signal.first_day,
            last_day=day,
            after_day=day,
            at=0,
            by=BY,
            why=FIRST_WEEK,
        )
        self._made[signal.kept.key] = signal.kept

    def _forget(self, over: int) -> None:
        for name, signal in [*self._signals.items()]:
            if signal.last_day is None:  # as if it had come when the view began
                signal.last_day = over
            # Days before a reference say nothing of a signal that it was chosen for later.
            if max(signal.last_day, signal.after_day) < over - FORGOTTEN_DAYS:
                del self._signals[name]
                if signal.kept is not None:
                    self._made[signal.kept.key] = None

    @staticmethod
    def _reading(name: Name, signal: _Signal) -> Reading:
        day, comparison, p = signal.compared or (None, None, 1.0)
        days, kept = signal.reference_days, signal.kept
        return Reading(*name, signal.level, days, kept, day, comparison, p)


def decoded(record: SketchMinute) -> dict[str, Sketch]:
    """Read a record's sketches, by signal; raises `UnreadableSketch`."""
    if len(record.signals) != len(record.sketches):
        n, m = len(record.sketches), len(record.signals)
        raise UnreadableSketch(f"{n} sketches of {m} signals")
    return dict(zip(record.signals, map(Sketch.decode, record.sketches), strict=True))


def _level(signal: _Signal, comparison: Comparison, p: float) -> ShiftLevel:
    """Tell the level after a comparison: up at once, down after some clear days."""
    if p <= FALSE_ALARMS:
        signal.clear_days = 0
        found: ShiftLevel = "critical" if comparison.moved >= LARGE else "warning"
        return "critical" if signal.level == "critical" else found
    signal.clear_days = signal.clear_days + 1 if p > CLEAR else 0
    return "normal" if signal.clear_days >= CLEAR_DAYS else signal.level
