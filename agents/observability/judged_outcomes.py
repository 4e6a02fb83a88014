"""Read outcomes for those in `watch` that hold answers against what came: once for all of them."""

from collections.abc import Iterable

import msgspec
from confluent_kafka import Message

from schemas.errors import UNREADABLE


class JudgedOutcome(msgspec.Struct, array_like=True):
    """What it needs of an outcome, up to `judged`; what lies between is not decoded."""

    prediction_id: str
    use_case: str
    user_id: str
    event_at: int
    labelled_at: int
    label: bool
    score: float
    model: str
    model_version: int = 0
    """0: no model was there to answer."""
    schema: msgspec.Raw = msgspec.Raw()
    features: msgspec.Raw = msgspec.Raw()
    target: msgspec.Raw = msgspec.Raw()
    weight: msgspec.Raw = msgspec.Raw()
    judged: float = 1.0


_decode = msgspec.msgpack.Decoder(JudgedOutcome).decode


def judged_outcomes(records: Iterable[Message]) -> list[JudgedOutcome]:
    """Read outcomes of yes and no; what is none, or has no label, is passed over."""
    found = []
    for record in records:
        try:
            found.append(_decode(record.value() or b""))
        except UNREADABLE:
            continue
    return found
