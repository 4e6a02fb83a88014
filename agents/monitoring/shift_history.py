"""What all sketches said day by day, and what scores looked like: for who draws it. Pure."""

from collections import deque
from dataclasses import dataclass
from typing import Final, NamedTuple

from agents.monitoring.drift_view import FALSE_ALARMS, DriftView, Name, Reading, Reference
from agents.monitoring.shift_alert import evidence_of
from agents.monitoring.sketch_fold import DAY_MS
from online_models.sketch import Sketch
from schemas.sketches import SCORE, SketchMinute, SketchReference

KEPT_DAYS: Final = 400
"""Comparisons of each signal that are remembered, one a day at most."""
MAX_SIGNALS: Final = 500
"""Whose comparisons are."""
THRESHOLD: Final = evidence_of(FALSE_ALARMS)


class Compared(NamedTuple):
    """What a signal's comparison of one day said."""

    day: int
    """In days since the epoch."""
    evidence: float
    """Powers of ten, corrected for all signals of the day; `THRESHOLD` and more is a shift."""
    psi: float
    psi_by_chance: float


@dataclass(frozen=True, slots=True)
class Newest:
    """What was counted of a model's scores on the newest day."""

    day: int
    sketch: Sketch


class ShiftHistory:
    """Folds `sketches` into the readings of `DriftView`, and remembers those of each day."""

    def __init__(self, use_case: str) -> None:
        self._view = DriftView(use_case)
        self._compared: dict[Name, deque[Compared]] = {}
        self._newest: dict[str, Newest] = {}
        self.begins_at: int | None = None
        """Event time of the oldest record, ms."""

    @property
    def reached(self) -> int | None:
        """Event time of the newest record, ms; `None`: there was none."""
        return None if self.begins_at is None else self._view.latest_ms

    def hold_against(self, reference: SketchReference) -> None:
        """Compare a signal with this from now on.

        Raises
        ------
        UnreadableSketch
            Nothing was changed.
        """
        self._view.hold_against(reference)

    def fold(self, record: SketchMinute) -> None:
        """Take in a record.

        Raises
        ------
        UnreadableSketch
            Nothing was taken in.
        """
        for shift in self._view.look(record):
            self._note_comparison(shift.reading)
        if self.begins_at is None or record.event_at < self.begins_at:
            self.begins_at = record.event_at
        if SCORE in record.signals:
            self._note_scores(record)

    def readings(self) -> list[Reading]:
        """Tell of each signal what is known now, scores first."""
        return self._view.readings()

    def reference(self, model: str) -> Reference | None:
        """Tell what a model's scores are held against."""
        return self._view.reference(SCORE, model)

    def newest(self, model: str) -> Newest | None:
        """Tell of the newest day on which a model gave scores."""
        return self._newest.get(model)

    def of(self, signal: str, model: str = "") -> list[Compared]:
        """Tell of each day that a signal was compared on, oldest first."""
        return list(self._compared.get((signal, model), ()))

    def _note_scores(self, record: SketchMinute) -> None:
        day = record.event_at // DAY_MS
        sketch = Sketch.decode(record.sketches[record.signals.index(SCORE)])
        before = self._newest.get(record.model)
        if before is None or day > before.day:
            self._newest[record.model] = Newest(day, sketch)
        elif day == before.day:
            self._newest[record.model] = Newest(day, before.sketch + sketch)

    def _note_comparison(self, reading: Reading) -> None:
        comparison, day = reading.comparison, reading.day
        if comparison is None or day is None:
            return
        name = reading.signal, reading.model
        days = self._compared.get(name)
        if days is None:
            if len(self._compared) >= MAX_SIGNALS:
                return
            days = self._compared[name] = deque(maxlen=KEPT_DAYS)
        evidence = evidence_of(reading.p)
        days.append(Compared(day, evidence, comparison.psi, comparison.psi_by_chance))
