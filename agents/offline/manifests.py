"""Which files make up a table, and which records of Kafka each of them stands for.

A manifest is written after its files, whole or not at all. Its name says what it holds, so that a
listing tells how far a partition is archived. What no manifest names is not part of the table: the
remains of a writer that was killed.
"""

import re
import uuid
from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from agents.offline.file_system import FileSystem

DIRECTORY: Final = "_manifests"
_NAME: Final = re.compile(r"(?P<source>.+)-(?P<start>\d{20})-(?P<end>\d{20})-[0-9a-f]{8}\.json")


class Manifest(msgspec.Struct, frozen=True):
    """Files that became part of a table together."""

    source: str
    """Topic and partition, `outcomes-0`; or what else the rows came from."""
    start: int
    """Offset of the first record."""
    end: int
    """Offset after the last one."""
    rows: int
    files: list[str]
    """Paths within the table."""


class Range(NamedTuple):
    """What a manifest's name says of it."""

    start: int
    end: int
    name: str

    @property
    def n_offsets(self) -> int:
        """How many offsets it stands for: about as many rows as it has."""
        return self.end - self.start


class Manifests:
    """The manifests of one table.

    Examples
    --------
    >>> manifests = Manifests(FileSystem("memory://doctest/manifests"), "outcomes")
    >>> manifests.add(Manifest("outcomes-0", 0, 120, 118, ["date=2024-01-01/a.parquet"]))
    >>> manifests.next_offset("outcomes-0"), manifests.next_offset("outcomes-1")
    (120, 0)
    """

    def __init__(self, files: FileSystem, table: str) -> None:
        self._files = files
        self._directory = f"{table}/{DIRECTORY}"

    def add(self, manifest: Manifest) -> None:
        """Make files part of the table."""
        # A name of its own: who writes the same offsets at the same time overwrites nothing.
        unique = uuid.uuid4().hex[:8]
        name = f"{manifest.source}-{manifest.start:020d}-{manifest.end:020d}-{unique}.json"
        content = msgspec.json.encode(manifest)
        self._files.write(f"{self._directory}/{name}", lambda file: file.write(content))

    def next_offset(self, source: str) -> int:
        """Tell the offset up to which a source is archived."""
        return max((each.end for each in self.ranges().get(source, ())), default=0)

    def ranges(self) -> dict[str, list[Range]]:
        """Tell by source what there is, in the order of offsets; what is in another's is left out.

        Two workers write the same offsets if one of them was taken for dead. Of two manifests that
        overlap, both count, and `reader.scan` takes each record once. A manifest that was merged
        from others holds all of theirs, and so takes their place by being there.
        """
        return {source: _without_covered(ranges) for source, ranges in self._found().items()}

    def replaced(self) -> list[tuple[Range, Range]]:
        """Pair each manifest that adds nothing with one that holds all of its offsets."""
        pairs: list[tuple[Range, Range]] = []
        for ranges in self._found().values():
            kept = _without_covered(ranges)
            pairs += [
                (each, next(by for by in kept if by.start <= each.start and each.end <= by.end))
                for each in set(ranges).difference(kept)
            ]
        return sorted(pairs)

    def all(self) -> list[Range]:
        """Tell all manifests, of whatever source, also those that add nothing."""
        return sorted(each for ranges in self._found().values() for each in ranges)

    def path(self, manifest: Range) -> str:
        """Tell where a manifest is, within the store."""
        return f"{self._directory}/{manifest.name}"

    def read(self, ranges: Sequence[Range]) -> list[Manifest]:
        """Read what manifests hold."""
        return [
            msgspec.json.decode(self._files.read(self.path(each)), type=Manifest) for each in ranges
        ]

    def _found(self) -> dict[str, list[Range]]:
        self._files.forget_listings()
        found: dict[str, list[Range]] = {}
        for name in self._files.ls(self._directory):
            if (match := _NAME.fullmatch(name)) is not None:
                source, start, end = match["source"], int(match["start"]), int(match["end"])
                found.setdefault(source, []).append(Range(start, end, name))
        return found


def _without_covered(ranges: list[Range]) -> list[Range]:
    """Leave out what adds nothing.

    >>> [(r.start, r.end) for r in _without_covered([
    ...     Range(0, 5, "a"), Range(0, 9, "b"), Range(5, 9, "c"), Range(8, 12, "d")])]
    [(0, 9), (8, 12)]
    """
    kept: list[Range] = []
    for each in sorted(ranges, key=lambda each: (each.start, -each.end, each.name)):
        if not kept or each.end > kept[-1].end:
            kept.append(each)
    return kept
