"""Gather rows of one table and write them to Parquet, a file for each date."""

import time
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import polars as pl

from agents.offline.file_system import FileSystem
from agents.offline.manifests import Manifest, Manifests
from agents.offline.tables import Row
from schemas.errors import ThalwegError

WRITE_WITHIN_S: Final = 1_800.0
"""How long a writer may take, or stand still, before its files count as left behind."""


class TookTooLong(ThalwegError, TimeoutError):
    """A writer stood still for so long that nobody counts on its files any more."""


class TableWriter:
    """Adds rows to a table, files and manifest at once.

    Parameters
    ----------
    name
        The table's directory.
    schema
        Names and types of its columns.
    event_at
        Which column tells the event time, in ms.

    Examples
    --------
    >>> from agents.offline.file_system import FileSystem
    >>> schema = {"event_at": pl.Datetime("ms", "UTC"), "n": pl.Int64}
    >>> writer = TableWriter(FileSystem("memory://doctest/writer"), "numbers", schema, event_at=0)
    >>> writer.write("numbers-0", 0, 2, [(1_704_067_200_000, 1), (1_704_153_600_000, 2)])
    >>> [each.end for each in writer.manifests.ranges()["numbers-0"]]
    [2]
    """

    def __init__(
        self, files: FileSystem, name: str, schema: Mapping[str, Any], *, event_at: int
    ) -> None:
        self._files = files
        self._name = name
        self._schema = dict(schema)
        self._event_at = event_at
        self.manifests = Manifests(files, name)

    def write(self, source: str, start: int, end: int, rows: Sequence[Row]) -> None:
        """Write the rows of one source's records from `start` to before `end`.

        Raises
        ------
        TookTooLong
            When the files may be swept away already; nothing became part of the table.
        """
        by_date: defaultdict[str, list[Row]] = defaultdict(list)
        for row in rows:
            by_date[date_of(row[self._event_at])].append(row)
        frames = (
            (date, pl.DataFrame(rows_of_date, schema=self._schema, orient="row"))
            for date, rows_of_date in sorted(by_date.items())
        )
        write_frames(self._files, self._name, source, frames, start=start, end=end)


def write_frames(
    files: FileSystem,
    table: str,
    source: str,
    frames: Iterable[tuple[str, pl.DataFrame]],
    *,
    start: int,
    end: int,
) -> None:
    """Write a file for each date, then the manifest that makes them part of a table.

    Raises
    ------
    TookTooLong
        When the files may be swept away already; nothing became part of the table.
    """
    began_at_s = time.time()
    unique = uuid.uuid4().hex[:8]
    written, n_rows = [], 0
    for date, frame in frames:
        file = f"date={date}/{source}-{start:020d}-{unique}.parquet"
        files.write(f"{table}/{file}", frame.write_parquet)
        written.append(file)
        n_rows += frame.height
    if time.time() - began_at_s > WRITE_WITHIN_S:
        raise TookTooLong(f"{table}: the files of {source} took too long to be written")
    Manifests(files, table).add(Manifest(source, start, end, n_rows, written))


def date_of(at_ms: int) -> str:
    """Tell the date of a moment, in UTC.

    >>> date_of(1_704_067_199_999), date_of(1_704_067_200_000)
    ('2023-12-31', '2024-01-01')
    """
    return datetime.fromtimestamp(at_ms // 1_000, UTC).date().isoformat()
