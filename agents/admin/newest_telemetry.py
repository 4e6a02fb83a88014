"""What every process told last of itself."""

from typing import Final

import msgspec

from agents.admin import topic_reader
from agents.settings import Settings
from schemas import topics
from schemas.errors import UNREADABLE
from schemas.telemetry import Telemetry

_LAST: Final = 500
"""Records to look at: half a minute of a dozen processes."""


def read(settings: Settings) -> dict[str, Telemetry]:
    """Read the newest record of each process that told something of late.

    Raises
    ------
    DeliveryFailed
        The broker cannot be reached.
    """
    topic = topics.TELEMETRY.named(settings.topic_prefix)
    newest: dict[str, Telemetry] = {}
    for message in topic_reader.read_to_end(settings, topic, last=_LAST):
        try:
            told = msgspec.json.decode(message.value() or b"", type=Telemetry)
        except UNREADABLE:
            continue
        newest[told.process] = told
    return newest
