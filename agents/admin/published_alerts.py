"""The newest alerts of a use case, from `alerts`."""

import msgspec

from agents.admin import topic_reader
from agents.settings import Settings
from schemas import topics
from schemas.alerts import Alert
from schemas.errors import UNREADABLE

_decode = msgspec.json.Decoder(Alert).decode


def read(settings: Settings, use_case: str, *, kind: str | None, limit: int) -> list[Alert]:
    """Read the newest alerts, the newest last; one that was told twice comes once.

    Parameters
    ----------
    kind
        Of this kind alone; `None`: of all.

    Raises
    ------
    DeliveryFailed
        The broker cannot be reached, or has no such topic.
    """
    newest: dict[str, Alert] = {}
    topic = topics.ALERTS.named(settings.topic_prefix)
    for message in topic_reader.read_to_end(settings, topic):
        try:
            alert = _decode(message.value() or b"")
        except UNREADABLE:
            continue  # anybody may write anything there
        if alert.use_case == use_case and kind in (None, alert.kind):
            newest[alert.alert_id] = alert
            if len(newest) > limit:
                del newest[next(iter(newest))]
    return [*newest.values()]
