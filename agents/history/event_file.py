"""A history of events in a file, CSV, JSON lines or Parquet: read, mapped, in time order.

Only what cannot be mapped is an error here: a missing column, a time that is none. Everything else
is published as it stands, for the predict role to judge like any other event.
"""

import csv
import gzip
import hashlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from operator import attrgetter
from pathlib import Path
from typing import IO, Any, Final, NamedTuple, get_args

import msgspec
import orjson

from schemas.errors import ThalwegError
from schemas.events import UserEvent

REQUIRED: Final = ("user_id", "action", "ts")


class UnreadableFile(ThalwegError, ValueError):
    """A file of events cannot be mapped to events; the message names the file and the row."""


class FileEvent(NamedTuple):
    """One event, ready to be published."""

    ts: int
    """Event time, ms since the epoch."""
    event_id: str
    key: bytes
    value: bytes


def read(path: Path, record: type[UserEvent], columns: Mapping[str, str]) -> list[FileEvent]:
    """Read a file's events in the order of their time; ties keep the file's order.

    The whole file is held in memory: sorting needs it.

    Parameters
    ----------
    path
        `.csv` or `.jsonl`, possibly with `.gz` behind it, or `.parquet`.
    record
        What an event is; columns it does not declare are left out.
    columns
        Event field -> column, where they differ.

    Raises
    ------
    UnreadableFile
        Names the file, the row, and what is missing.
    """
    return sorted(_events(path, record, columns), key=attrgetter("ts"))


def fingerprint(path: Path) -> str:
    """Identify a file by what it holds."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UnreadableFile(f"cannot read {path}: {error.strerror}") from error


def stem(path: Path) -> str:
    """Name a file without its suffixes: what its events' ids begin with.

    >>> stem(Path("examples/clickstream.csv.gz"))
    'clickstream'
    """
    return path.name.removesuffix(".gz").rpartition(".")[0] or path.name


def to_ms(at: object) -> int:
    """Read a time point: milliseconds since the epoch, or RFC 3339; UTC unless it says otherwise.

    >>> to_ms("2024-03-13 10:21:14"), to_ms("2024-03-13T11:21:14.250+01:00")
    (1710325274000, 1710325274250)
    >>> to_ms("1710325274000"), to_ms(1710325274000)
    (1710325274000, 1710325274000)
    >>> to_ms("yesterday")
    Traceback (most recent call last):
    ValueError: Invalid isoformat string: 'yesterday'
    """
    if isinstance(at, int) and not isinstance(at, bool):
        return at
    text = str(at).strip()
    if text.removeprefix("-").isdecimal():
        return int(text)
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    # In whole numbers: a float's seconds would lose milliseconds to rounding.
    since_epoch = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (since_epoch.days * 86_400 + since_epoch.seconds) * 1_000 + (
        since_epoch.microseconds // 1_000
    )


def _events(path: Path, record: type[UserEvent], columns: Mapping[str, str]) -> Iterator[FileEvent]:
    fields = msgspec.structs.fields(record)
    sources = [(field.name, columns.get(field.name, field.name)) for field in fields]
    required = [(field, column) for field, column in sources if field in REQUIRED]
    numeric = {field.name for field in fields if _is_numeric(field.type)}
    ids_begin = stem(path)
    for number, row in enumerate(_rows(path), start=1):
        for field, column in required:
            if row.get(column) is None:
                raise UnreadableFile(
                    f"{path}: row {number} lacks the column `{column}` (event field `{field}`)"
                )
        # An empty cell says nothing, of whatever type its field is.
        event = {
            field: row[column] for field, column in sources if row.get(column) not in (None, "")
        }
        try:
            event["ts"] = ts = to_ms(event.get("ts", ""))
        except ValueError as error:
            raise UnreadableFile(f"{path}: row {number} has no time: {error}") from error
        for field in numeric & event.keys():
            event[field] = _number(event[field])
        event_id = str(event.setdefault("event_id", f"{ids_begin}-{number}"))
        key = str(event.get("user_id", "")).encode()
        yield FileEvent(ts, event_id, key, orjson.dumps(event))


def _is_numeric(type_: object) -> bool:
    """Tell whether a field takes a number and nothing that a text could be.

    >>> _is_numeric(float | None), _is_numeric(str | int)
    (True, False)
    """
    choices = set(get_args(type_) or (type_,))
    return bool(choices & {int, float}) and str not in choices


def _number(cell: object) -> object:
    """Read a CSV's text as the number that JSON would; leave others to the judge of events.

    >>> _number("12"), _number("1.5"), _number("a dozen"), _number("true")
    (12, 1.5, 'a dozen', 'true')
    """
    if not isinstance(cell, str):
        return cell
    try:
        number = orjson.loads(cell)
    except orjson.JSONDecodeError:
        return cell
    return number if type(number) in (int, float) else cell


def _rows(path: Path) -> Iterator[Mapping[str, Any]]:
    kind = path.name.removesuffix(".gz").rpartition(".")[2]
    if kind == "parquet":
        yield from _parquet_rows(path)
        return
    read_rows = {"csv": _csv_rows, "jsonl": _jsonl_rows, "ndjson": _jsonl_rows}.get(kind)
    if read_rows is None:
        raise UnreadableFile(f"{path}: expected .parquet, .csv, .jsonl or the latter with .gz")
    try:
        with _open(path) as lines:
            yield from read_rows(path, lines)
    except (OSError, EOFError) as error:  # a truncated gzip is an EOFError
        reason = getattr(error, "strerror", None) or error
        raise UnreadableFile(f"cannot read {path}: {reason}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise UnreadableFile(f"{path}: {error}") from error


def _parquet_rows(path: Path) -> Iterator[Mapping[str, Any]]:
    import polars as pl  # noqa: PLC0415  # a third of a second, and most files are not Parquet

    try:
        yield from pl.read_parquet(path).iter_rows(named=True)
    except OSError as error:
        raise UnreadableFile(f"cannot read {path}: {error.strerror or error}") from error
    except pl.exceptions.PolarsError as error:
        raise UnreadableFile(f"{path}: {str(error).splitlines()[0]}") from error


def _open(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", newline="")
    return path.open(encoding="utf-8", newline="")


def _csv_rows(_path: Path, lines: IO[str]) -> Iterator[Mapping[str, Any]]:
    return csv.DictReader(lines)


def _jsonl_rows(path: Path, lines: IO[str]) -> Iterator[Mapping[str, Any]]:
    for number, line in enumerate(lines, start=1):
        try:
            row = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise UnreadableFile(f"{path}: row {number} is not JSON: {error}") from error
        if not isinstance(row, dict):
            raise UnreadableFile(f"{path}: row {number} is not a JSON object")
        yield row
