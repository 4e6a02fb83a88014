"""Compute the features of a history from files, as predict would have served them."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from operator import attrgetter
from pathlib import Path
from typing import Any, Final

import msgspec
import polars as pl

from agents.history import event_file
from agents.history.event_file import FileEvent
from agents.offline.file_system import FileSystem
from agents.offline.table_writer import TableWriter
from agents.offline.tables import OFFSET, PARTITION, Row
from agents.pipeline import Pipeline
from schemas.errors import InvalidRecord, ThalwegError
from schemas.events import UserEvent
from schemas.reasons import Reason
from streams.clean import EventCleaner
from streams.entities import USER, USER_KEY
from streams.feature_history import feature_history
from streams.feature_set import CompiledView

CHUNK: Final = 100_000
"""Rows that are written together."""
TELL_EVERY: Final = 2_000
READING: Final = 2
"""Counts how often it changed which events a file holds, in which order, and what their ids are."""

Features = Mapping[str, float]
Report = Callable[[int, int], None]
"""Called with how many events are done, and how many there are."""


class AnotherHistory(ThalwegError, ValueError):
    """A table holds the features of another history; the message says what to do."""


@dataclass(slots=True)
class Backfilled:
    """What became of a history's events."""

    table: str
    events: int
    rows: int = 0
    """Events with features, whether written now or by an earlier run."""
    written: int = 0
    set_aside: Counter[str] = field(default_factory=Counter)
    """By reason; predict would have made dead letters of them."""
    elsewhere: int = 0
    """Events that are about no entity of the kind that was asked for."""

    @property
    def duplicates(self) -> int:
        """Events whose id came before."""
        return self.events - self.rows - self.set_aside.total() - self.elsewhere


@dataclass(frozen=True, slots=True)
class FeatureTable:
    """What a row is about, and what it tells."""

    name: str
    keys: tuple[str, ...]
    """Columns that name the entity: fields of the event."""
    features: tuple[str, ...]
    views: tuple[CompiledView, ...]
    """Whose features are computed beside the user's."""
    key: Callable[[UserEvent], str | None]
    """Tells the entity of an event; `None`: it has no row."""


def table_of(pipeline: Pipeline, entity: str = USER) -> str:
    """Name the table of an entity's features: see `feature_table`."""
    return feature_table(pipeline, entity).name


def feature_table(pipeline: Pipeline, entity: str = USER) -> FeatureTable:
    """Tell the table of a kind of entity; with other declarations it is another one.

    That of users holds whatever follows from one user's events, entities of the user included.

    Raises
    ------
    InvalidDeclaration
        The pipeline declares no such entity.
    """
    built = pipeline.compiled()
    if entity == USER:
        names = built.names[: built.n_exact]
        name = _table(pipeline, built.schema)
        return FeatureTable(name, (USER_KEY,), names, built.of_user, lambda event: USER_KEY)
    view = built.view(entity)
    views = built.of_user if view in built.of_user else (*built.of_user, view)
    name = _table(pipeline, f"{entity}-{view.fold.schema}")
    return FeatureTable(name, view.entity.keys, view.names, views, view.key)


def backfill(
    pipeline: Pipeline,
    paths: Sequence[Path],
    files: FileSystem,
    *,
    now_ms: int,
    entity: str = USER,
    report: Report = lambda _done, _of: None,
) -> Backfilled:
    """Write a row for each event of one history: who, when, and the features as of it.

    Done again it adds nothing; a run that was interrupted goes on where it was.

    Parameters
    ----------
    paths
        The files that hold the history, in whatever order: events of one moment come in the order
        of their files' names, and of what these hold where names are equal.
    now_ms
        The present, ms since the epoch: what claims to be later is no event.
    entity
        Whose features: a kind that the pipeline declares, or users. Features of an entity are as of
        its latest event, whoever's it was.

    Raises
    ------
    UnreadableFile
        Names the file, the row, and what is missing.
    AnotherHistory
        Features of other files are there: windows that reach into both would be wrong.
    """
    table = feature_table(pipeline, entity)
    columns = pipeline.replay.columns if pipeline.replay is not None else {}
    history = sorted((event_file.stem(path), event_file.fingerprint(path), path) for path in paths)
    read = (event_file.read(path, pipeline.event, columns) for *_, path in history)
    events = sorted(chain.from_iterable(read), key=attrgetter("ts"))
    told = Backfilled(table.name, len(events))
    schema: dict[str, Any] = {
        "event_id": pl.String,
        **dict.fromkeys(table.keys, pl.String),
        "event_at": pl.Datetime("ms", "UTC"),
        **dict.fromkeys(table.features, pl.Float64),
        PARTITION: pl.Int32,
        OFFSET: pl.Int64,
    }
    writer = TableWriter(files, table.name, schema, event_at=list(schema).index("event_at"))
    # Ids follow from names and what files hold, and so does the order of events of one moment.
    named = [(name, fingerprint) for name, fingerprint, _ in history]
    source = f"{named[0][0]}-{_digest(repr(named))}"
    ranges = writer.manifests.ranges()
    if others := ranges.keys() - {source}:
        place = files.path(table.name)
        raise AnotherHistory(
            f"{place} holds the history {min(others)}: name all files of one history"
            " together, and remove that directory or choose another THALWEG_OFFLINE_STORE"
        )
    n_there = max((each.end for each in ranges.get(source, ())), default=0)

    def set_aside(_: UserEvent, __: Exception) -> None:
        told.set_aside[Reason.PROCESSING_FAILED] += 1

    folded = feature_history(
        pipeline.compiled().user,
        _cleaned(pipeline, events, told, report, now_ms),
        deduplication=pipeline.deduplication,
        max_event_ids=pipeline.max_event_ids,
        views=table.views,
        lateness=pipeline.allowed_lateness,
        on_failure=set_aside,
    )
    rows = (
        (
            event.event_id,
            *(str(getattr(event, key)) for key in table.keys),
            event.ts,
            *map(values.__getitem__, table.features),
            0,
            n,
        )
        for n, (event, values) in enumerate(_about(table, folded, told))
    )
    while chunk := list(islice(rows, CHUNK)):
        _write(writer, source, chunk, n_there, told)
    report(told.events, told.events)
    return told


def _about(
    table: FeatureTable, history: Iterator[tuple[UserEvent, Features]], told: Backfilled
) -> Iterator[tuple[UserEvent, Features]]:
    """Pass over events that are about no entity of the table's kind."""
    for event, values in history:
        if table.key(event) is None:
            told.elsewhere += 1
        else:
            yield event, values


def _write(
    writer: TableWriter, source: str, chunk: Sequence[Row], n_there: int, told: Backfilled
) -> None:
    start, told.rows = told.rows, told.rows + len(chunk)
    missing = chunk[max(n_there - start, 0) :]
    if missing:
        writer.write(source, told.rows - len(missing), told.rows, missing)
        told.written += len(missing)


def _cleaned(
    pipeline: Pipeline,
    events: Sequence[FileEvent],
    told: Backfilled,
    report: Report,
    now_ms: int,
) -> Iterator[UserEvent]:
    clean = EventCleaner(
        pipeline.event,
        actions=pipeline.actions,
        max_bytes=pipeline.max_event_bytes,
        future_tolerance=pipeline.future_tolerance,
    ).clean
    for n, event in enumerate(events):
        if n % TELL_EVERY == 0:
            report(n, told.events)
        try:
            # When they were published is not known: as if at the time that they tell.
            yield clean(event.key, event.value, published_at_ms=min(event.ts, now_ms))
        except InvalidRecord as invalid:
            told.set_aside[invalid.reason] += 1


def _table(pipeline: Pipeline, schema: str) -> str:
    # With another cleaning other events are accepted, and rows are numbered otherwise.
    cleaning = (
        READING,
        sorted(pipeline.actions),
        sorted(pipeline.replay.columns.items()) if pipeline.replay is not None else (),
        [(field.name, str(field.type)) for field in msgspec.structs.fields(pipeline.event)],
        pipeline.deduplication,
        (pipeline.max_event_ids, pipeline.max_event_bytes),
    )
    return f"features-{pipeline.use_case}-{schema}-{_digest(repr(cleaning))[:8]}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
