"""The view of all sketches as `watch` keeps it, told as metrics and alerts."""

import logging
from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec
from confluent_kafka import Message

from agents.monitoring.drift_view import DriftView, Reading, Shift
from agents.monitoring.shift_alert import date_of, evidence_of, shift_alert
from agents.observability import metric_list
from agents.observability.metrics import Metrics
from online_models.sketch import UnreadableSketch
from schemas.alerts import Alert
from schemas.errors import UNREADABLE
from schemas.sketches import SketchMinute, SketchReference

logger = logging.getLogger(__name__)

_decode: Final = msgspec.json.Decoder(SketchMinute).decode
_LEVELS: Final = {"normal": 0, "warning": 1, "critical": 2}

ReadBack = Callable[[int, int], Iterable[tuple[int, bytes | None]]]
"""Gives offsets and values from an offset to before another."""


class GlobalView:
    """Folds `sketches`, record after record, and knows how far it came.

    What it says follows from the records and the references that are kept; so a successor that
    reads them back says the same, and raises no alert again.

    Parameters
    ----------
    references
        By key, as whoever reads their topic has them now.
    """

    def __init__(
        self,
        use_case: str,
        metrics: Metrics,
        read_back: ReadBack,
        references: dict[bytes, SketchReference],
    ) -> None:
        self._use_case = use_case
        self._metrics = metrics
        self._read_back = read_back
        self._references = references
        self._taken_up: dict[bytes, SketchReference] = {}
        self._view = DriftView(use_case)
        self.next_offset = 0

    def read_back(self, end: int) -> None:
        """Take in what lies before an offset, which was told already. Blocks.

        What is known beyond it was told with a batch that was not committed, so nobody heard it:
        that is forgotten, and told again.
        """
        if end < self.next_offset:
            self._view, self.next_offset = DriftView(self._use_case), 0
            self._taken_up = {}
        self._take_up_references()
        for offset, value in self._read_back(self.next_offset, end):
            self._fold(offset, value)
        self.next_offset = max(self.next_offset, end)
        self._tell()

    def fold(self, records: Iterable[Message], now_ms: int) -> list[Alert]:
        """Take in the next records, the first of which is at `next_offset`."""
        self._take_up_references()
        shifts: list[Shift] = []
        for record in records:
            shifts += self._fold(record.offset() or 0, record.value())
        if shifts:
            logger.info("%d signals moved, or came back", len(shifts))
        self._tell()
        return [shift_alert(shift, self._use_case, raised_at=now_ms) for shift in shifts]

    def references(self, now_ms: int) -> Iterable[tuple[bytes, bytes | None]]:
        """Hand over keys and values of the references that are to be kept, or forgotten."""
        for key, made in self._view.made(now_ms):
            yield key, None if made is None else msgspec.json.encode(made)

    def _take_up_references(self) -> None:
        known = self._references.copy()
        for key, reference in known.items():
            if self._taken_up.get(key) is not reference:
                _hold_against(self._view, reference, self._use_case)
        self._taken_up = known

    def _fold(self, offset: int, value: bytes | None) -> list[Shift]:
        self.next_offset = offset + 1
        return _fold(self._view, value, self._use_case)

    def _tell(self) -> None:
        specs = (
            *(metric_list.SHIFT_INDEX, metric_list.SHIFT_INDEX_BY_CHANCE),
            *(metric_list.SHIFT_EVIDENCE, metric_list.SHIFT_LEVEL),
        )
        for spec in specs:
            self._metrics.remove(spec)
        for reading in self._view.readings():
            comparison = reading.comparison
            if comparison is None:
                continue
            values = (
                *(comparison.psi, comparison.psi_by_chance, evidence_of(reading.p)),
                float(_LEVELS[reading.level]),
            )
            for spec, value in zip(specs, values, strict=True):
                labels = {"signal": reading.signal, "model": reading.model}
                self._metrics.gauge(spec, **labels).set(value)


def _fold(view: DriftView, value: bytes | None, use_case: str) -> list[Shift]:
    """Fold a record; what is none, or of another use case, is passed over."""
    try:
        record = _decode(value or b"")
        return view.fold(record) if record.use_case == use_case else []
    except (*UNREADABLE, UnreadableSketch) as error:
        logger.warning("no sketch: %s", error)
        return []


def _hold_against(view: DriftView, reference: SketchReference, use_case: str) -> None:
    """Take a reference up; what cannot be read, or is of another use case, is passed over."""
    try:
        if reference.use_case == use_case:
            view.hold_against(reference)
    except UnreadableSketch as error:
        logger.warning("no reference of %s: %s", reference.signal, error)


def readings_of(
    values: Iterable[bytes | None], references: Iterable[SketchReference], use_case: str
) -> list[Reading]:
    """Tell what the records of `sketches`, all of them in order, say now."""
    view = DriftView(use_case)
    for reference in references:
        _hold_against(view, reference, use_case)
    for value in values:
        _fold(view, value, use_case)
    return view.readings()


def told(reading: Reading) -> dict[str, Any]:
    """Write a reading as the command tells it."""
    compared, kept = reading.comparison, reading.reference
    return {
        "signal": reading.signal,
        "model": reading.model,
        "level": reading.level,
        "reference_days": reading.reference_days,
        "reference_from": None if kept is None else date_of(kept.first_day),
        "reference_to": None if kept is None else date_of(kept.last_day),
        "day": None if reading.day is None else date_of(reading.day),
        "users": None if compared is None else compared.n_recent,
        "users_reference": None if compared is None else compared.n_reference,
        "index": None if compared is None else compared.psi,
        "index_by_chance": None if compared is None else compared.psi_by_chance,
        "distance": None if compared is None else compared.ks,
        "p": None if compared is None else reading.p,
    }
