"""What happened: the user event that upstream apps publish to `user-events`."""

import msgspec


class UserEvent(msgspec.Struct, gc=False):
    """One action of one user, as it stands on the wire (JSON).

    A pipeline subclasses it to declare further fields; unknown fields are ignored.
    Cleaning (`streams.clean`) turns `user_id` into text, lower-cases `action` and
    turns `ts` into milliseconds since the epoch, so that behind it the types are narrower.

    >>> raw = b'{"user_id": 7, "action": "Search", "ts": 1704067200000}'
    >>> event = msgspec.json.decode(raw, type=UserEvent)
    >>> event.user_id, event.action, event.amount
    (7, 'Search', None)
    """

    user_id: str | int
    """Who; non-empty. Also the record's key."""
    action: str
    """What they did."""
    ts: int | str
    """When: milliseconds since the epoch (UTC), or RFC 3339."""
    event_id: str | None = None
    """Identity for deduplication; by default the record's topic-partition-offset."""
    session_id: str | None = None
    item_id: str | None = None
    amount: float | None = None
    """In the currency of the shop."""
    duration: float | None = None
    """In seconds."""
