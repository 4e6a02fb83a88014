"""A history of events in a file, CSV, JSON lines or Parquet: read, mapped, in time order.

Only what cannot be mapped is an error here: a missing column, a time that is none, what JSON has no
form for. Everything else is published as it stands, for the predict role to judge like any other
event. So JSON lines are events as they would have come. What other files cannot say is read thus:

- A cell of a CSV is text. An empty one says nothing; in a field that takes numbers a number is one;
  a time without an offset is in UTC.
- A null of Parquet says nothing, a moment without a time zone is in UTC, a decimal is a number.
  Text is text, as in JSON: an empty one is a value, and one that looks like a number is none.
"""

import csv
import gzip
import hashlib
from collections.abc import Iterator, Mapping, Set
from datetime import UTC, datetime
from operator import attrgetter
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

import orjson
from msgspec import inspect

from schemas.errors import ThalwegError
from schemas.events import UserEvent

REQUIRED: Final = ("user_id", "action", "ts")
FINGERPRINT_IN_IDS: Final = 12
"""Hexadecimal digits: of a million files of one name, two share theirs with odds of 1 to 500."""


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

    The whole file is held in memory: sorting needs it. An event without an `event_id` is known by
    its file's name, what that holds, and its row: wherever the file lies, and whatever others of
    that name there are.

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
        Names the file, the row, and what is missing, or the column and what to do about it.
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
    moment = datetime.fromisoformat(text.replace("z", "Z"))  # RFC 3339 has both
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    # In whole numbers: a float's seconds would lose milliseconds to rounding.
    since_epoch = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (since_epoch.days * 86_400 + since_epoch.seconds) * 1_000 + (
        since_epoch.microseconds // 1_000
    )


def _events(path: Path, record: type[UserEvent], columns: Mapping[str, str]) -> Iterator[FileEvent]:
    described = inspect.type_info(record)
    assert isinstance(described, inspect.StructType)  # noqa: S101 - for the type checker
    kinds = {field.name: _kinds(field.type) for field in described.fields}
    sources = {field: columns.get(field, field) for field in kinds}
    numeric = {field for field, types in kinds.items() if _is_numeric(types)}
    is_csv = _kind(path) == "csv"
    ids_begin = f"{stem(path)}-{fingerprint(path)[:FINGERPRINT_IN_IDS]}"
    rows = _rows(path, {sources[field]: types for field, types in kinds.items()})
    for number, row in enumerate(rows, start=1):
        for field in REQUIRED:
            if row.get(sources[field]) is None:
                raise UnreadableFile(
                    f"{path}: row {number} lacks the column `{sources[field]}`"
                    f" (event field `{field}`)"
                )
        event = {field: row[column] for field, column in sources.items() if column in row}
        if is_csv:
            event = _of_cells(event, numeric)
        try:
            ts = to_ms(event.get("ts", ""))
        except ValueError as error:
            at = event.get("ts", "")
            raise UnreadableFile(
                f"{path}: row {number} has no time, but {at!r}: {error}"
            ) from error
        if is_csv or not isinstance(event["ts"], str):
            event["ts"] = ts
        if event.get("event_id") is None:
            event["event_id"] = f"{ids_begin}-{number}"
        try:
            value = orjson.dumps(event)
        except orjson.JSONEncodeError as error:
            column = next(sources[field] for field in event if not _has_json(event[field]))
            raise UnreadableFile(
                f"{path}: row {number}: JSON has no form for what the column `{column}` holds"
                f" ({error}): make it text or a number, as its field is declared"
            ) from error
        yield FileEvent(ts, str(event["event_id"]), str(event.get("user_id", "")).encode(), value)


def _kinds(type_: inspect.Type) -> set[type]:
    """Tell which kinds of values a field takes."""
    return set(map(type, getattr(type_, "types", (type_,))))


def _is_numeric(kinds: set[type]) -> bool:
    """Tell whether a field takes a number and nothing that a text could be.

    >>> _is_numeric({inspect.FloatType, inspect.NoneType})
    True
    >>> _is_numeric({inspect.StrType, inspect.IntType})
    False
    """
    return not kinds.isdisjoint((inspect.IntType, inspect.FloatType)) and (
        inspect.StrType not in kinds
    )


def _of_cells(event: Mapping[str, Any], numeric: Set[str]) -> dict[str, Any]:
    """Read the cells of a CSV.

    >>> _of_cells({"user_id": "7", "amount": "12", "item_id": "", "duration": None}, {"amount"})
    {'user_id': '7', 'amount': 12}
    """
    return {
        field: _number(cell) if field in numeric else cell
        for field, cell in event.items()
        if cell not in (None, "")
    }


def _has_json(value: object) -> bool:
    try:
        orjson.dumps(value)
    except orjson.JSONEncodeError:
        return False
    return True


def _number(cell: str) -> object:
    """Read a CSV's text as the number that JSON would; leave others to the judge of events.

    >>> _number("12"), _number("1.5"), _number("a dozen"), _number("true")
    (12, 1.5, 'a dozen', 'true')
    """
    try:
        number = orjson.loads(cell)
    except orjson.JSONDecodeError:
        return cell
    return number if type(number) in (int, float) else cell


def _kind(path: Path) -> str:
    return path.name.removesuffix(".gz").rpartition(".")[2]


def _rows(path: Path, kinds: Mapping[str, set[type]]) -> Iterator[Mapping[str, Any]]:
    """Read a file's rows; `kinds` tells what the fields take that its columns are for."""
    kind = _kind(path)
    if kind == "parquet":
        yield from _parquet_rows(path, kinds)
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


def _parquet_rows(path: Path, kinds: Mapping[str, set[type]]) -> Iterator[Mapping[str, Any]]:
    import polars as pl  # noqa: PLC0415  # a third of a second, and most files are not Parquet

    try:
        frame = pl.read_parquet(path)
    except OSError as error:
        raise UnreadableFile(f"cannot read {path}: {error.strerror or error}") from error
    except pl.exceptions.PolarsError as error:
        raise UnreadableFile(f"{path}: {str(error).splitlines()[0]}") from error
    decimals: dict[str, type[int] | type[float]] = {}
    for column, holds in frame.schema.items():
        takes = kinds.get(column, ())
        if isinstance(holds, pl.Decimal) and inspect.IntType in takes and holds.scale == 0:
            decimals[column] = int
        elif isinstance(holds, pl.Decimal) and inspect.FloatType in takes:
            decimals[column] = float
    for row in frame.iter_rows(named=True):
        said = {column: value for column, value in row.items() if value is not None}
        for column in decimals.keys() & said.keys():
            said[column] = decimals[column](said[column])
        yield said


def _open(path: Path) -> IO[str]:
    # Excel's CSVs begin with a mark that tells that they are UTF-8.
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")
    return path.open(encoding="utf-8-sig", newline="")


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
