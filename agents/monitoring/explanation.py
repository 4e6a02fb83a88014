"""Find a drift alert on `alerts`, and explain it from all sketches that are kept."""

from typing import Final

import msgspec

from agents.admin import topic_reader
from agents.monitoring.attribution import (
    FOUR_WEEKS,
    WEEK,
    Explained,
    NoAttribution,
    explain,
    needed_from,
)
from agents.monitoring.sketch_log import records_since
from agents.settings import Settings
from schemas import topics
from schemas.alerts import Alert
from schemas.errors import UNREADABLE

_decode: Final = msgspec.json.Decoder(Alert).decode


def explanation(settings: Settings, use_case: str, alert_id: str | None = None) -> Explained:
    """Say which features moved with the scores of an alert; by default, of the newest.

    Raises
    ------
    NoAttribution
        There is no such drift alert, or none any more.
    DeliveryFailed
        The broker cannot be reached.
    ThalwegError
        The offline store cannot be read.
    """
    alert = _alert(settings, use_case, alert_id)
    for days in (WEEK, FOUR_WEEKS):
        records = records_since(settings, use_case, needed_from(alert, days))
        found = explain(alert, records, days)
        if not found.is_thin:
            break
    return found


def _alert(settings: Settings, use_case: str, alert_id: str | None) -> Alert:
    found = None
    for message in topic_reader.read_to_end(settings, topics.ALERTS.named(settings.topic_prefix)):
        try:
            alert = _decode(message.value() or b"")
        except UNREADABLE:
            continue
        if alert.kind == "drift" and alert.use_case == use_case:
            found = alert if alert_id in (None, alert.alert_id) else found
    if found is None:
        named = "no drift alert" if alert_id is None else f"no drift alert `{alert_id}`"
        kept = topics.ALERTS.retention
        assert kept is not None  # noqa: S101  # it is declared
        raise NoAttribution(f"{named} is kept: `alerts` keeps them for {kept.days} days")
    return found
