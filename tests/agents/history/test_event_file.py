"""Files of events: mapped, in time order, and errors that name the row."""

import csv
import gzip
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import msgspec
import orjson
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.history.event_file import UnreadableFile, fingerprint, read, stem, to_ms
from schemas.errors import InvalidRecord
from schemas.events import UserEvent
from streams.clean import EventCleaner

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
        {"user_id": user, "event": "Buy", "timestamp": at, "amount": 2.5, "event_id": f"e{n}"}
        for n, user in enumerate(users)
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


class Priced(UserEvent):
    """An event with fields that only a pipeline declares."""

    pieces: int | None = None
    price: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    platform: str = "web"


CLEANER = EventCleaner(
    Priced, actions=frozenset({"view"}), max_bytes=10_000, future_tolerance=timedelta(minutes=5)
)


def judged(key: bytes, value: bytes) -> Priced | str:
    """Tell what predict makes of a record; an id that it had to be given is none."""
    try:
        event = CLEANER.clean(key, value, published_at_ms=4_102_444_800_000)
    except InvalidRecord as invalid:
        return invalid.reason
    return event


ids = st.sampled_from(["", "a", "0042", 7, True])
numbers = st.sampled_from([5, 5.0, 2.5, "5", "", "much", True, None, 2**62])
wire_events = st.fixed_dictionaries(
    {
        "user_id": st.sampled_from(["ada", "", 7]),
        "action": st.sampled_from(["view", "View", "", "fly"]),
        "ts": st.sampled_from(
            [
                1_704_067_200_000,
                "2024-01-01T00:00:00Z",
                "2024-01-01t00:00:00.0019+01:00",
                "2024-01-01T00:00:00z",
                "2024-01-01 00:00:00",
                "2024-01-01",
                "1704067200000",
                -5,
            ]
        ),
    },
    optional={
        "event_id": ids | st.none(),
        "session_id": ids | st.none(),
        "item_id": ids | st.none(),
        "amount": numbers,
        "pieces": numbers,
        "price": numbers,
        "platform": ids | st.none(),
        "undeclared": numbers,
    },
)


@given(events=st.lists(wire_events, min_size=1, max_size=5))
def test_json_lines_are_judged_as_the_same_events_would_be_on_the_wire(directory, events):
    lines = list(map(orjson.dumps, events))
    path = directory / "wire.jsonl"
    path.write_bytes(b"\n".join(lines))

    live = []
    for number, (fields, line) in enumerate(zip(events, lines, strict=True), start=1):
        came = judged(str(fields["user_id"]).encode(), line)
        if isinstance(came, Priced) and came.event_id is None:
            came.event_id = f"wire-{fingerprint(path)[:12]}-{number}"
        live.append(came)

    from_file = [judged(event.key, event.value) for event in read(path, Priced, {})]
    assert sorted(map(repr, from_file)) == sorted(map(repr, live))


texts_or_null = st.none() | st.sampled_from(["", "a", "0042"])
columns = {
    "user_id": st.sampled_from(["ada", ""]),
    "action": st.sampled_from(["view", "View", "", "fly"]),
    "ts": st.sampled_from(["2024-01-01T00:00:00Z", "2024-01-01 00:00:00", "1704067200000"])
    | st.just(1_704_067_200_000),
    "event_id": texts_or_null,
    "session_id": texts_or_null,
    "item_id": texts_or_null,
    "amount": st.sampled_from(["", "5", 5, 2.5]),
    "pieces": st.sampled_from(["", "5", 5, 5.0]),
    "platform": texts_or_null,
}


@given(event=st.fixed_dictionaries(columns))
def test_a_row_of_parquet_is_judged_as_its_json_without_nulls(directory, event):
    said = {field: value for field, value in event.items() if value is not None}
    of_json = write_jsonl(directory / "row.jsonl", [said])
    of_parquet = directory / "row.parquet"
    pl.DataFrame({field: [value] for field, value in event.items()}).write_parquet(of_parquet)

    def judgement(path: Path) -> Priced | str:
        [event] = read(path, Priced, {})
        return judged(event.key, event.value.replace(fingerprint(path)[:12].encode(), b""))

    assert judgement(of_parquet) == judgement(of_json)


def test_ids_name_the_row_in_the_file_whatever_the_order_of_time(tmp_path):
    rows = [
        {"user_id": "ada", "event": "view", "timestamp": "2024-01-02 00:00:00"},
        {"user_id": "bob", "event": "view", "timestamp": "2024-01-01 00:00:00"},
    ]
    path = write_csv(tmp_path / "clicks.csv.gz", rows)
    of_file = f"clicks-{fingerprint(path)[:12]}"

    events = read(path, UserEvent, COLUMNS)

    expected = [f"{of_file}-2", f"{of_file}-1"]
    assert [event.event_id for event in events] == expected
    assert [orjson.loads(event.value)["event_id"] for event in events] == expected


def test_files_of_one_name_have_other_ids_unless_they_hold_the_same(tmp_path):
    paths = [tmp_path / str(n) / "part-0.csv" for n in range(3)]
    for path, ts in zip(paths, (1, 2, 1), strict=True):
        path.parent.mkdir()
        path.write_text(f"user_id,action,ts\nada,view,{ts}\n")

    first, other, same = (read(path, UserEvent, {})[0].event_id for path in paths)

    assert (first == other, first == same) == (False, True)


def test_an_id_of_the_files_own_is_kept(tmp_path):
    rows: list[object] = [{"user_id": 7, "event": "view", "timestamp": 5, "event_id": "e-1"}]

    [event] = read(write_jsonl(tmp_path / "clicks.jsonl", rows), UserEvent, COLUMNS)

    assert (event.event_id, event.key) == ("e-1", b"7")


def test_empty_cells_and_unknown_columns_are_left_out_and_numbers_are_numbers(tmp_path):
    rows = [
        {
            "user_id": "ada",
            "event": "buy",
            "timestamp": 5,
            "amount": "12.5",
            "item_id": "",
            "event_id": "e1",
            "price": "3",
            "x": 1,
        }
    ]
    path = write_csv(tmp_path / "clicks.csv.gz", rows)

    [event] = read(path, Priced, COLUMNS)

    assert orjson.loads(event.value) == {
        "user_id": "ada",
        "action": "buy",
        "ts": 5,
        "amount": 12.5,
        "price": 3,
        "event_id": "e1",
    }


def test_an_invalid_event_is_published_as_it_stands(tmp_path):
    """The predict role judges events; a reader that did too would hide what it drops."""
    rows = [{"user_id": "", "event": "dance", "timestamp": -5, "amount": "much", "event_id": "e1"}]

    [event] = read(write_csv(tmp_path / "clicks.csv.gz", rows), UserEvent, COLUMNS)

    assert event.key == b""
    assert orjson.loads(event.value) == {
        "action": "dance",
        "ts": -5,
        "amount": "much",
        "event_id": "e1",
    }


@pytest.mark.parametrize("name", ["excel.csv", "excel.csv.gz", "excel.jsonl"])
def test_a_mark_of_utf8_is_no_part_of_the_first_column(tmp_path, name):
    text = "user_id,action,ts\nada,view,5\n"
    if name.endswith("jsonl"):
        text = '{"user_id": "ada", "action": "view", "ts": 5}\n'
    marked = text.encode("utf-8-sig")
    path = tmp_path / name
    path.write_bytes(gzip.compress(marked) if name.endswith("gz") else marked)

    [event] = read(path, UserEvent, {})

    assert (event.key, event.ts) == (b"ada", 5)


def write_parquet(path: Path, **columns: object) -> Path:
    whole = {"user_id": "ada", "action": "view", "ts": 5, "event_id": "e1", **columns}
    pl.DataFrame({name: [value] for name, value in whole.items()}).write_parquet(path)
    return path


def test_what_parquet_has_and_json_has_not_is_read_as_what_it_means(tmp_path):
    path = write_parquet(
        tmp_path / "a.parquet",
        user_id=Decimal(42),
        ts=datetime(2024, 1, 1, microsecond=1_999, tzinfo=UTC).replace(tzinfo=None),
        amount=Decimal("9.99"),
        pieces=Decimal(3),
        price=Decimal("12345678901234567.89"),
    )

    [event] = read(path, Priced, {})

    assert (event.key, event.ts) == (b"42", 1_704_067_200_001)
    assert judged(event.key, event.value) == Priced(
        "42", "view", event.ts, "e1", amount=9.99, pieces=3, price=12345678901234567.89
    )


@pytest.mark.parametrize(
    ("columns", "at_fault"),
    [
        ({"item_id": b"sku"}, "item_id"),
        ({"item_id": Decimal("1.5")}, "item_id"),
        ({"pieces": Decimal("1.5")}, "pieces"),
        ({"amount": timedelta(seconds=1)}, "amount"),
        ({"item_id": [b"sku"]}, "item_id"),
    ],
)
def test_what_json_has_no_form_for_is_an_error_that_names_the_column(tmp_path, columns, at_fault):
    path = write_parquet(tmp_path / "a.parquet", **columns)

    with pytest.raises(
        UnreadableFile, match=rf"a\.parquet: row 1: .*column `{at_fault}`.*make it text"
    ):
        read(path, Priced, {})


def test_a_column_that_nobody_declares_may_hold_what_it_likes(tmp_path):
    path = write_parquet(tmp_path / "a.parquet", undeclared=b"x", item_id=None)

    assert len(read(path, UserEvent, {})) == 1


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
