"""Read tables of the offline store, each record once."""

from collections.abc import Iterable, Iterator
from typing import Final

import polars as pl

from agents.offline.file_system import FileSystem
from agents.offline.manifests import Manifest, Manifests
from agents.offline.tables import OFFSET, PARTITION
from schemas.errors import ThalwegError

DATE: Final = "date="


class EmptyTable(ThalwegError, LookupError):
    """Nothing of a table is in the store."""


def scan(
    files: FileSystem, table: str, *, first: str | None = None, last: str | None = None
) -> pl.LazyFrame:
    """Read a table, or the dates from `first` to `last` of it, without loading it yet.

    Raises
    ------
    EmptyTable
        When there is nothing to read.
    """
    manifests = Manifests(files, table)
    frames: list[pl.LazyFrame] = []
    for ranges in manifests.ranges().values():
        frames += frames_of(files, table, manifests.read(ranges), first=first, last=last)
    if not frames:
        raise EmptyTable(f"there are no `{table}` in {files.root}: does `archive` run?")
    return pl.concat(frames, how="diagonal_relaxed")


def frames_of(
    files: FileSystem,
    table: str,
    manifests: Iterable[Manifest],
    *,
    first: str | None = None,
    last: str | None = None,
) -> Iterator[pl.LazyFrame]:
    """Read what manifests of one source, in the order of offsets, hold of some dates."""
    at = 0
    for manifest in manifests:
        frame = _of_dates(files, table, manifest.files, first, last)
        if frame is not None:
            # What a predecessor wrote before it is not taken again.
            is_overlapped = manifest.start < at
            yield frame.filter(pl.col(OFFSET) >= at) if is_overlapped else frame
        at = max(at, manifest.end)


def in_order(frame: pl.LazyFrame) -> pl.LazyFrame:
    """Put rows into the order of their records, partition after partition."""
    return frame.sort(PARTITION, OFFSET)


def _of_dates(
    files: FileSystem, table: str, paths: list[str], first: str | None, last: str | None
) -> pl.LazyFrame | None:
    chosen = [
        path
        for path in paths
        if (first is None or date_of(path) >= first) and (last is None or date_of(path) <= last)
    ]
    if not chosen:
        return None
    # Of merged files, older ones may lack columns that came with an update.
    return pl.concat([_scan(files, f"{table}/{path}") for path in chosen], how="diagonal_relaxed")


def _scan(files: FileSystem, path: str) -> pl.LazyFrame:
    if files.is_local:
        return pl.scan_parquet(files.path(path))
    with files.open(path) as file:
        return pl.read_parquet(file).lazy()


def date_of(path: str) -> str:
    """Tell the date that a file holds.

    >>> date_of("date=2024-01-01/outcomes-0-00000000000000000000-0badcafe.parquet")
    '2024-01-01'
    """
    return path.partition(DATE)[2].partition("/")[0]
