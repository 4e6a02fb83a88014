"""How much of what comes has to be set aside: counted in records, not in time."""

from math import exp
from typing import Final

import msgspec

WINDOW: Final = 1_000
"""Records back from the newest, a dead letter counts e times less."""
_EACH: Final = 1 - exp(-1 / WINDOW)


class DeadLetterShare(msgspec.Struct, array_like=True):
    """Share of dead letters among the last thousand records or so of one partition.

    Only dead letters are told: by their offsets it is known how many records were between them.
    The older one is, the less it counts, so two numbers are all there is to remember.

    Examples
    --------
    >>> share = DeadLetterShare()
    >>> for offset in range(0, 10_000, 4):
    ...     share.add(offset)
    >>> round(share.value, 2)
    0.25

    A burst of garbage is not a stream of it:

    >>> burst = DeadLetterShare()
    >>> for offset in range(300):
    ...     burst.add(offset)
    >>> round(burst.value, 2)
    0.26
    """

    value: float = 0.0
    """As of the last dead letter; never more than 1."""
    offset: int = -1
    """Where that stood."""

    def add(self, offset: int) -> None:
        """Take note of a dead letter."""
        # A topic that was made anew counts from 0 again.
        n_since = max(1, offset - self.offset)
        self.value = self.value * exp(-n_since / WINDOW) + _EACH
        self.offset = offset
