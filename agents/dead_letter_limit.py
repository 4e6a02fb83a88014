"""Stop when too much of what comes has to be set aside: then the records are not to blame."""

from collections.abc import Mapping, Sequence

import msgspec
from confluent_kafka import Message
from faust.types.tuples import TP

from schemas.errors import TooManyDeadLetters
from schemas.reasons import Reason
from streams.dead_letter_share import DeadLetterShare
from streams.state import Table

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(DeadLetterShare).decode


def note_dead_letters(
    table: Table[bytes],
    tp: TP,
    records: Sequence[Message],
    set_aside: Mapping[int, Reason],
    *,
    limit: float,
) -> None:
    """Take note of records of a partition, and of which of them are set aside.

    The share is kept in a table of the partition: a successor does not begin to count anew, or a
    worker that is started again and again would set everything aside bit by bit. As long as
    nothing is set aside, nothing is kept.

    Parameters
    ----------
    records
        What was processed, in order.
    set_aside
        Offsets of those that are set aside, and why.
    limit
        See `Settings.dead_letter_limit`.

    Raises
    ------
    TooManyDeadLetters
        The table is as it was.
    """
    key = f"dead-letters:{tp.topic}"
    encoded = table.get(key)
    if encoded is None and not set_aside:
        return
    share = DeadLetterShare() if encoded is None else _decode(encoded)
    count_dead_letters(
        share, tp, records, set_aside, limit=limit, setting="THALWEG_DEAD_LETTER_LIMIT"
    )
    if share.is_forgotten:
        table.delete(key)
    else:
        table.put(key, _encode(share))


def count_dead_letters(
    share: DeadLetterShare,
    tp: TP,
    records: Sequence[Message],
    set_aside: Mapping[int, Reason],
    *,
    limit: float,
    setting: str,
) -> None:
    """Count records and dead letters into a share; raises `TooManyDeadLetters`."""
    if not set_aside:
        share.passed(len(records))
        return
    for record in records:
        offset = record.offset() or 0
        reason = set_aside.get(offset)
        if reason is None:
            share.passed(1)
            continue
        share.set_aside()
        if share.value > limit:
            raise TooManyDeadLetters(
                f"with offset {offset} (`{reason}`), more than {limit:.0%} of what came last on"
                f" {tp.topic}-{tp.partition} would be set aside. Nothing of its batch is committed:"
                " `thalweg dead-letters ls` shows what was set aside before it. Mend what causes"
                f" it; or, if all this shall be set aside, raise {setting}"
            )
