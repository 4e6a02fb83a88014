"""What came of it: labels that other systems publish to `labels`."""

import msgspec


class Label(msgspec.Struct, gc=False):
    """The truth about one prediction, named by its own id or by its event's.

    >>> raw = b'{"event_id": "e1", "user_id": "u", "label": true, "ts": 0}'
    >>> msgspec.json.decode(raw, type=Label)
    Label(user_id='u', label=True, ts=0, event_id='e1', prediction_id=None, by='')
    """

    user_id: str | int
    label: bool | int
    ts: int | str
    event_id: str | None = None
    prediction_id: str | None = None
    by: str = ""
    """Who judged it, if a person did."""
