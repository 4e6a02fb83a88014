"""What an entity's features should be, computed from all of its events at once."""

from collections.abc import Callable, Iterable

from schemas.events import UserEvent

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
FIVE_MINUTES_MS = 300_000


def naive_rolling(events: Iterable[UserEvent]) -> dict[str, float]:
    """Tell the features that `entity_pipeline.ROLLING` declares, as of the newest event."""
    events = list(events)
    now_ms = max(int(event.ts) for event in events)

    def within(span_ms: int, tile_ms: int) -> list[UserEvent]:
        # A window begins with the tile that it begins in, which its end is part of.
        start_ms = (now_ms - span_ms) // tile_ms * tile_ms
        return [event for event in events if int(event.ts) > start_ms]

    hour = within(HOUR_MS, FIVE_MINUTES_MS)
    day = within(DAY_MS, HOUR_MS)
    month = within(30 * DAY_MS, DAY_MS)
    purchases = [event for event in day if event.action == "purchase"]
    return {
        "event_count_1h": float(len(hour)),
        "purchase_count_30d": float(sum(event.action == "purchase" for event in month)),
        "purchase_rate_1d": len(purchases) / len(day),
        "amount_total_1h": sum(round((event.amount or 0.0) * 1e6) for event in hour) / 1e6,
        "amount_max_1d": max((e.amount for e in day if e.amount is not None), default=0.0),
    }


def by_entity(
    events: Iterable[UserEvent], key: Callable[[UserEvent], str | None]
) -> dict[str, list[UserEvent]]:
    """Group events by what they are about; those about nothing are left out."""
    found: dict[str, list[UserEvent]] = {}
    for event in events:
        if (entity := key(event)) is not None:
            found.setdefault(entity, []).append(event)
    return found
