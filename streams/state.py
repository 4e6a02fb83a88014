"""Keyed state of one partition, and the changelog it is rebuilt from.

A value is kept as bytes, as it stands in the changelog, and decoded when it is touched. What a
batch writes is encoded once, when `PartitionState.changes` collects it for the transaction.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Final, Generic, Protocol, TypeVar

from schemas.errors import InvalidDeclaration

Change = tuple[bytes, bytes | None]
"""One changelog record: key, and value or tombstone."""

V = TypeVar("V")
"""What a table holds for each key."""


class EncodedValues(Protocol):
    """Encoded values in the order of their last change.

    An `OrderedDict` is one; so is what keeps only some of them in memory.
    """

    def __len__(self) -> int: ...
    def __contains__(self, key: object, /) -> bool: ...
    def __iter__(self) -> Iterator[str]: ...
    def __setitem__(self, key: str, raw: bytes, /) -> None:
        """Set a value; `move_to_end` follows."""

    def get(self, key: str, /) -> bytes | None:
        """Find a value."""

    def pop(self, key: str, default: None, /) -> object:
        """Forget a key, if it is there."""

    def move_to_end(self, key: str, /) -> None:
        """Make a key that was just set the last in order."""

    def items(self) -> Iterable[tuple[str, bytes]]:
        """Tell keys and values, in order."""

    def values(self) -> Iterable[bytes]:
        """Tell the values, in order."""


class Table(Generic[V]):
    """Values by key, with what changed since the changelog was last written.

    A table forgets only what its owner deletes: see `oldest`.

    Parameters
    ----------
    prefix
        One ASCII character that marks this table's keys in the shared changelog.
    encode
        Write a value; called once per changed key and batch.
    decode
        Read it back.
    warm
        How many decoded values may stay for the next batch. Objects cost ten times the memory of
        bytes, and time of the garbage collector.
    encoded
        Keeps the encoded values; empty. By default in memory.

    Examples
    --------
    >>> visits: Table[int] = Table("v", encode=b"%d".__mod__, decode=int)
    >>> visits.put("ada", 1)
    >>> visits.put("bob", 1)
    >>> visits.put("ada", 2)
    >>> visits.get("ada"), len(visits)
    (2, 2)
    >>> visits.changes()
    [(b'vada', b'2'), (b'vbob', b'1')]
    >>> visits.delete("bob")
    >>> visits.changes()
    [(b'vbob', None)]
    >>> visits.put("ada", 3)
    >>> visits.undo()
    {'ada': 3}
    >>> visits.get("ada")
    2
    """

    def __init__(
        self,
        prefix: str,
        encode: Callable[[V], bytes],
        decode: Callable[[bytes], V],
        *,
        warm: int = 0,
        encoded: EncodedValues | None = None,
    ) -> None:
        if len(prefix) != 1 or not prefix.isascii():
            raise InvalidDeclaration(f"a table's prefix is one ASCII character, not {prefix!r}")
        self.prefix: Final = prefix
        self._encode = encode
        self._decode = decode
        self._warm = warm
        self._logged: EncodedValues = OrderedDict[str, bytes]() if encoded is None else encoded
        # Decoded values, newer than the logged ones where changed; None stands for deleted. What is
        # logged stays as it is until the change is logged: `undo` has nothing to put back.
        self._touched: dict[str, V | None] = {}
        # Keys to log with the next `changes`, in order.
        self._changed: dict[str, None] = {}
        # Changed keys of which the changelog knows nothing: they need no tombstone.
        self._new: set[str] = set()

    def __len__(self) -> int:
        return len(self._logged) + sum(
            (self._touched[key] is not None) - (key in self._logged) for key in self._changed
        )

    @property
    def n_changed(self) -> int:
        """Count the keys that changed since the changelog was last written."""
        return len(self._changed)

    def __contains__(self, key: str) -> bool:
        if key in self._changed:
            return self._touched[key] is not None
        return key in self._logged

    def get(self, key: str) -> V | None:
        """Return the value of a key, or `None`; `mark` the key after changing it in place."""
        if key in self._touched:
            return self._touched[key]
        raw = self._logged.get(key)
        if raw is None:
            return None
        value = self._touched[key] = self._decode(raw)
        return value

    def put(self, key: str, value: V) -> None:
        """Set the value of a key."""
        self._touched[key] = value
        if key not in self._changed:
            self._changed[key] = None
            if key not in self._logged:
                self._new.add(key)

    def mark(self, key: str) -> None:
        """Say that the value `get` returned in this batch was changed in place."""
        if key not in self._touched:
            raise KeyError(f"table `{self.prefix}`: marked {key!r}, which was not read before")
        self._changed[key] = None

    def delete(self, key: str) -> None:
        """Forget a key; does nothing when there is none."""
        if key in self._new:
            self._new.remove(key)
            del self._changed[key], self._touched[key]
        elif key in self._logged:
            self._touched[key] = None
            self._changed[key] = None

    def pop(self, key: str) -> V | None:
        """Forget a key and return the value it had."""
        if key in self._touched:
            value = self._touched[key]
            self.delete(key)
            return value
        raw = self._logged.get(key)
        if raw is None:
            return None
        self._touched[key] = None
        self._changed[key] = None
        return self._decode(raw)

    def oldest(self) -> str | None:
        """Return the key whose last change was logged longest ago: the one to think of forgetting.

        Keys take their place in this order when `changes` logs them. Takes as long as there are
        keys before it that were deleted since then.
        """
        changed, touched = self._changed, self._touched
        return next(
            (key for key in self._logged if key not in changed or touched[key] is not None), None
        )

    def raw(self, key: str) -> bytes | None:
        """Return the value of a key in its encoded form; cheap unless it changed in this batch."""
        if key in self._changed:
            value = self._touched[key]
            return None if value is None else self._encode(value)
        return self._logged.get(key)

    def scan(self) -> Iterator[tuple[str, V]]:
        """Decode every value in turn, oldest first, keeping none: to build an index."""
        decode, changed, touched = self._decode, self._changed, self._touched
        for key, raw in self._logged.items():
            if key not in changed:
                yield key, decode(raw)
        for key in changed:
            if (value := touched[key]) is not None:
                yield key, value

    def logged(self) -> Iterable[bytes]:
        """Return the encoded values as they were logged last, without decoding any."""
        return self._logged.values()

    def changes(self) -> list[Change]:
        """Encode what changed since the last call, one record for each key, and log it."""
        changes = self.staged()
        self.log(changes)
        return changes

    def staged(self) -> list[Change]:
        """Encode what changed since the last `log`, one record for each key."""
        prefix, touched, encode = self.prefix, self._touched, self._encode
        return [
            ((prefix + key).encode(), None if (value := touched[key]) is None else encode(value))
            for key in self._changed
        ]

    def log(self, staged: list[Change]) -> None:
        """Take over what `staged` told: it cannot be undone any more."""
        touched, logged = self._touched, self._logged
        for key, (_, raw) in zip(self._changed, staged, strict=True):
            if raw is None:
                del touched[key]
                logged.pop(key, None)
            else:
                logged[key] = raw
                logged.move_to_end(key)
        self._cool_down()
        self._changed.clear()
        self._new.clear()

    def undo(self) -> dict[str, V | None]:
        """Forget what changed since the last `log`, and return it; `None` was deleted."""
        undone = {key: self._touched[key] for key in self._changed}
        self._touched.clear()
        self._changed.clear()
        self._new.clear()
        return undone

    def _cool_down(self) -> None:
        """Keep the decoded values that changed last, as many as may stay."""
        touched = self._touched
        n_to_go = len(touched) - self._warm
        if not self._warm:
            touched.clear()
        elif n_to_go > 0:
            for key in self._changed:
                if key in touched:
                    touched[key] = touched.pop(key)
            # A few with each batch: to free thousands of objects at once would stall one.
            for key in list(islice(touched, n_to_go)):
                del touched[key]

    def restore(self, key: str, raw: bytes | None) -> None:
        """Take over one changelog record."""
        if raw is None:
            self._logged.pop(key, None)
        else:
            self._logged[key] = raw
            self._logged.move_to_end(key)


class Logged(Protocol):
    """What takes part in a changelog: a table, or several that share its prefix."""

    @property
    def prefix(self) -> str:
        """One ASCII character."""

    def restore(self, key: str, raw: bytes | None) -> None:
        """Take over one changelog record."""

    def staged(self) -> list[Change]:
        """Encode what changed since the last `log`, one record for each key."""

    def log(self, staged: list[Change]) -> None:
        """Take over what `staged` told: it cannot be undone any more."""

    def undo(self) -> object:
        """Forget what changed since the last `log`."""


class PartitionState:
    """All tables of one partition behind one changelog.

    Replaying every record that `changes` ever returned, in order or compacted, into fresh tables
    gives equal tables.

    Examples
    --------
    >>> carts: Table[str] = Table("c", encode=str.encode, decode=bytes.decode)
    >>> state = PartitionState([carts])
    >>> state.restore(b"cada", b"books")
    >>> carts.get("ada")
    'books'
    >>> state.changes()
    []
    """

    def __init__(self, tables: Sequence[Logged]) -> None:
        self.tables: Final = tuple(tables)
        self._by_prefix = {ord(table.prefix): table for table in tables}
        if len(self._by_prefix) < len(tables):
            raise InvalidDeclaration(
                f"tables share a prefix: {', '.join(table.prefix for table in tables)}"
            )

    def restore(self, key: bytes, value: bytes | None) -> None:
        """Take over one changelog record; records of tables that are no more are ignored."""
        table = self._by_prefix.get(key[0])
        if table is not None:
            table.restore(key[1:].decode(), value)

    def changes(self) -> list[Change]:
        """Collect what all tables changed since the last call, one record per key.

        What cannot be encoded raises before anything is logged, and can be undone.
        """
        staged = self.staged()
        self.log(staged)
        return [change for changes in staged for change in changes]

    def staged(self) -> list[list[Change]]:
        """Encode what changed, by table, while it can still be undone."""
        return [table.staged() for table in self.tables]

    def log(self, staged: list[list[Change]]) -> None:
        """Take over what `staged` told."""
        for table, changes in zip(self.tables, staged, strict=True):
            table.log(changes)

    def undo(self) -> None:
        """Forget what changed since `changes`, in all tables."""
        for table in self.tables:
            table.undo()
