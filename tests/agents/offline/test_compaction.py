"""Small files become large ones, and nobody who reads meanwhile sees more or less than before.

Writers, mergers and sweepers may be killed at any of their writes, and go on by another's.
"""

import tempfile
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents import cli
from agents.offline import table_writer
from agents.offline.compaction import all_that_fit, compact, newest_when_many
from agents.offline.file_system import UNFINISHED, FileSystem
from agents.offline.manifests import Manifests, Range
from agents.offline.reader import in_order, scan
from agents.offline.sweeping import sweep
from agents.offline.table_writer import TableWriter, TookTooLong
from agents.offline.tables import OFFSET, PARTITION

DAY_MS = 86_400_000
SCHEMA = {"event_at": pl.Datetime("ms", "UTC"), PARTITION: pl.Int32, OFFSET: pl.Int64}
AT_ONCE = timedelta(0)


class Killed(BaseException):
    """As `kill -9`: nothing after it runs."""


class MortalFiles(FileSystem):
    """Files whose user is killed before its n-th change, half way through it if it is a write."""

    def __init__(self, address, *, before_each=lambda: None):
        super().__init__(address)
        self.lives = None
        self._before_each = before_each

    def _dies(self):
        self._before_each()
        if self.lives is None:
            return False
        self.lives -= 1
        return self.lives < 0

    def write(self, path, fill):
        if self._dies():
            unfinished = Path(self.path(path) + UNFINISHED)
            unfinished.parent.mkdir(parents=True, exist_ok=True)
            unfinished.write_bytes(b"half")
            raise Killed
        super().write(path, fill)

    def remove(self, path):
        if self._dies():
            raise Killed
        super().remove(path)

    @contextmanager
    def killed_after(self, n_changes):
        self.lives = n_changes
        with suppress(Killed):
            yield
        self.lives = None


def row(offset, partition):
    return (offset % 3) * DAY_MS + offset, partition, offset


def write(files, partition, start, end):
    writer = TableWriter(files, "things", SCHEMA, event_at=0)
    rows = [row(offset, partition) for offset in range(start, end)]
    writer.write(f"things-{partition}", start, end, rows)


def rows_of(files):
    found = in_order(scan(files, "things")).collect()
    return [(int(p), int(o)) for p, o in found.select(PARTITION, OFFSET).iter_rows()]


def merge_pairs(ranges):
    return newest_when_many(ranges, at_least=2, max_offsets=40)


def merge_all(ranges):
    return all_that_fit(ranges, max_offsets=40)


def now():
    return datetime.now(UTC) + timedelta(minutes=1)


deaths = st.none() | st.integers(0, 8)
steps = st.one_of(
    st.tuples(st.just("write"), st.integers(0, 1), st.integers(1, 9), deaths),
    st.tuples(st.just("write again"), st.integers(0, 1), st.integers(1, 9), deaths),
    st.tuples(st.just("merge"), st.sampled_from([merge_pairs, merge_all]), st.none(), deaths),
    st.tuples(st.just("sweep"), st.none(), st.none(), deaths),
)


@given(st.lists(steps, min_size=3, max_size=14))
@settings(max_examples=60, deadline=None)
def test_a_table_holds_each_record_once_whoever_is_killed_and_when(history):
    """Looked at before each change of a merge or sweep, and after each of them."""
    there = {(0, 0)}

    def look():
        assert rows_of(FileSystem(directory)) == sorted(there)

    with tempfile.TemporaryDirectory() as directory:
        write(FileSystem(directory), 0, 0, 1)
        for step, what, n, death in history:
            files = MortalFiles(directory, before_each=look if "write" not in step else lambda: 0)
            with files.killed_after(death):
                if step == "merge":
                    compact(files, "things", choose=what)
                elif step == "sweep":
                    sweep(files, "things", now=now(), keep=AT_ONCE)
                else:
                    # Again: by one who was taken for dead and had not heard of its successor.
                    end = Manifests(files, "things").next_offset(f"things-{what}")
                    start = max(end - 4, 0) if step == "write again" else end
                    write(files, what, start, start + n)
                    there |= {(what, offset) for offset in range(start, start + n)}
            look()

        survivor = FileSystem(directory)
        compact(survivor, "things", choose=lambda ranges: all_that_fit(ranges, max_offsets=1_000))
        sweep(survivor, "things", now=now(), keep=AT_ONCE)
        look()
        manifests = Manifests(survivor, "things")
        assert all(len(ranges) == 1 for ranges in manifests.ranges().values())
        named = [path for each in manifests.read(manifests.all()) for path in each.files]
        assert len(survivor.find("things")) == len(named) + len(manifests.all()), "nothing is left"


@given(st.lists(st.integers(1, 30), min_size=1, max_size=200))
def test_a_source_that_grows_stays_in_few_manifests_and_is_seldom_written_again(sizes):
    ranges, n_written, end = [], 0, 0
    for size in sizes:
        ranges.append(Range(end, end + size, ""))
        end += size
        for group in newest_when_many(ranges, at_least=8, max_offsets=10**9):
            del ranges[-len(group) :]
            ranges.append(Range(group[0].start, end, ""))
            n_written += end - group[0].start
    doublings = end.bit_length()

    assert len(ranges) < 8 + doublings
    assert n_written <= end * doublings


def test_who_reads_while_files_are_merged_reads_on(tmp_path):
    """A lazy frame opens its files late; what was replaced waits for it."""
    files = FileSystem(str(tmp_path))
    for start in range(0, 40, 10):
        write(files, 0, start, start + 10)
    reading = scan(files, "things")
    compact(files, "things")
    assert sweep(files, "things", now=now()) == 0
    assert reading.collect().height == 40

    assert sweep(files, "things", now=now() + timedelta(days=1)) == 4 + 4 * 3
    assert rows_of(files) == [(0, offset) for offset in range(40)]


def test_what_fits_together_is_merged_by_date_and_in_order(tmp_path):
    files = FileSystem(str(tmp_path))
    for start in range(0, 30, 6):
        write(files, 1, start, start + 6)
    assert compact(files, "things") == 5
    assert compact(files, "things") == 0

    manifests = Manifests(files, "things")
    (merged,) = manifests.read(manifests.ranges()["things-1"])
    assert (merged.start, merged.end, merged.rows, len(merged.files)) == (0, 30, 30, 3)
    for path in merged.files:
        offsets = pl.read_parquet(tmp_path / "things" / path)[OFFSET].to_list()
        assert offsets == sorted(offsets)
        assert len({offset % 3 for offset in offsets}) == 1


def test_a_column_that_came_with_an_update_is_null_before_it(tmp_path):
    files = FileSystem(str(tmp_path))
    write(files, 0, 0, 2)
    later = {"event_at": SCHEMA["event_at"], "amount": pl.Float64, **SCHEMA}
    writer = TableWriter(files, "things", later, event_at=0)
    writer.write("things-0", 2, 3, [(0, 7.5, 0, 2)])
    compact(files, "things")

    assert in_order(scan(files, "things")).collect()["amount"].to_list() == [None, None, 7.5]


def test_a_writer_that_stood_still_adds_nothing_that_may_be_swept(tmp_path, monkeypatch):
    files = FileSystem(str(tmp_path))
    write(files, 0, 0, 2)
    monkeypatch.setattr(table_writer, "WRITE_WITHIN_S", -1.0)
    with pytest.raises(TookTooLong, match="things-0"):
        write(files, 0, 2, 4)

    assert rows_of(files) == [(0, 0), (0, 1)]


def test_a_store_that_is_no_local_directory_is_merged_and_swept():
    files = FileSystem("memory://test/compaction")
    for start in range(0, 4, 2):
        write(files, 0, start, start + 2)
    assert compact(files, "things") == 2
    assert sweep(files, "things", now=now(), keep=AT_ONCE) == 2 + 4

    assert rows_of(files) == [(0, offset) for offset in range(4)]


def test_from_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("THALWEG_OFFLINE_STORE", str(tmp_path))
    for start in range(0, 40, 10):
        write(FileSystem(str(tmp_path)), 0, start, start + 10)
    assert cli.main(["offline", "compact", "--keep-hours", "0", "--json"]) == 0
    assert capsys.readouterr().out == '[{"table":"things","merged":4,"removed":16}]\n'
    assert cli.main(["offline", "ls", "--json"]) == 0
    assert capsys.readouterr().out == (
        '[{"table":"things","rows":40,"files":3,"manifests":1,'
        '"first_date":"1970-01-01","last_date":"1970-01-03"}]\n'
    )
    assert cli.main(["offline", "ls"]) == 0
    assert "1970-01-03" in capsys.readouterr().out
