"""Go on without the records that make the code raise.

Bad input raises `InvalidRecord` and is set aside where it is read. What raises anything else has
met a bug, in a feature, in a pipeline's own code or in ours, and would meet it in every worker that
takes the partition over. So its batch is undone and cut around the record that raised, until that
one is alone and raises still: then it is set aside as well, and all others pass as if it had not
been there. As long as nothing raises, a batch costs one `try`.
"""

import logging
from collections.abc import Callable
from errno import EDQUOT, EIO, EMFILE, ENFILE, ENOMEM, ENOSPC
from typing import Final

from confluent_kafka import Message

from agents.kafka.batch import Batch
from schemas.errors import ThalwegError

logger = logging.getLogger(__name__)

MAY_HEAL: Final = (ConnectionError, TimeoutError, MemoryError)
"""Not the record's fault: the worker ends, and its successor tries again, later and later."""
HEALING_CODES: Final = frozenset({EIO, EMFILE, ENFILE, ENOMEM, ENOSPC, EDQUOT})
"""Other `OSError`s are of the same kind. A date out of range is one too, and is not."""


def process_apart(
    batch: Batch,
    process: Callable[[Batch], None],
    *,
    undo: Callable[[], None],
    set_aside: Callable[[Message, Exception], None],
) -> None:
    """Process a batch, in parts if it has to be.

    Parameters
    ----------
    process
        Process a part, and let all it changes be final.
    undo
        Take back what the last call of `process` has changed before it raised.
    set_aside
        Let a record be published as a dead letter with the batch.

    Raises
    ------
    ThalwegError, OSError, MemoryError
        What is no record's fault.
    """
    waiting = [batch]
    while waiting:
        part = waiting.pop()
        try:
            process(part)
        except Exception as error:  # whatever it is, the partition must not stand still
            if isinstance(error, ThalwegError) or may_heal(error):
                raise
            part.emitted.clear()
            undo()
            if len(part) > 1:
                waiting += reversed(part.cut())
                continue
            (record,) = part
            logger.exception(
                "record %s of %s-%s is set aside, since it makes the code raise",
                *(record.offset(), batch.tp.topic, batch.tp.partition),
            )
            set_aside(record, error)
        else:
            if part is not batch:
                batch.emitted += part.emitted


def may_heal(error: BaseException) -> bool:
    """Tell whether a failure is not the record's fault.

    >>> may_heal(ConnectionRefusedError()), may_heal(KeyError("price"))
    (True, False)
    """
    return isinstance(error, MAY_HEAL) or (
        isinstance(error, OSError) and error.errno in HEALING_CODES
    )
