"""Stop when too much of what comes has to be set aside: then the records are not to blame."""

from collections.abc import Iterable

import msgspec
from faust.types.tuples import TP

from schemas.errors import TooManyDeadLetters
from schemas.reasons import Reason
from streams.dead_letter_share import DeadLetterShare
from streams.state import Table

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(DeadLetterShare).decode


def note_dead_letters(
    table: Table[bytes], tp: TP, set_aside: Iterable[tuple[int, Reason]], *, limit: float
) -> None:
    """Take note of records of a partition that are set aside.

    The share is kept in a table of the partition: a successor does not begin to count anew, or a
    worker that is started again and again would set everything aside bit by bit.

    Parameters
    ----------
    set_aside
        Offsets and reasons, in order.
    limit
        See `Settings.dead_letter_limit`.

    Raises
    ------
    TooManyDeadLetters
        The table is as it was.
    """
    key = f"dead-letters:{tp.topic}"
    encoded = table.get(key)
    share = DeadLetterShare() if encoded is None else _decode(encoded)
    for offset, reason in set_aside:
        share.add(offset)
        if share.value > limit:
            raise TooManyDeadLetters(
                f"with offset {offset} (`{reason}`), more than {limit:.0%} of what came last on"
                f" {tp.topic}-{tp.partition} would be set aside. Nothing of its batch is committed:"
                " `thalweg dead-letters ls` shows what was set aside before it. Mend what causes"
                " it; or, if all this shall be set aside, raise THALWEG_DEAD_LETTER_LIMIT"
            )
    table.put(key, _encode(share))
