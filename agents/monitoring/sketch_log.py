"""All sketches since a moment: from the offline store as far as it goes, then from the topic."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec
import polars as pl
from faust.types.tuples import TP

from agents.admin import topic_admin, topic_reader
from agents.kafka.client_settings import KafkaSettings
from agents.kafka.log_reader import read_to_end
from agents.offline import tables
from agents.offline.file_system import FileSystem
from agents.offline.manifests import Manifests
from agents.offline.reader import frames_of
from agents.offline.table_writer import date_of
from agents.settings import Settings
from schemas import topics
from schemas.errors import UNREADABLE, ThalwegError
from schemas.sketches import SketchMinute

_TABLE: Final = tables.SKETCHES
_COLUMNS: Final = ("use_case", "event_at", "partition", "model", "signals", "sketches")
_AT_MS: Final = pl.col("event_at").dt.epoch("ms")
_AHEAD_MS: Final = 3_600_000
"""By how much clocks of events may be ahead of those of who publishes, at most."""
_LAST: Final = 1_000
_decode: Final = msgspec.json.Decoder(SketchMinute).decode


class NoSketches(ThalwegError, LookupError):
    """Nothing was counted yet."""


def records_since(settings: Settings, use_case: str, since_ms: int) -> Iterator[SketchMinute]:
    """Yield each record of event time from a moment on, once; those of the offline store first.

    Raises
    ------
    DeliveryFailed
        The broker cannot be reached.
    ThalwegError
        The offline store cannot be read.
    """
    topic = topics.SKETCHES.named(settings.topic_prefix)
    source = f"{_TABLE.name}-0-{topic_admin.topic_id(settings, topic)}"
    files = FileSystem(settings.offline_store)
    frames, archived = archive(files, source, first=date_of(since_ms))
    yield from archived_since(files.root, frames, use_case, since_ms)
    start = max(archived, topic_reader.offset_at(settings, topic, since_ms - _AHEAD_MS))
    kafka = KafkaSettings(bootstrap=settings.kafka_bootstrap, group=f"{settings.topic_prefix}drift")
    for _, _, value in read_to_end(kafka, TP(topic, 0), start=start):
        try:
            record = _decode(value or b"")
        except UNREADABLE:
            continue
        if record.use_case == use_case and record.event_at >= since_ms:
            yield record


def archive(files: FileSystem, source: str, *, first: str) -> tuple[list[pl.LazyFrame], int]:
    """Tell what the offline store holds from a date on, and to which offset of a source it does."""
    manifests = Manifests(files, _TABLE.name)
    # Listed once: what is archived meanwhile is read from the topic, and not twice.
    found = manifests.ranges()
    frames = [
        frame
        for ranges in found.values()
        for frame in frames_of(files, _TABLE.name, manifests.read(ranges), first=first)
    ]
    return frames, max((each.end for each in found.get(source, ())), default=0)


def archived_since(
    root: str, frames: Sequence[pl.LazyFrame], use_case: str, since_ms: int
) -> Iterator[SketchMinute]:
    """Yield the records of frames, in the order of event time."""
    if not frames:
        return
    is_asked = (pl.col("use_case") == use_case) & (
        pl.col("event_at") >= datetime.fromtimestamp(since_ms / 1_000, UTC)
    )
    found = pl.concat(frames, how="diagonal_relaxed").filter(is_asked).select(_COLUMNS)
    rows = found.with_columns(_AT_MS).sort("event_at", maintain_order=True)
    for row in _collected(rows, root).iter_rows():
        yield SketchMinute(*row)


def newest_archived_ms(root: str, frames: Sequence[pl.LazyFrame], use_case: str) -> int | None:
    """Tell the newest event time of frames, of which nothing else is read; `None`: there is none.

    >>> at = pl.Series([1_000, 5_000, 9_000]).cast(pl.Datetime("ms", "UTC"))
    >>> frame = pl.LazyFrame({"use_case": ["a", "a", "b"], "event_at": at})
    >>> newest_archived_ms("", [frame], "a"), newest_archived_ms("", [], "a")
    (5000, None)
    """
    if not frames:
        return None
    every = pl.concat(frames, how="diagonal_relaxed").filter(pl.col("use_case") == use_case)
    newest: int | None = _collected(every.select(_AT_MS.max()), root).item()
    return newest


def _collected(rows: pl.LazyFrame, root: str) -> pl.DataFrame:
    try:
        return rows.collect()
    except (OSError, pl.exceptions.PolarsError) as error:
        told = str(error).partition("\n")[0]
        raise ThalwegError(f"the sketches of {root} cannot be read: {told}") from error


def newest_ms(settings: Settings, use_case: str) -> int:
    """Tell the event time of the newest record; where the topic has none, of the offline store's.

    Raises
    ------
    NoSketches
        There are none.
    """
    topic = topics.SKETCHES.named(settings.topic_prefix)
    found = 0
    for message in topic_reader.read_to_end(settings, topic, last=_LAST):
        try:
            record = _decode(message.value() or b"")
        except UNREADABLE:
            continue
        if record.use_case == use_case:
            found = max(found, record.event_at)
    if found:
        return found
    frames, _ = archive(FileSystem(settings.offline_store), "", first="")
    archived_ms = newest_archived_ms(settings.offline_store, frames, use_case)
    if archived_ms is None:
        raise NoSketches(f"there are no sketches of {use_case} yet: does `watch` run?")
    return archived_ms
