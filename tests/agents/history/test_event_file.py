"""Files of events: mapped, in time order, and errors that name the row."""

import csv
import gzip
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.history.event_file import UnreadableFile, read, stem, to_ms
from schemas.events import UserEvent

COLUMNS = {"action": "event", "ts": "timestamp"}

moments = st.integers(0, 4_102_444_800_000)
texts = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1)


def write_csv(path: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    with gzip.open(path, "wt", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_jsonl(path: Path, rows: list[object]) -> Path:
    path.write_bytes(b"\n".join(map(orjson.dumps, rows)))
    return path


def values(path: Path) -> list[dict[str, object]]:
    return [orjson.loads(event.value) for event in read(path, UserEvent, COLUMNS)]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("events")


@given(times=st.lists(moments, min_size=1))
def test_events_come_in_the_order_of_time_and_ties_in_that_of_the_file(directory, times):
    rows = [
        {"user_id": f"u{row}", "event": "view", "timestamp": at} for row, at in enumerate(times)
    ]
    path = write_csv(directory / "times.csv.gz", rows)

    expected = [row for _, row in sorted((at, row) for row, at in enumerate(times))]

    assert [event.key.decode() for event in read(path, UserEvent, COLUMNS)] == [
        f"u{row}" for row in expected
    ]


@given(users=st.lists(texts, min_size=1), at=moments)
def test_a_csv_and_json_lines_of_the_same_rows_are_the_same_events(directory, users, at):
    rows: list[dict[str, object]] = [
        {"user_id": user, "event": "Buy", "timestamp": at, "amount": 2.5} for user in users
    ]

    from_csv = read(write_csv(directory / "same.csv.gz", rows), UserEvent, COLUMNS)
    from_jsonl = read(write_jsonl(directory / "same.jsonl", [*rows]), UserEvent, COLUMNS)

    assert from_csv == from_jsonl


@given(moments)
def test_a_time_reads_the_same_in_every_notation(at_ms):
    moment = datetime.fromtimestamp(at_ms // 1_000, UTC).replace(microsecond=at_ms % 1_000 * 1_000)
    naive = moment.replace(tzinfo=None)

    assert {to_ms(at_ms), to_ms(str(at_ms)), to_ms(moment.isoformat()), to_ms(str(naive))} == {
        at_ms
    }


def test_ids_name_the_row_in_the_file_whatever_the_order_of_time(tmp_path):
    rows = [
        {"user_id": "ada", "event": "view", "timestamp": "2024-01-02 00:00:00"},
        {"user_id": "bob", "event": "view", "timestamp": "2024-01-01 00:00:00"},
    ]

    events = read(write_csv(tmp_path / "clicks.csv.gz", rows), UserEvent, COLUMNS)

    assert [event.event_id for event in events] == ["clicks-2", "clicks-1"]
    assert [orjson.loads(event.value)["event_id"] for event in events] == ["clicks-2", "clicks-1"]


def test_an_id_of_the_files_own_is_kept(tmp_path):
    rows: list[object] = [{"user_id": 7, "event": "view", "timestamp": 5, "event_id": "e-1"}]

    [event] = read(write_jsonl(tmp_path / "clicks.jsonl", rows), UserEvent, COLUMNS)

    assert (event.event_id, event.key) == ("e-1", b"7")


def test_empty_cells_and_unknown_columns_are_left_out_and_numbers_are_numbers(tmp_path):
    rows = [
        {"user_id": "ada", "event": "buy", "timestamp": 5, "amount": "12.5", "item_id": "", "x": 1}
    ]

    [value] = values(write_csv(tmp_path / "clicks.csv.gz", rows))

    assert value == {
        "user_id": "ada",
        "action": "buy",
        "ts": 5,
        "amount": 12.5,
        "event_id": "clicks-1",
    }


def test_an_invalid_event_is_published_as_it_stands(tmp_path):
    """The predict role judges events; a reader that did too would hide what it drops."""
    rows = [{"user_id": "", "event": "dance", "timestamp": -5, "amount": "much"}]

    [event] = read(write_csv(tmp_path / "clicks.csv.gz", rows), UserEvent, COLUMNS)

    assert event.key == b""
    assert orjson.loads(event.value) == {
        "action": "dance",
        "ts": -5,
        "amount": "much",
        "event_id": "clicks-1",
    }


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", b"user_id,event\nada,view\n", "row 1 lacks the column `timestamp`"),
        ("a.csv", b"user_id,event,timestamp\nada,view\n", "row 1 lacks the column `timestamp`"),
        ("a.csv", b"user_id,event,timestamp\nada,view,1\nada,view,noon\n", "row 2 has no time"),
        ("a.jsonl", b'{"user_id": 1, "event": "v", "timestamp": 1}\n{"us', "row 2 is not JSON"),
        ("a.jsonl", b"[1]\n", "row 1 is not a JSON object"),
        ("a.csv.gz", b"not gzip", "Not a gzipped file"),
        ("a.csv", b"user_id,event,timestamp\n\xff,view,1\n", "utf-8"),
        ("a.parquet", b"PAR1", "parquet"),
        ("a.txt", b"ada", "expected .parquet, .csv, .jsonl"),
    ],
)
def test_what_cannot_be_mapped_is_an_error_that_says_where(tmp_path, name, content, said):
    path = tmp_path / name
    path.write_bytes(content)

    with pytest.raises(UnreadableFile, match=rf"{name}.*{said}"):
        read(path, UserEvent, COLUMNS)


def test_a_truncated_gzip_is_an_error(tmp_path):
    whole = write_csv(
        tmp_path / "a.csv.gz",
        [{"user_id": "ada", "event": "v", "timestamp": at} for at in range(99)],
    ).read_bytes()
    cut = tmp_path / "b.csv.gz"
    cut.write_bytes(whole[: len(whole) // 2])

    with pytest.raises(UnreadableFile, match=r"b\.csv\.gz"):
        read(cut, UserEvent, COLUMNS)


def test_a_missing_file_is_an_error_that_names_it(tmp_path):
    with pytest.raises(UnreadableFile, match=r"nowhere\.csv: No such file"):
        read(tmp_path / "nowhere.csv", UserEvent, COLUMNS)


@pytest.mark.parametrize(
    ("name", "expected"), [("a.csv.gz", "a"), ("a.b.jsonl", "a.b"), ("a", "a")]
)
def test_the_stem_is_the_name_without_its_suffixes(name, expected):
    assert stem(Path(name)) == expected
