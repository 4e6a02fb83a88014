"""Encoded states of which the cold ones lie on a disk: memory no longer grows with the users.

The truth is the changelog. What is here is a copy that begins empty with each restore and is thrown
away with its partition, so it is never synchronised, and its file has no name: whoever is killed
leaves nothing.
"""

import os
import sqlite3
import tempfile
import weakref
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

from schemas.errors import DeliveryFailed, InvalidSetting

HOT: Final = 20_000
"""States of a partition that stay in memory: those that changed last."""
CHUNK: Final = 1_000
"""How many go to the disk together."""
CACHE_KB: Final = 4_096

_SCHEMA: Final = f"""
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA locking_mode = EXCLUSIVE;
PRAGMA cache_size = -{CACHE_KB};
CREATE TABLE states (seq INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, raw BLOB NOT NULL);
"""


@dataclass(slots=True)
class SpillCounts:
    """Where states are, and what became of the disk."""

    in_memory: int = 0
    on_disk: int = 0
    reads: int = 0
    """Looks for a state on the disk, found or not; one of a user may take several."""
    writes: int = 0
    """States that were put there."""

    def __add__(self, other: "SpillCounts") -> "SpillCounts":
        return SpillCounts(
            self.in_memory + other.in_memory,
            self.on_disk + other.on_disk,
            self.reads + other.reads,
            self.writes + other.writes,
        )


class SpilledStates:
    """Encoded values as `streams.state.Table` asks for them, in memory and on a disk.

    Parameters
    ----------
    directory
        Where the file lies; the space counts, not the name.
    hot
        How many values stay in memory.

    Raises
    ------
    InvalidSetting
        The directory cannot be used.
    DeliveryFailed
        From any method, when the disk fails: a successor begins anew from the changelog.

    Examples
    --------
    >>> states = SpilledStates(Path(tempfile.mkdtemp()), hot=1, chunk=1)
    >>> for user in ("ada", "bob", "eve", "ada"):
    ...     states[user] = user.encode()
    ...     states.move_to_end(user)
    >>> list(states), states.get("bob"), len(states), states.n_on_disk
    (['bob', 'eve', 'ada'], b'bob', 3, 2)
    >>> states.counts()
    SpillCounts(in_memory=1, on_disk=2, reads=1, writes=3)
    """

    def __init__(self, directory: Path, *, hot: int = HOT, chunk: int = CHUNK) -> None:
        self._n_hot = hot
        self._chunk = chunk
        # What changed last; whatever is on the disk changed before all of it.
        self._hot: OrderedDict[str, bytes] = OrderedDict()
        # Keys whose row on the disk, if there is one, does not count any more.
        self._outdated: set[str] = set()
        self._n_rows = 0
        self._n_reads = 0
        self._n_writes = 0
        try:
            directory.mkdir(parents=True, exist_ok=True)
            descriptor, path = tempfile.mkstemp(".sqlite", "states-", directory)
            os.close(descriptor)
            # Made in the thread that restores, used by the event loop: never by both at once.
            self._disk = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            weakref.finalize(self, self._disk.close)
            self._disk.executescript(_SCHEMA)
            os.unlink(path)
        except (OSError, sqlite3.Error) as error:
            raise InvalidSetting(f"THALWEG_STATE_SPILL: cannot use {directory}: {error}") from error

    @property
    def n_on_disk(self) -> int:
        """How many values are not in memory."""
        self._remove_outdated()
        return self._n_rows

    def counts(self) -> SpillCounts:
        """Tell how many values are where; reads and writes since this was made."""
        return SpillCounts(len(self._hot), self.n_on_disk, self._n_reads, self._n_writes)

    def __len__(self) -> int:
        return len(self._hot) + self.n_on_disk

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self.get(key) is not None

    def __iter__(self) -> Iterator[str]:
        """Tell the keys, that which changed longest ago first."""
        for (key,) in self._rows("SELECT key FROM states ORDER BY seq"):
            yield key
        yield from self._hot

    def items(self) -> Iterator[tuple[str, bytes]]:
        """Tell keys and values in the same order."""
        yield from self._rows("SELECT key, raw FROM states ORDER BY seq")
        yield from self._hot.items()

    def values(self) -> Iterator[bytes]:
        """Tell the values in the same order."""
        for (raw,) in self._rows("SELECT raw FROM states ORDER BY seq"):
            yield raw
        yield from self._hot.values()

    def get(self, key: str) -> bytes | None:
        """Find a value; one on the disk stays there."""
        raw = self._hot.get(key)
        if raw is not None or not self._n_rows or key in self._outdated:
            return raw
        self._n_reads += 1
        try:
            row = self._disk.execute("SELECT raw FROM states WHERE key = ?", (key,)).fetchone()
        except sqlite3.Error as error:
            raise _failed(error) from error
        return None if row is None else row[0]

    def __setitem__(self, key: str, raw: bytes) -> None:
        if key not in self._hot:
            self._outdated.add(key)
        self._hot[key] = raw

    def move_to_end(self, key: str) -> None:
        """Say that a value that was just set is the one that changed last."""
        self._hot.move_to_end(key)
        if len(self._hot) >= self._n_hot + self._chunk:
            self._spill()

    def pop(self, key: str, default: None = None) -> object:
        """Forget a key."""
        if self._hot.pop(key, default) is None:
            self._outdated.add(key)
        return default

    def _rows(self, query: str) -> Iterator[Any]:
        self._remove_outdated()
        try:
            rows = self._disk.execute(query)
            try:
                yield from rows
            finally:
                rows.close()
        except sqlite3.Error as error:
            raise _failed(error) from error

    def _spill(self) -> None:
        self._remove_outdated()
        oldest = list(islice(self._hot.items(), self._chunk))
        self._change("INSERT INTO states (key, raw) VALUES (?, ?)", oldest)
        self._n_rows += len(oldest)
        self._n_writes += len(oldest)
        for key, _ in oldest:
            del self._hot[key]

    def _remove_outdated(self) -> None:
        if self._outdated:
            if self._n_rows:
                keys = [(key,) for key in self._outdated]
                self._n_rows -= self._change("DELETE FROM states WHERE key = ?", keys)
            self._outdated.clear()

    def _change(self, statement: str, rows: Iterable[tuple[object, ...]]) -> int:
        try:
            self._disk.execute("BEGIN")
            n_changed = self._disk.executemany(statement, rows).rowcount
            self._disk.execute("COMMIT")
        except sqlite3.Error as error:
            raise _failed(error) from error
        return n_changed


def _failed(error: sqlite3.Error) -> DeliveryFailed:
    return DeliveryFailed(f"THALWEG_STATE_SPILL: the disk failed: {error}")
