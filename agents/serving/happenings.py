"""What happened, on a line: trouble, alerts, decisions, known incidents. Pure.

There are two lines, since there are two clocks. By the wall clock people work: when they were told,
what they decided. By event time the world moved. Live these are the same, in a replay months apart,
and there alerts meet the incidents that explain them on the line of event time alone.
"""

import datetime as dt
from collections.abc import Iterable, Iterator
from typing import Final

from agents.pipeline import Incident
from agents.serving.health import Spell
from agents.serving.tables import Row
from online_models.registry import Change
from schemas.alerts import Alert

MINUTE_MS: Final = 60_000
SPANS_MS: Final = tuple(minutes * MINUTE_MS for minutes in (15, 60, 360, 1_440, 10_080))
"""A line is as long as the shortest of these that shows all that happened within the longest."""
SHOWN: Final = 60
"""The newest marks, at most."""
DAY_MS: Final = 1_440 * MINUTE_MS
IS_PAST_MS: Final = DAY_MS
"""Events that are older than this are no events of now."""


def happenings(
    alerts: Iterable[Alert],
    changes: Iterable[Change],
    spells: Iterable[Spell],
    incidents: Iterable[Incident],
    now_ms: int,
) -> Row:
    """Lay what happened out between two times of the wall clock.

    Known incidents have dates of events, so they are on the line while events are of now.

    Examples
    --------
    >>> told = happenings([], [], [Spell(50_000, 60_000, "learn-0 is silent")], [], 100_000)
    >>> (told["until"] - told["from"]) // MINUTE_MS, told["marks"][0]["text"]
    (15, 'learn-0 is silent')
    """
    begin = now_ms - SPANS_MS[-1]
    told = (_of_alert(alert, alert.raised_at) for alert in alerts)
    momentary = [*told, *map(_of_change, changes), *map(_of_spell, spells)]
    recent = [mark for mark in momentary if begin <= (mark["until"] or now_ms)]
    oldest = min((mark["at"] for mark in recent), default=now_ms)
    span_ms = next((span for span in SPANS_MS if now_ms - span <= oldest), SPANS_MS[-1])
    begin = now_ms - span_ms
    marks = [*recent, *_of_incidents(incidents, begin, now_ms)]
    marks.sort(key=lambda mark: (mark["at"], mark["id"]))
    return {"from": begin, "until": now_ms, "marks": marks[-SHOWN:]}


def in_event_time(
    alerts: Iterable[Alert],
    incidents: Iterable[Incident],
    *,
    begins_at: int | None,
    reached: int | None,
) -> Row | None:
    """Lay alerts and known incidents out between two times of events.

    Parameters
    ----------
    begins_at, reached
        Event time of the oldest and newest that was seen, ms; `None`: nothing was.

    Examples
    --------
    >>> import datetime as dt
    >>> sale = Incident(name="sale", first=dt.date(1970, 1, 2), last=dt.date(1970, 1, 3))
    >>> told = in_event_time([], [sale], begins_at=0, reached=9 * DAY_MS)
    >>> [(mark["at"] // DAY_MS, mark["until"] // DAY_MS) for mark in told["marks"]]
    [(1, 3)]
    """
    at_of = [(alert, alert.evidence["event_at"]) for alert in alerts if _has_event_time(alert)]
    known = [at for _, at in at_of] + [at for at in (begins_at, reached) if at is not None]
    if not known:
        return None
    begin, end = min(known), max(known)
    if begin == end:
        begin -= MINUTE_MS
    marks = [*(_of_alert(alert, at) for alert, at in at_of), *_of_incidents(incidents, begin, end)]
    marks.sort(key=lambda mark: (mark["at"], mark["id"]))
    return {"from": begin, "until": end, "marks": marks[-SHOWN:]}


def _has_event_time(alert: Alert) -> bool:
    return isinstance(alert.evidence.get("event_at"), int | float)


def _of_alert(alert: Alert, at: int) -> Row:
    return {
        "id": f"alert {alert.alert_id}",
        "kind": "alert",
        "level": alert.level,
        "at": at,
        "until": at,
        "alert": alert.alert_id,
        "text": f"{alert.level}: {alert.kind} of {alert.signal.replace('_', ' ')}",
    }


def _of_change(change: Change) -> Row:
    why = f": {change.event.why}" if change.event.why else ""
    return {
        "id": f"deployment {change.offset}",
        "kind": "deployment",
        "level": "normal",
        "at": change.event.at,
        "until": change.event.at,
        "text": f"{change}{why}",
    }


def _of_spell(spell: Spell) -> Row:
    return {
        "id": f"trouble {spell.began_at}",
        "kind": "trouble",
        "level": "warning",
        "at": spell.began_at,
        "until": spell.ended_at,
        "text": spell.text,
    }


def _of_incidents(incidents: Iterable[Incident], begin: int, now_ms: int) -> Iterator[Row]:
    for incident in incidents:
        first, last = _midnight_ms(incident.first), _midnight_ms(incident.last) + DAY_MS
        if first <= now_ms and begin < last:
            yield {
                "id": f"incident {incident.name} {incident.first}",
                "kind": "incident",
                "level": "normal",
                "at": max(first, begin),
                "until": last if last <= now_ms else None,
                "text": incident.name,
            }


def _midnight_ms(day: dt.date) -> int:
    return int(dt.datetime.combine(day, dt.time(), dt.UTC).timestamp() * 1000)
