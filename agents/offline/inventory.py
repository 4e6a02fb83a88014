"""What is in the offline store, as its manifests tell: no data is read."""

from typing import NamedTuple

from agents.offline.file_system import FileSystem
from agents.offline.manifests import DIRECTORY, Manifests
from agents.offline.reader import date_of


class Totals(NamedTuple):
    """One table."""

    rows: int
    """What two workers wrote both counts twice."""
    files: int
    manifests: int
    first_date: str | None
    last_date: str | None


def tables(files: FileSystem) -> list[str]:
    """Name the tables of a store.

    >>> files = FileSystem("memory://doctest/inventory")
    >>> files.write("outcomes/_manifests/a.json", lambda file: file.write(b"{}"))
    >>> files.write("notes.txt", lambda file: file.write(b""))
    >>> tables(files)
    ['outcomes']
    """
    files.forget_listings()
    return [name for name in files.ls("") if files.ls(f"{name}/{DIRECTORY}")]


def totals(files: FileSystem, table: str) -> Totals:
    """Tell how large a table is, and how far it reaches."""
    manifests = Manifests(files, table)
    found = [each for ranges in manifests.ranges().values() for each in manifests.read(ranges)]
    paths = [path for manifest in found for path in manifest.files]
    dates = [date_of(path) for path in paths]
    return Totals(
        rows=sum(manifest.rows for manifest in found),
        files=len(paths),
        manifests=len(found),
        first_date=min(dates, default=None),
        last_date=max(dates, default=None),
    )
