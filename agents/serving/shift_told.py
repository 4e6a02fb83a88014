"""What sketches say, as the page shows it: which signals moved, and what scores were. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from agents.monitoring.drift_view import REFERENCE_DAYS, Reading, Reference
from agents.monitoring.global_view import told
from agents.monitoring.shift_alert import date_of, evidence_of
from agents.monitoring.shift_history import THRESHOLD, Compared, Newest, ShiftHistory
from agents.monitoring.sketch_fold import DAY_MS
from agents.serving.score_bars import amount_range, amount_shares, score_shares
from online_models.sketch import Sketch

Row = dict[str, Any]

AMOUNTS: Final = ("regression", "bandit")
"""Tasks whose scores are no shares of 1."""

SHOWN: Final = 40
"""Signals in the panel, those first that say most."""
_RANKS: Final = {"critical": 0, "warning": 1, "normal": 2}


@dataclass(frozen=True, slots=True)
class ShiftTold:
    """What is known from all sketches that were read."""

    begins_at: int | None = None
    """Event time of the oldest, ms; `None`: there are none."""
    reached: int | None = None
    """Event time of the newest."""
    readings: tuple[Reading, ...] = ()
    references: Mapping[str, Reference] = field(default_factory=dict)
    """By model, of its scores."""
    newest: Mapping[str, Newest] = field(default_factory=dict)
    """By model."""


def take(history: ShiftHistory) -> ShiftTold:
    """Take out what the page shows; it does not change any more."""
    readings = tuple(history.readings())
    models = [each.model for each in readings if each.model]
    references = {each: found for each in models if (found := history.reference(each))}
    newest = {each: of_day for each in models if (of_day := history.newest(each))}
    return ShiftTold(history.begins_at, history.reached, readings, references, newest)


def panel(shifts: ShiftTold) -> Row:
    """Tell the signals that say most, and how many there are at all."""
    ordered = sorted(
        shifts.readings,
        key=lambda each: (_RANKS[each.level], each.comparison is None, each.p, each.signal),
    )
    return {
        "signals": [_row(each) for each in ordered[:SHOWN]],
        "compared": sum(each.comparison is not None for each in ordered),
        "moved": sum(each.level != "normal" for each in ordered),
        "known": len(ordered),
        "reference_days": REFERENCE_DAYS,
        "threshold": THRESHOLD,
    }


def scores(shifts: ShiftTold, model: str, task: str) -> Row | None:
    """Tell what a model's scores are held against: the shares of the steps, and of which days.

    Of amounts the steps follow from what there is; else they go from 0 to 1. `now` is the newest
    day. `None`: there is nothing to hold scores against yet.
    """
    reference = shifts.references.get(model)
    if reference is None:
        return None
    row: Row = {
        "model": model,
        "days": reference.days,
        "of_days": REFERENCE_DAYS,
        "first": date_of(reference.first),
        "last": date_of(reference.last),
        "n": reference.sketch.n,
    }
    newest = shifts.newest.get(model)
    recent = reference.sketch if newest is None else newest.sketch
    low, high = amount_range(reference.sketch, recent) if task in AMOUNTS else (0.0, 1.0)

    def shares(sketch: Sketch) -> list[float]:
        return amount_shares(sketch, low, high) if task in AMOUNTS else score_shares(sketch)

    row |= {"from": low, "until": high, "shares": shares(reference.sketch)}
    if newest is not None:
        row["now"] = {"day": date_of(newest.day), "n": recent.n, "shares": shares(recent)}
    return row


def past(compared: list[Compared]) -> Row:
    """Tell how a signal got to where it is, one point a day of event time."""
    return {
        "threshold": THRESHOLD,
        "days": [
            {
                "at": (each.day * DAY_MS) // 1000,
                "evidence": each.evidence,
                "index": each.psi,
                "index_by_chance": each.psi_by_chance,
            }
            for each in compared
        ],
    }


def _row(reading: Reading) -> Row:
    row = told(reading)
    return row | {"evidence": None if row["p"] is None else evidence_of(row["p"])}
