"""Merge a table's small files into large ones, beside whoever reads and writes it.

A manifest that holds the offsets of others takes their place by being there: the swap is the
writing of one file. What it replaced stays for those who are reading it; `sweeping` removes it.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import polars as pl

from agents.offline.file_system import FileSystem
from agents.offline.manifests import Manifest, Manifests, Range
from agents.offline.reader import date_of, frames_of
from agents.offline.table_writer import write_frames
from agents.offline.tables import OFFSET

AT_LEAST: Final = 8
"""Manifests of a source that are merged at once while its archive runs."""
MAX_OFFSETS: Final = 500_000
"""What is as large is merged no further: so much fits into memory."""

Choose = Callable[[Sequence[Range]], "list[Sequence[Range]]"]


def newest_when_many(
    ranges: Sequence[Range], *, at_least: int = AT_LEAST, max_offsets: int = MAX_OFFSETS
) -> list[Sequence[Range]]:
    """Choose the newest small manifests once there are many of them.

    They take an older one along only if it is no larger than they are together. So a record is
    written again as often as its manifest can double, and no oftener.

    >>> def of(*sizes):
    ...     ends = [sum(sizes[: n + 1]) for n in range(len(sizes))]
    ...     return [Range(end - size, end, "") for size, end in zip(sizes, ends)]
    >>> def chosen(*sizes):
    ...     groups = newest_when_many(of(*sizes), at_least=3, max_offsets=40)
    ...     return [[each.n_offsets for each in group] for group in groups]
    >>> chosen(5, 5), chosen(5, 5, 5), chosen(16, 5, 5, 5), chosen(15, 5, 5, 5), chosen(30, 5, 5, 5)
    ([], [[5, 5, 5]], [[5, 5, 5]], [[15, 5, 5, 5]], [[5, 5, 5]])
    """
    chosen: list[Range] = []
    n_offsets = 0
    for each in reversed(ranges):
        if n_offsets + each.n_offsets > max_offsets:
            break
        if len(chosen) >= at_least and each.n_offsets > n_offsets:
            break
        chosen.append(each)
        n_offsets += each.n_offsets
    return [chosen[::-1]] if len(chosen) >= at_least else []


def all_that_fit(
    ranges: Sequence[Range], *, max_offsets: int = MAX_OFFSETS
) -> list[Sequence[Range]]:
    """Choose all neighbours that fit together.

    >>> sizes = [30, 5, 5, 40, 5]
    >>> ranges = [Range(sum(sizes[:n]), sum(sizes[: n + 1]), "") for n in range(len(sizes))]
    >>> groups = all_that_fit(ranges, max_offsets=40)
    >>> [[each.n_offsets for each in group] for group in groups]
    [[30, 5, 5]]
    """
    groups: list[list[Range]] = [[]]
    for each in ranges:
        if sum(other.n_offsets for other in groups[-1]) + each.n_offsets > max_offsets:
            groups.append([])
        groups[-1].append(each)
    return [group for group in groups if len(group) > 1]


def compact(
    files: FileSystem,
    table: str,
    *,
    choose: Choose = all_that_fit,
    sources: Iterable[str] | None = None,
) -> int:
    """Merge manifests and their files; tell how many manifests went into others.

    Whoever reads meanwhile sees each row once, and so does whoever reads after a crash at any
    moment: what was not finished is not part of the table.

    Parameters
    ----------
    choose
        Tells which neighbours are merged, of one source's manifests.
    sources
        Whose manifests; by default everybody's.
    """
    manifests = Manifests(files, table)
    n_merged = 0
    of = None if sources is None else set(sources)
    for source, ranges in manifests.ranges().items():
        if of is None or source in of:
            for group in choose(ranges):
                _merge(files, table, source, manifests.read(group))
                n_merged += len(group)
    return n_merged


def _merge(files: FileSystem, table: str, source: str, group: Sequence[Manifest]) -> None:
    dates = sorted({date_of(path) for manifest in group for path in manifest.files})
    frames = ((date, _of_date(files, table, group, date)) for date in dates)
    end = max(manifest.end for manifest in group)
    write_frames(files, table, source, frames, start=group[0].start, end=end)


def _of_date(files: FileSystem, table: str, group: Sequence[Manifest], date: str) -> pl.DataFrame:
    parts = list(frames_of(files, table, group, first=date, last=date))
    # Columns that came with an update are null before it.
    return pl.concat(parts, how="diagonal_relaxed").sort(OFFSET).collect()
