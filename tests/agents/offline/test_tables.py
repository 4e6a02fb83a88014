"""A table holds each record once, whoever wrote it and however often it came."""

import tempfile
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.offline import reader, tables
from agents.offline.file_system import UNFINISHED, FileSystem
from agents.offline.manifests import Manifests
from agents.offline.reader import EmptyTable, in_order, scan
from agents.offline.table_writer import TableWriter
from agents.offline.tables import OFFSET, PARTITION
from schemas.errors import InvalidSetting

DAY_MS = 86_400_000
SCHEMA = {"event_at": pl.Datetime("ms", "UTC"), PARTITION: pl.Int32, OFFSET: pl.Int64}


def writer_to(address: Path | str) -> tuple[FileSystem, TableWriter]:
    files = FileSystem(str(address))
    return files, TableWriter(files, "things", SCHEMA, event_at=0)


def row(offset: int, partition: int = 0, day: int = 0) -> tuple[int, int, int]:
    return day * DAY_MS + offset, partition, offset


def offsets(files: FileSystem, **dates: str) -> list[tuple[int, int]]:
    found = in_order(scan(files, "things", **dates)).select(PARTITION, OFFSET).collect()
    return [(int(partition), int(offset)) for partition, offset in found.iter_rows()]


@given(
    st.lists(
        st.tuples(st.integers(0, 1), st.integers(0, 30), st.integers(1, 12)),
        min_size=1,
        max_size=8,
    )
)
@settings(max_examples=40, deadline=None)
def test_what_two_writers_wrote_of_the_same_offsets_is_read_once(written):
    """Records are those of a log: whoever writes an offset writes the same row."""
    with tempfile.TemporaryDirectory() as directory:
        files, writer = writer_to(directory)
        there = set()
        for partition, start, n in written:
            rows = [row(offset, partition, day=offset % 3) for offset in range(start, start + n)]
            writer.write(f"things-{partition}", start, start + n, rows)
            there |= {(partition, offset) for _, partition, offset in rows}

        assert offsets(files) == sorted(there)


def test_rows_are_filed_under_the_date_of_their_event_and_found_by_it(tmp_path):
    files, writer = writer_to(tmp_path)
    writer.write("things-0", 0, 3, [row(0, day=0), row(1, day=1), row(2, day=2)])

    assert sorted(each.name for each in (tmp_path / "things").glob("date=*")) == [
        "date=1970-01-01",
        "date=1970-01-02",
        "date=1970-01-03",
    ]
    assert offsets(files, first="1970-01-02", last="1970-01-02") == [(0, 1)]
    moments = scan(files, "things").select("event_at").collect().to_series().to_list()
    assert sorted(moments)[0] == datetime(1970, 1, 1, tzinfo=UTC)


def test_a_writer_that_was_killed_before_its_manifest_leaves_nothing_that_is_read(
    tmp_path, monkeypatch
):
    files, writer = writer_to(tmp_path)
    writer.write("things-0", 0, 2, [row(0), row(1)])
    with monkeypatch.context() as patched:
        patched.setattr(Manifests, "add", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            writer.write("things-0", 2, 4, [row(2), row(3)])

    assert offsets(files) == [(0, 0), (0, 1)]
    assert writer.manifests.next_offset("things-0") == 2


def test_an_unfinished_file_is_not_there(tmp_path):
    files = FileSystem(str(tmp_path))

    def fail_half_way(file):
        file.write(b"half")
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        files.write("things/a", fail_half_way)
    assert files.ls("things") == []
    assert [each.name for each in (tmp_path / "things").iterdir()] == [f"a{UNFINISHED}"]
    files.write("things/a", lambda file: file.write(b"whole"))
    assert files.read("things/a") == b"whole"


def test_a_store_that_is_no_local_directory_holds_the_same():
    files, writer = writer_to("memory://test/offline")
    writer.write("things-0", 0, 2, [row(0), row(1)])

    assert offsets(files) == [(0, 0), (0, 1)]


def test_an_empty_table_and_an_unknown_scheme_are_told(tmp_path):
    with pytest.raises(EmptyTable, match="does `archive` run"):
        reader.scan(FileSystem(str(tmp_path)), "outcomes")
    with pytest.raises(InvalidSetting, match="THALWEG_OFFLINE_STORE"):
        FileSystem("nowhere://bucket")


def test_every_column_of_every_table_has_a_type():
    for table in tables.ALL:
        assert table.schema["event_at"] == pl.Datetime("ms", "UTC")
        pl.DataFrame([], schema=dict(table.schema))
