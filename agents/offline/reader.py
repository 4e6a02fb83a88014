"""Read tables of the offline store, each record once."""

from typing import Final

import polars as pl

from agents.offline.file_system import FileSystem
from agents.offline.manifests import Manifests
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
        at = 0
        for manifest in manifests.read(ranges):
            frame = _of_dates(files, table, manifest.files, first, last)
            if frame is not None:
                # What a predecessor wrote before it is not taken again.
                is_overlapped = manifest.start < at
                frames.append(frame.filter(pl.col(OFFSET) >= at) if is_overlapped else frame)
            at = max(at, manifest.end)
    if not frames:
        raise EmptyTable(f"there are no `{table}` in {files.root}: does `archive` run?")
    return pl.concat(frames, how="diagonal_relaxed")


def in_order(frame: pl.LazyFrame) -> pl.LazyFrame:
    """Put rows into the order of their records, partition after partition."""
    return frame.sort(PARTITION, OFFSET)


def _of_dates(
    files: FileSystem, table: str, paths: list[str], first: str | None, last: str | None
) -> pl.LazyFrame | None:
    chosen = [
        path
        for path in paths
        if (first is None or _date(path) >= first) and (last is None or _date(path) <= last)
    ]
    if not chosen:
        return None
    return pl.concat([_scan(files, f"{table}/{path}") for path in chosen])


def _scan(files: FileSystem, path: str) -> pl.LazyFrame:
    if files.is_local:
        return pl.scan_parquet(files.path(path))
    with files.open(path) as file:
        return pl.read_parquet(file).lazy()


def _date(path: str) -> str:
    """Tell the date that a file holds.

    >>> _date("date=2024-01-01/outcomes-0-00000000000000000000-0badcafe.parquet")
    '2024-01-01'
    """
    return path.partition(DATE)[2].partition("/")[0]
