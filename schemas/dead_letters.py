"""What could not be processed: the headers of a record on `dead-letters`.

Key, value and headers are the original ones; behind them stand headers that say why it is there,
in the names of KIP-1034.
"""

from collections.abc import Sequence
from typing import Final, Literal

import msgspec

from schemas.reasons import Reason

EXCEPTION: Final = "__streams.errors.exception"
MESSAGE: Final = "__streams.errors.message"
TOPIC: Final = "__streams.errors.topic"
PARTITION: Final = "__streams.errors.partition"
OFFSET: Final = "__streams.errors.offset"
REASON: Final = "reason"
RETRIES: Final = "thalweg.retries"
"""Of a record that was published again: for how many times."""

Headers = list[tuple[str, bytes]]

Verdict = Literal["retried", "dropped"]


class Fate(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was decided about a dead letter; a record of `dead-letter-fates`, keyed by its offset.

    >>> msgspec.json.encode(Fate("dropped", at=1_704_110_400_000, letter_at=1_704_067_200_000))
    b'{"verdict":"dropped","at":1704110400000,"letter_at":1704067200000}'
    """

    verdict: Verdict
    at: int
    """When, ms since the epoch."""
    letter_at: int
    """When the record was set aside: another at that offset, of a topic made anew, has none."""
    by: str = ""
    """Who decided: `user@host`; empty: an earlier release did not say."""


def headers(
    reason: Reason, detail: str, *, exception: str, topic: str, partition: int, offset: int
) -> Headers:
    """Say why a record was set aside, and where it stood.

    >>> dict(headers(Reason.EMPTY, "no value", exception="InvalidRecord",
    ...              topic="user-events", partition=1, offset=42))["reason"]
    b'empty'
    """
    return [
        (EXCEPTION, exception.encode()),
        (MESSAGE, detail.encode("utf-8", "replace")),
        (TOPIC, topic.encode()),
        (PARTITION, str(partition).encode()),
        (OFFSET, str(offset).encode()),
        (REASON, reason.value.encode()),
    ]


def original_headers(found: Sequence[tuple[str, bytes]]) -> Headers:
    """Find the headers that a dead letter had before it was one: all before ours.

    >>> why = headers(Reason.EMPTY, "no value", exception="InvalidRecord",
    ...               topic="user-events", partition=1, offset=42)
    >>> original_headers([("reason", b"of the publisher's own"), *why])
    [('reason', b"of the publisher's own")]
    """
    ours = [n for n, (name, _) in enumerate(found) if name == EXCEPTION]
    return list(found[: ours[-1]] if ours else found)
