"""How much of what comes has to be set aside: counted in records, not in time."""

from math import exp
from typing import Final

import msgspec

WINDOW: Final = 1_000
"""Records back from the newest, a dead letter counts e times less."""
FORGOTTEN: Final = 1e-5
"""A share that has fallen below counts as none."""
_EACH: Final = 1 - exp(-1 / WINDOW)


class DeadLetterShare(msgspec.Struct, array_like=True):
    """Share of dead letters among the last thousand records or so of one partition.

    The older a dead letter is, the less it counts, so two numbers are all there is to remember, and
    after some thousand good records none. Offsets would not do for counting: transaction markers
    take some, too.

    Examples
    --------
    >>> share = DeadLetterShare()
    >>> for _ in range(2_500):
    ...     share.set_aside()
    ...     share.passed(3)
    >>> round(share.value, 2)
    0.25

    A burst of garbage is not a stream of it:

    >>> burst = DeadLetterShare()
    >>> for _ in range(300):
    ...     burst.set_aside()
    >>> round(burst.value, 2)
    0.26
    """

    value: float = 0.0
    """As of the last dead letter; never more than 1."""
    n_since: int = 0
    """Records that were processed since."""

    @property
    def is_forgotten(self) -> bool:
        """Whether the last dead letter is so long ago that nothing of it counts any more."""
        return self._left(self.n_since) == 0.0

    def set_aside(self) -> None:
        """Take note of a dead letter."""
        self.value = self._left(self.n_since + 1) + _EACH
        self.n_since = 0

    def passed(self, n_records: int) -> None:
        """Take note of records that were processed."""
        self.n_since += n_records

    def _left(self, n_records: int) -> float:
        left = self.value * exp(-n_records / WINDOW)
        return left if left >= FORGOTTEN else 0.0
