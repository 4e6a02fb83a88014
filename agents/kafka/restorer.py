"""Bring the keyed state of newly assigned partitions back, before their first batch."""

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from faust.types.tuples import TP

from agents.kafka.client_settings import KafkaSettings
from agents.kafka.keyed_state import KeyedState, MayTakeLong, Restoring
from agents.kafka.log_reader import read_to_end
from agents.kafka.standby import Copy, Standby

PROGRESS_EVERY: Final = 10_000
"""Records between two looks at the clock and at a change of mind."""


@dataclass(eq=False, slots=True)
class Restoration:
    """One partition on its way back; may be called off by a rebalance."""

    partition: int
    cancelled: threading.Event = field(default_factory=threading.Event)
    state: Restoring | None = None
    n_records: int = 0
    ratio: float = 0.0


class Restorer:
    """Reads changelogs one partition after the other, in a thread of its own.

    Parameters
    ----------
    on_restored
        Called from the restoring thread with each completed restoration.
    on_progress
        Called from the restoring thread as reading goes on.
    standby
        Who keeps warm copies, if anybody does.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        state: KeyedState,
        on_restored: Callable[[Restoration], None],
        on_progress: Callable[[Restoration], None],
        *,
        standby: Standby | None = None,
    ) -> None:
        self._settings = settings
        self._state = state
        self._on_restored = on_restored
        self._on_progress = on_progress
        self._standby = standby
        self._waiting: queue.SimpleQueue[Restoration | None] = queue.SimpleQueue()
        self._current: dict[int, Restoration] = {}

    def begin(self, partition: int) -> None:
        """Ask for a partition's state."""
        self.cancel(partition)
        restoration = self._current[partition] = Restoration(partition)
        self._waiting.put(restoration)

    def cancel(self, partition: int) -> None:
        """Call a restoration off; nothing of it arrives any more."""
        if (restoration := self._current.pop(partition, None)) is not None:
            restoration.cancelled.set()
        if self._standby is not None:
            self._standby.give_back(partition)

    def close(self) -> None:
        """End the thread."""
        for partition in list(self._current):
            self.cancel(partition)
        self._waiting.put(None)

    def run(self) -> None:
        """Restore what is asked for until closed."""
        while (restoration := self._waiting.get()) is not None:
            if not restoration.cancelled.is_set():
                self._restore(restoration)

    def _restore(self, restoration: Restoration) -> None:
        def progress(first: int, position: int, end: int) -> None:
            restoration.ratio = (position - first) / (end - first)
            self._on_progress(restoration)

        copy = None if self._standby is None else self._standby.take(restoration.partition)
        if copy is None:
            copy = Copy(self._state.begin_restore(restoration.partition))
        state = restoration.state = copy.state
        restore = state.restore
        for _, key, value in read_to_end(
            self._settings,
            TP(self._state.changelog, restoration.partition),
            start=copy.next_offset,
            progress=progress,
            cancelled=restoration.cancelled.is_set,
        ):
            if key is not None:
                restore(key, value)
                restoration.n_records += 1
        if restoration.cancelled.is_set():
            return
        if isinstance(state, MayTakeLong):
            state.is_cancelled = restoration.cancelled.is_set
        state.complete()
        if not restoration.cancelled.is_set():
            restoration.ratio = 1.0
            self._on_restored(restoration)
