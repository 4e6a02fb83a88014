"""The archive role: what was predicted and what came of it, kept as Parquet, by date.

Records are gathered for a while and written together; their batches are held meanwhile, so that an
offset is committed once its rows are files. What is delivered again nevertheless is recognised by
the offsets that the manifests tell, and so each record becomes one row.
"""

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

import faust
from faust.types.tuples import TP

from agents.kafka.app import App, Batch
from agents.observability import metric_list
from agents.observability.metrics import Metrics
from agents.offline import compaction
from agents.offline.file_system import FileSystem
from agents.offline.sweeping import sweep
from agents.offline.table_writer import TableWriter
from agents.offline.tables import Row, Table
from schemas.errors import UNREADABLE

logger = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 1.0
MERGE_EVERY_S: Final = 30.0
SWEEP_EVERY_S: Final = 3_600.0
"""It looks at every file of a table, and what it removes has waited for longer anyway."""
MAX_ROWS: Final = 20_000
"""Rows of one partition that are gathered at most, whatever the interval."""
RETRY_S: Final = 5.0
"""How long a store that took no file is left alone. Meanwhile the lag grows and nothing is lost."""


class Gathering:
    """Rows of one partition that are not written yet, and the batches that they came with."""

    def __init__(self, table: Table, writer: TableWriter, partition: int) -> None:
        self._row = table.row
        self._writer = writer
        self._partition = partition
        self._next_offset = 0
        self._rows: list[Row] = []
        self.batches: list[Batch] = []
        self.since_s = 0.0

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def is_given_up(self) -> bool:
        """Whether the partition went away meanwhile: its new owner writes these records."""
        return any(batch.is_given_up for batch in self.batches)

    def add(self, batch: Batch, now_s: float) -> None:
        """Take over a batch."""
        if not self.batches:
            self.since_s = now_s
        self.batches.append(batch)
        for record in batch.records:
            offset = record.offset() or 0
            try:
                row = self._row(record.value() or b"")
            except UNREADABLE as error:
                # The topic is ours alone: whoever wrote this can write it again.
                logger.warning("no row of %r at offset %s: %s", batch, offset, error)
                continue
            self._rows.append((*row, self._partition, offset))
        self._next_offset = batch.next_offset

    def write(self, source: str) -> int:
        """Write what is gathered and not written yet, by whomever; tell how many rows. Blocks.

        Parameters
        ----------
        source
            The topic, as the manifests know it, and the partition.
        """
        # Delivered again is what was written before its offset was committed.
        written_to = self._writer.manifests.next_offset(source)
        rows = [row for row in self._rows if row[-1] >= written_to]
        if rows:
            self._writer.write(source, rows[0][-1], self._next_offset, rows)
        return len(rows)


class Archive:
    """Gathers the rows of all partitions and writes them when it is time.

    Parameters
    ----------
    tables
        By the full name of their topics.
    topic_id
        Tells the id of a topic: one that was made anew begins at offset 0, and is another one.
        Called in a thread.
    release
        Lets a batch commit.
    interval
        How long a row waits for others at most; a rebalance or the end ask for it at once.
    max_rows
        How many rows of a partition are gathered at most.
    """

    def __init__(
        self,
        files: FileSystem,
        tables: Mapping[str, Table],
        *,
        topic_id: Callable[[str], str],
        release: Callable[[Batch], None],
        interval: timedelta,
        max_rows: int,
        metrics: Metrics,
    ) -> None:
        self._release = release
        self._topic_id = topic_id
        self._tables = tables
        self._writers = {
            topic: TableWriter(files, table.name, table.schema, event_at=table.event_at)
            for topic, table in tables.items()
        }
        self._interval_s = interval.total_seconds()
        self._max_rows = max_rows
        self._files = files
        self._gathering: dict[TP, Gathering] = {}
        self._written: set[tuple[str, str]] = set()
        """Tables and sources that got new files since they were merged last."""
        self._swept_at_s: dict[str, float] = {}
        self._writing = asyncio.Lock()
        self._not_before_s = 0.0
        self._rows_written = metrics.counter(metric_list.ARCHIVED_ROWS)
        self._rows_waiting = metrics.gauge(metric_list.ARCHIVE_ROWS_WAITING)
        self._errors = metrics.counter(metric_list.ARCHIVE_ERRORS)
        self.tell()

    @property
    def topics(self) -> list[str]:
        """Name the topics that are archived."""
        return list(self._tables)

    def add(self, batch: Batch) -> None:
        """Take over a batch, which is held until its rows are written."""
        if (earlier := self._gathering.get(batch.tp)) is not None and earlier.is_given_up:
            # The partition went and came back: what it had gathered is delivered again.
            self._let_go(self._gathering.pop(batch.tp))
        gathering = self._gathering.get(batch.tp)
        if gathering is None:
            topic, partition = batch.tp
            gathering = self._gathering[batch.tp] = Gathering(
                self._tables[topic], self._writers[topic], partition
            )
        batch.hold()
        gathering.add(batch, time.monotonic())
        self.tell()

    def tell(self) -> None:
        """Tell how many rows wait, except those that a new owner of their partition gathers."""
        gathered = self._gathering.values()
        self._rows_waiting.set(sum(len(each) for each in gathered if not each.is_given_up))

    def is_due(self, tp: TP) -> bool:
        """Tell whether a partition has gathered enough, or for long enough."""
        gathering = self._gathering.get(tp)
        return gathering is not None and (
            len(gathering) >= self._max_rows
            or time.monotonic() - gathering.since_s >= self._interval_s
        )

    async def write_due(self) -> None:
        """Write the partitions that are due."""
        for tp in [tp for tp in self._gathering if self.is_due(tp)]:
            await self.write(tp)

    async def write_all(self) -> None:
        """Write whatever is gathered."""
        for tp in list(self._gathering):
            await self.write(tp)

    async def write(self, tp: TP) -> None:
        """Write what a partition has gathered, and let its batches go."""
        async with self._writing:
            if time.monotonic() < self._not_before_s:
                return
            gathering = self._gathering.pop(tp, None)
            if gathering is None:
                return
            try:
                if not gathering.is_given_up:
                    self._rows_written.inc(await asyncio.to_thread(self._write, gathering, tp))
            except Exception as error:  # noqa: BLE001  # each kind of store has errors of its own
                self._errors.inc()
                self._not_before_s = time.monotonic() + RETRY_S
                logger.warning("the offline store takes no file, again in %g s: %r", RETRY_S, error)
                self._put_back(gathering, tp)
            except BaseException:
                self._put_back(gathering, tp)
                raise
            else:
                self._let_go(gathering)
            finally:
                self.tell()

    async def merge(self) -> None:
        """Merge small files of what this worker wrote, and remove what was merged long ago.

        Others may write, read and merge meanwhile, and it may be killed: see `agents.offline`.
        """
        while self._written:
            table, source = self._written.pop()
            try:
                await asyncio.to_thread(self._merge, table, source)
            except Exception as error:  # noqa: BLE001  # each kind of store has errors of its own
                self._errors.inc()
                logger.warning("%s of %s was not merged: %r", source, table, error)

    def _merge(self, table: str, source: str) -> None:
        compaction.compact(self._files, table, choose=compaction.newest_when_many, sources=[source])
        if time.monotonic() - self._swept_at_s.get(table, -math.inf) >= SWEEP_EVERY_S:
            sweep(self._files, table, now=datetime.now(UTC))
            self._swept_at_s[table] = time.monotonic()

    def _write(self, gathering: Gathering, tp: TP) -> int:
        name = self._tables[tp.topic].name
        source = f"{name}-{tp.partition}-{self._topic_id(tp.topic)}"
        n_rows = gathering.write(source)
        self._written.add((name, source))
        return n_rows

    def _put_back(self, gathering: Gathering, tp: TP) -> None:
        """Gather on where a write failed, with what came meanwhile behind it."""
        if gathering.is_given_up:
            self._let_go(gathering)
            return
        newer = self._gathering.get(tp)
        self._gathering[tp] = gathering
        for batch in () if newer is None else newer.batches:
            gathering.add(batch, gathering.since_s)

    def _let_go(self, gathering: Gathering) -> None:
        for batch in gathering.batches:
            self._release(batch)


def build(app: App, archive: Archive) -> None:
    """Register the role's agents on an app."""
    writing: set[asyncio.Task[None]] = set()

    def settle() -> None:
        if not writing:
            task = asyncio.ensure_future(archive.write_all())
            writing.add(task)
            task.add_done_callback(writing.discard)

    app.on_settle.append(settle)

    async def gather(batches: faust.StreamT[Batch]) -> AsyncIterator[int]:
        async for batch in batches:
            archive.add(batch)
            if archive.is_due(batch.tp):
                await archive.write(batch.tp)
            yield len(batch)

    for topic in archive.topics:
        app.agent(app.batches(topic), name=f"archive-{topic}")(gather)

    @app.timer(LOOK_EVERY_S)  # type: ignore[untyped-decorator]
    async def write_due() -> None:
        await archive.write_due()
        archive.tell()

    @app.timer(MERGE_EVERY_S)  # type: ignore[untyped-decorator]
    async def merge() -> None:
        await archive.merge()
