"""Snapshots of any size as records of `models`, none of them large.

A snapshot of up to 1 MB is one record under its model's name, its head. Of a larger one the state
goes ahead in parts, and the head names them by their hashes. There are two places for parts, and
each snapshot takes the one that its predecessor did not: who writes half of one and dies leaves the
last one whole. Parts are overwritten by those of the next but one, so the topic stays compact.

The hashes say what belongs together. What to believe is said by the signature and the sha256 of the
whole state, which are checked once it is put together (`online_models.snapshot`).
"""

import hashlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import msgspec

from schemas.errors import UNREADABLE

PART_BYTES: Final = 1 << 20
MOST_PARTS: Final = 128
MOST_BYTES: Final = PART_BYTES * MOST_PARTS
"""The largest snapshot: a reader holds one of them in memory, and one transaction carries it."""

_PART_KEY: Final = re.compile(r"(.+)/part/([01])/([0-9]{1,3})", re.DOTALL)


class Envelope(msgspec.Struct, frozen=True, array_like=True):
    """A snapshot as it is written."""

    signature: bytes
    manifest: bytes
    state: bytes


class Head(Envelope, frozen=True, array_like=True):
    """A snapshot without its state, which went ahead in parts."""

    place: int
    """Which of the two places of parts they are in."""
    parts: tuple[bytes, ...]
    """The sha256 of each."""


@dataclass(frozen=True, slots=True)
class WholeSnapshot:
    """What a model's records come to."""

    model: str
    blob: bytes | None
    """As `online_models.snapshot.decode` reads it; `None`: it was deleted."""


def is_part(key: bytes) -> bool:
    """Tell whether a record is a part, and no snapshot or head of one.

    Examples
    --------
    >>> is_part(b"binary_forest_v1/part/0/12"), is_part(b"binary_forest_v1")
    (True, False)
    """
    return _PART_KEY.fullmatch(key.decode("utf-8", "replace")) is not None


def owner(key: bytes) -> str:
    """Tell whose record it is, be it a snapshot, its head or a part.

    Examples
    --------
    >>> owner(b"binary_forest_v1@700/part/0/12"), owner(b"binary_forest_v1")
    ('binary_forest_v1@700', 'binary_forest_v1')
    """
    text = key.decode("utf-8", "replace")
    part = _PART_KEY.fullmatch(text)
    return text if part is None else part[1]


def split(model: str, blob: bytes, *, place: int) -> list[tuple[bytes, bytes]]:
    """Cut a snapshot into key and value of its records, in the order they are to be written in.

    Parameters
    ----------
    model
        What it is published under.
    place
        0 or 1, and not where the parts of the last snapshot are; unused if there are no parts.

    Examples
    --------
    >>> small = msgspec.msgpack.encode(Envelope(b"signature", b"manifest", b"state"))
    >>> split("binary_logistic_v1", small, place=0) == [(b"binary_logistic_v1", small)]
    True
    >>> large = msgspec.msgpack.encode(Envelope(b"signature", b"manifest", bytes(PART_BYTES + 1)))
    >>> for key, value in split("binary_forest_v1", large, place=1):
    ...     print(key.decode(), len(value))
    binary_forest_v1/part/1/0 1048576
    binary_forest_v1/part/1/1 1
    binary_forest_v1 94
    """
    whole = msgspec.msgpack.decode(blob, type=Envelope)
    if len(whole.state) <= PART_BYTES:
        return [(model.encode(), blob)]
    parts = [
        whole.state[start : start + PART_BYTES] for start in range(0, len(whole.state), PART_BYTES)
    ]
    hashes = tuple(hashlib.sha256(part).digest() for part in parts)
    head = Head(whole.signature, whole.manifest, b"", place, hashes)
    *keys, key = keys_of(model, len(parts), place=place)
    return [*zip(keys, parts, strict=True), (key, msgspec.msgpack.encode(head))]


def keys_of(model: str, n_parts: int, *, place: int) -> list[bytes]:
    """Name the records of a snapshot, in the order they are written in.

    >>> keys_of("binary_forest_v1@700", 1, place=0)
    [b'binary_forest_v1@700/part/0/0', b'binary_forest_v1@700']
    """
    return [*(f"{model}/part/{place}/{n}".encode() for n in range(n_parts)), model.encode()]


class SnapshotParts:
    """Puts snapshots together from the records of `models`, as they come.

    A head whose parts are not all there waits for them, or for the next head: while a broker
    compacts the topic, parts of an older snapshot may be gone before their head is.

    Parameters
    ----------
    is_wanted
        Tells whose snapshots to put together; records of others are passed over.

    Examples
    --------
    >>> blob = msgspec.msgpack.encode(Envelope(b"signature", b"manifest", bytes(PART_BYTES + 1)))
    >>> *parts, (key, head) = split("binary_forest_v1", blob, place=0)
    >>> snapshots = SnapshotParts()
    >>> [snapshots.add(*part) for part in parts]
    [None, None]
    >>> whole = snapshots.add(key, head)
    >>> whole == WholeSnapshot("binary_forest_v1", blob)
    True
    """

    def __init__(self, is_wanted: Callable[[str], bool] = lambda model: True) -> None:
        self.places: dict[str, int] = {}
        """Where the parts of each model's newest head are, if it ever had any."""
        self._is_wanted = is_wanted
        self._parts: dict[tuple[str, int], dict[int, tuple[bytes, bytes]]] = {}
        """Model and place -> number -> sha256 and bytes."""
        self._waiting: dict[str, Head] = {}

    def add(self, key: bytes, value: bytes | None) -> WholeSnapshot | None:
        """Take in a record; give the snapshot that it completes, if it does."""
        text = key.decode("utf-8", "replace")
        if (part := _PART_KEY.fullmatch(text)) is not None:
            model = part[1]
            if self._is_wanted(model) and int(part[3]) < MOST_PARTS:
                return self._add_part(model, int(part[2]), int(part[3]), value)
            return None
        return self._add_head(text, value) if self._is_wanted(text) else None

    def incomplete(self) -> dict[str, str]:
        """Tell what each model lacks whose newest head waits for its parts."""
        lacking = {}
        for model, head in self._waiting.items():
            parts = self._parts.get((model, head.place), {})
            n = sum(parts.get(i, (b"",))[0] == sha256 for i, sha256 in enumerate(head.parts))
            lacking[model] = f"{len(head.parts) - n} of its {len(head.parts)} parts are missing"
        return lacking

    def _add_part(
        self, model: str, place: int, number: int, value: bytes | None
    ) -> WholeSnapshot | None:
        parts = self._parts.setdefault((model, place), {})
        if value is None:
            parts.pop(number, None)
            return None
        parts[number] = hashlib.sha256(value).digest(), value
        head = self._waiting.get(model)
        return None if head is None or head.place != place else self._completed(model, head)

    def _add_head(self, model: str, value: bytes | None) -> WholeSnapshot | None:
        self._waiting.pop(model, None)
        head = None if value is None else _head(value)
        if head is None:
            return WholeSnapshot(model, value)
        self.places[model] = head.place
        self._waiting[model] = head
        return self._completed(model, head)

    def _completed(self, model: str, head: Head) -> WholeSnapshot | None:
        found = self._parts.get((model, head.place), {})
        parts = [found.get(number, (b"", b"")) for number in range(len(head.parts))]
        if tuple(sha256 for sha256, _ in parts) != head.parts:
            return None
        del self._waiting[model], self._parts[model, head.place]
        whole = Envelope(head.signature, head.manifest, b"".join(part for _, part in parts))
        return WholeSnapshot(model, msgspec.msgpack.encode(whole))


def snapshot_of(records: Iterable[tuple[bytes | None, bytes | None]], name: str) -> bytes | None:
    """Find the newest snapshot of one model or version among records, oldest first.

    >>> small = msgspec.msgpack.encode(Envelope(b"signature", b"manifest", b"state"))
    >>> records = [*split("binary_ftrl_v1@7", small, place=0), (b"binary_ftrl_v1", b"")]
    >>> snapshot_of(records, "binary_ftrl_v1@7") == small
    True
    """
    parts, found = SnapshotParts(name.__eq__), None
    for key, value in records:
        if (whole := parts.add(key or b"", value)) is not None:
            found = whole.blob
    return found


def _head(value: bytes) -> Head | None:
    """Read a head that has parts; all else is whole, or junk that whoever loads it refuses."""
    try:
        head = msgspec.msgpack.decode(value, type=Head)
    except (ValueError, *UNREADABLE):
        return None
    return head if 0 < len(head.parts) <= MOST_PARTS and head.place in (0, 1) else None
