"""A busy day of the shop, with everything in it that can go wrong with a stream of events."""

import random
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import msgspec

from agents.history import event_file
from examples.shop.pipeline import PIPELINE, ShopEvent
from tests.agents.garbage import GARBAGE
from tests.agents.record import Record

N_EVENTS = 300
PREDICTED = "predicted"
DUPLICATE = "duplicate"


class Expected(NamedTuple):
    """A record and what must come of it."""

    record: Record
    fate: str
    """`predicted`, `duplicate`, or the reason of a dead letter."""
    event_id: str = ""
    is_named: bool = False
    ts: int = 0


@cache
def _busy_day() -> list[event_file.FileEvent]:
    assert PIPELINE.replay is not None
    path = Path(PIPELINE.replay.file)
    return event_file.read(path, ShopEvent, PIPELINE.replay.columns)[27_000 : 27_000 + N_EVENTS]


def messy(seed: int) -> list[Expected]:
    """Mix garbage, duplicates, unnamed events and events out of order into the shop's own."""
    rng = random.Random(seed)
    # Some come after up to a dozen others.
    delays = [rng.randrange(12) if rng.random() < 0.1 else 0 for _ in range(N_EVENTS)]
    arrival = sorted(range(N_EVENTS), key=lambda n: n + delays[n])
    stream: list[Expected] = []
    for shop_event in (_busy_day()[n] for n in arrival):
        kind = rng.random()
        offset = len(stream)
        fields = msgspec.json.decode(shop_event.value)
        if is_named := kind > 0.1:
            event_id = shop_event.event_id
        else:
            del fields["event_id"]
            event_id = f"user-events-0-{offset}"
        record = Record(msgspec.json.encode(fields), shop_event.key, offset=offset)
        stream.append(Expected(record, PREDICTED, event_id, is_named, shop_event.ts))
        offset += 1
        if kind > 0.9:
            key, value, reason = GARBAGE[rng.choice(list(GARBAGE))]
            stream.append(Expected(Record(value, key, offset=offset), reason))
        elif kind > 0.8:
            before = rng.choice([each for each in stream[-20:] if each.is_named])
            again = Record(before.record.value(), before.record.key(), offset=offset)
            stream.append(Expected(again, DUPLICATE))
    return stream


def cut(stream: Sequence[Expected], cuts: Iterable[int]) -> list[list[Record]]:
    """Cut a stream into batches."""
    records = [each.record for each in stream]
    bounds = sorted({0, len(records), *(at % len(records) for at in cuts)})
    return [records[start:end] for start, end in pairwise(bounds)]
