"""What the transport needs to know of an application's keyed state.

State of partition *p* lives in memory and, record by record, in partition *p* of a compacted
changelog topic; changes travel as outputs of the batch that made them, inside its transaction. So
what is in the changelog is exactly what is committed, and a partition that is lost needs no undo:
it is forgotten here and restored there.
"""

from collections.abc import Callable
from typing import Protocol, runtime_checkable


class Restoring(Protocol):
    """State of one partition while its changelog is read back, in a thread of its own."""

    def restore(self, key: bytes, value: bytes | None) -> None:
        """Apply one changelog record; a value of `None` is a tombstone."""

    def complete(self) -> None:
        """Do what is left to do once the changelog is at its end: indexes, replays."""


@runtime_checkable
class KeptWarm(Protocol):
    """State with more to do than to take records in, while it is a copy of another worker's."""

    def keep_warm(self) -> None:
        """Do some of what `complete` would have to do; called a few times a second."""


@runtime_checkable
class MayTakeLong(Protocol):
    """State whose `complete` may take minutes, and ends early when nobody needs it any more."""

    is_cancelled: Callable[[], bool]
    """Asked now and then; what was not completed is thrown away."""


class KeyedState(Protocol):
    """State of all partitions of one worker."""

    @property
    def changelog(self) -> str:
        """Full name of the changelog topic."""

    def begin_restore(self, partition: int) -> Restoring:
        """Make a new, empty state to restore into. Called from the restoring thread."""

    def install(self, partition: int, restored: Restoring) -> None:
        """Take a restored state into use, before the partition's first batch. Event loop."""

    def discard(self, partition: int) -> None:
        """Forget a partition: it belongs to another worker now. Event loop."""
