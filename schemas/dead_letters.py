"""What could not be processed: the headers of a record on `dead-letters`.

Key and value are the original bytes. The names follow KIP-1034.
"""

from typing import Final

from schemas.reasons import Reason

EXCEPTION: Final = "__streams.errors.exception"
MESSAGE: Final = "__streams.errors.message"
TOPIC: Final = "__streams.errors.topic"
PARTITION: Final = "__streams.errors.partition"
OFFSET: Final = "__streams.errors.offset"
REASON: Final = "reason"


def headers(
    reason: Reason, detail: str, *, exception: str, topic: str, partition: int, offset: int
) -> list[tuple[str, bytes]]:
    """Say why a record was set aside, and where it stood.

    >>> dict(headers(Reason.EMPTY, "no value", exception="InvalidRecord",
    ...              topic="user-events", partition=1, offset=42))["reason"]
    b'empty'
    """
    return [
        (REASON, reason.value.encode()),
        (EXCEPTION, exception.encode()),
        (MESSAGE, detail.encode("utf-8", "replace")),
        (TOPIC, topic.encode()),
        (PARTITION, str(partition).encode()),
        (OFFSET, str(offset).encode()),
    ]
