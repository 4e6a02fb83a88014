"""Tables in single files, as people hand them over: CSV or Parquet."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import polars as pl

from schemas.errors import ThalwegError
from streams.entities import USER_KEY

SUFFIXES: Final = (".csv", ".parquet")


class UnusableFile(ThalwegError, ValueError):
    """A file of rows cannot be read or written; the message names it and says why."""


def check_suffix(path: Path) -> None:
    """Refuse a file whose name does not say what it holds, before the work begins."""
    if path.suffix not in SUFFIXES:
        raise UnusableFile(f"{path}: expected {' or '.join(SUFFIXES)}")


def read(path: Path, *, moments: str, ids: Sequence[str] = (USER_KEY,)) -> pl.DataFrame:
    """Read a table.

    Parameters
    ----------
    moments
        A column that holds points in time; a CSV has them as text, and those are read: RFC 3339,
        in UTC unless they say otherwise.
    ids
        Columns that hold ids, which are text.
    """
    check_suffix(path)
    try:
        # Else `0042` would be a number, and another user.
        as_text = dict.fromkeys(ids, pl.String)
        frame = (
            pl.read_csv(path, schema_overrides=as_text)
            if path.suffix == ".csv"
            else pl.read_parquet(path)
        )
        if frame.schema.get(moments) == pl.String:
            read_moments = [None if text is None else moment(text) for text in frame[moments]]
            frame = frame.with_columns(pl.Series(moments, read_moments, pl.Datetime("us", "UTC")))
    except OSError as error:
        raise UnusableFile(f"cannot read {path}: {error.strerror or error}") from error
    except (pl.exceptions.PolarsError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise UnusableFile(f"{path}: {reason}") from error
    return frame


def moment(text: str) -> datetime:
    """Read a time point: RFC 3339, UTC unless it says otherwise.

    >>> moment("2024-03-13 11:21:14+01:00") == moment("2024-03-13T10:21:14")
    True
    """
    read_as = datetime.fromisoformat(text)
    return read_as.replace(tzinfo=UTC) if read_as.tzinfo is None else read_as.astimezone(UTC)


def write(frame: pl.DataFrame, path: Path) -> None:
    """Write a table."""
    check_suffix(path)
    try:
        if path.suffix == ".csv":
            frame.write_csv(path)
        else:
            frame.write_parquet(path)
    except OSError as error:
        raise UnusableFile(f"cannot write {path}: {error.strerror or error}") from error
