"""Features at a point in time: the same fold, and nothing from the future."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents import cli
from agents.history import event_file
from agents.offline import frames
from agents.offline.backfill import AnotherHistory, backfill, table_of
from agents.offline.file_system import FileSystem
from agents.offline.historical_features import InvalidRequest, get_historical_features
from agents.offline.reader import in_order, scan
from agents.testing import PipelineDriver
from examples.shop.pipeline import PIPELINE, ShopEvent
from streams.features import derived
from tests.agents.shop_history import messy

# The shop's history has columns of its own; these tests write events as they are on the wire.
PLAIN = replace(PIPELINE, replay=None)
NOW_MS = 1_800_000_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
USERS = ("ada", "bob")


def moments(values_ms):
    return pl.Series([EPOCH + timedelta(milliseconds=ms) for ms in values_ms]).cast(
        pl.Datetime("us", "UTC")
    )


@given(
    events=st.lists(st.tuples(st.sampled_from(USERS), st.integers(0, 40)), min_size=1),
    asked=st.lists(st.tuples(st.sampled_from((*USERS, "eve")), st.integers(0, 45)), min_size=1),
    max_age_ms=st.none() | st.integers(1, 30),
)
@settings(max_examples=100, deadline=None)
def test_a_row_gets_the_latest_features_from_before_its_moment(events, asked, max_age_ms):
    events = sorted(events, key=lambda event: event[1])
    features = pl.LazyFrame(
        {
            "user_id": [user for user, _ in events],
            "event_at": moments(at for _, at in events).cast(pl.Datetime("ms", "UTC")),
            "n": list(range(len(events))),
        }
    )
    rows = pl.DataFrame(
        {
            "user_id": [user for user, _ in asked],
            "event_timestamp": moments(at for _, at in asked),
            "label": list(range(len(asked))),
        }
    )
    max_age = None if max_age_ms is None else timedelta(milliseconds=max_age_ms)
    joined = get_historical_features(rows, features, max_age=max_age)

    def naive(user, at):
        before = [
            n
            for n, (who, when) in enumerate(events)
            if who == user and when < at and (max_age_ms is None or at - when <= max_age_ms)
        ]
        return before[-1] if before else None

    assert joined["label"].to_list() == list(range(len(asked)))
    assert joined["n"].to_list() == [naive(user, at) for user, at in asked]


UNITS = {"ms": 1_000_000, "us": 1_000, "ns": 1}


@given(
    came_ns=st.lists(st.integers(-3_000_000, 3_000_000), min_size=1),
    asked_ns=st.integers(-3_000_000, 3_500_000),
    kept_in=st.sampled_from(list(UNITS)),
    asked_in=st.sampled_from(list(UNITS)),
)
@settings(deadline=None)
def test_finer_than_the_table_nothing_is_seen_ahead_and_nothing_before_is_missed(
    came_ns, asked_ns, kept_in, asked_in
):
    came_ns = sorted(came_ns)
    unit, asked_unit = UNITS[kept_in], UNITS[asked_in]
    asked_ns -= asked_ns % asked_unit
    kept = pl.Series([at // unit for at in came_ns]).cast(pl.Datetime(kept_in, "UTC"))
    asked_at = pl.Series([asked_ns // asked_unit]).cast(pl.Datetime(asked_in))
    features = pl.LazyFrame(
        {"user_id": ["ada"] * len(came_ns), "event_at": kept, "n": list(range(len(came_ns)))}
    )
    rows = pl.DataFrame({"user_id": ["ada"], "event_timestamp": asked_at})

    joined = get_historical_features(rows, features)

    before = [n for n, at in enumerate(came_ns) if at // unit < asked_ns // unit]
    assert joined["n"].to_list() == [before[-1] if before else None]
    assert all(came_ns[n] < asked_ns for n in before)
    assert joined["event_timestamp"].to_list() == asked_at.to_list()


def test_what_cannot_be_answered_is_told():
    features = pl.LazyFrame({"user_id": ["ada"], "event_at": moments([20]), "n": [1]})
    at = {"user_id": ["ada"], "event_timestamp": moments([30])}

    with pytest.raises(InvalidRequest, match="lack the column `decided_at`"):
        get_historical_features(pl.DataFrame(at), features, at="decided_at")
    with pytest.raises(InvalidRequest, match="`n` is a column of the rows and"):
        get_historical_features(pl.DataFrame(at | {"n": [3]}), features)
    with pytest.raises(InvalidRequest, match="not moments"):
        get_historical_features(pl.DataFrame(at | {"event_timestamp": [3]}), features)
    with pytest.raises(InvalidRequest, match="features lack the column `event_at`"):
        get_historical_features(pl.DataFrame(at), features.drop("event_at"))


@pytest.mark.parametrize("taken", ["feature_timestamp", "_row", "_before", "_came_at"])
def test_a_column_of_a_name_that_is_taken_is_told(taken):
    features = pl.LazyFrame({"user_id": ["ada"], "event_at": moments([20]), "n": [1]})
    rows = pl.DataFrame({"user_id": ["ada"], "event_timestamp": moments([30])})

    with pytest.raises(InvalidRequest, match=f"the rows have a column `{taken}`"):
        get_historical_features(rows.with_columns(pl.lit(1).alias(taken)), features)
    with pytest.raises(InvalidRequest, match=f"the features have a column `{taken}`"):
        get_historical_features(rows, features.with_columns(pl.lit(1).alias(taken)))


def test_a_backfill_gives_to_the_last_bit_what_was_served(tmp_path):
    """Parity: the features of a file, and those that predict served with its events."""
    path = tmp_path / "day.jsonl"
    records = [each.record for each in messy(seed=5) if each.fate == "predicted" and each.is_named]
    path.write_bytes(b"\n".join(record.value() or b"" for record in records))
    events = event_file.read(path, ShopEvent, {})
    driver = PipelineDriver(PIPELINE, start=datetime(2025, 1, 1, tzinfo=UTC))
    for event in events:
        driver.publish(event.value, key=event.key)
    driver.advance(PIPELINE.label.horizon + PIPELINE.allowed_lateness)
    driver.publish({"user_id": "last", "action": "home", "ts": events[-1].ts + 10_800_000})
    served = {outcome.prediction_id: outcome.features for outcome in driver.outcomes}

    files = FileSystem(str(tmp_path / "offline"))
    told = backfill(PLAIN, [path], files, now_ms=NOW_MS)
    rows = in_order(scan(files, told.table)).collect().rows(named=True)
    names = list(rows[0])[3:-2]
    computed = {
        f"{PIPELINE.use_case}:{row['event_id']}": [row[name] for name in names] for row in rows
    }
    assert len(served) > len(events) * 0.9
    assert {each: computed[each] for each in served} == served


def test_a_backfill_that_was_interrupted_goes_on_and_adds_nothing_twice(tmp_path, monkeypatch):
    monkeypatch.setattr("agents.offline.backfill.CHUNK", 50)
    path = tmp_path / "day.jsonl"
    values = [each.record.value() or b"" for each in messy(seed=7) if each.fate == "predicted"]
    path.write_bytes(b"\n".join(values))
    files = FileSystem(str(tmp_path / "offline"))

    def end_after(done, of):
        if done:
            raise KeyboardInterrupt

    monkeypatch.setattr("agents.offline.backfill.TELL_EVERY", 120)
    with pytest.raises(KeyboardInterrupt):
        backfill(PLAIN, [path], files, now_ms=NOW_MS, report=end_after)
    assert scan(files, table_of(PLAIN)).collect().height == 100
    told = backfill(PLAIN, [path], files, now_ms=NOW_MS)
    again = backfill(PLAIN, [path], files, now_ms=NOW_MS)

    assert (told.rows, told.written, again.written) == (len(values), len(values) - 100, 0)
    assert scan(files, told.table).collect().height == len(values)


def write_events(path, *events):
    path.write_bytes(b"\n".join(msgspec.json.encode(event) for event in events))


def event(n, *, user="ada", action="home", ts=None, **more):
    at_ms = 1_704_067_200_000 + n * 60_000 if ts is None else ts
    return {"event_id": f"e{n}", "user_id": user, "action": action, "ts": at_ms, **more}


def test_the_files_of_a_call_are_one_history(tmp_path):
    """Windows reach from one into the other, and an event in both of them is one."""
    january, february = tmp_path / "january.jsonl", tmp_path / "february.jsonl"
    write_events(january, event(0), event(1), event(2))
    write_events(february, event(2), event(3))
    files = FileSystem(str(tmp_path / "offline"))
    told = backfill(PLAIN, [february, january], files, now_ms=NOW_MS)
    again = backfill(PLAIN, [january, february], files, now_ms=NOW_MS)

    assert (told.rows, told.duplicates, again.written) == (4, 1, 0)
    rows = in_order(scan(files, told.table)).collect()
    assert rows["event_count_1h"].to_list() == [1.0, 2.0, 3.0, 4.0]
    with pytest.raises(AnotherHistory, match="name all files of one history together"):
        backfill(PLAIN, [january], files, now_ms=NOW_MS)


def part(directory, first, *, header=b"", user="ada"):
    """A part of a history as Hive and Spark lay it out: same name, no ids."""
    directory.mkdir(parents=True)
    times = (1_704_067_200_000 + n * 60_000 for n in range(first, first + 2))
    rows = b"".join(f"{user},home,{ts}\n".encode() for ts in times)
    path = directory / "part-0.csv"
    path.write_bytes(header + b"user_id,action,ts\n" + rows)
    return path


def test_files_of_one_name_hold_different_events_wherever_they_lie(tmp_path):
    hours = [part(tmp_path / f"hour={hour:02}", hour * 60) for hour in range(2)]
    files = FileSystem(str(tmp_path / "offline"))
    told = backfill(PLAIN, hours, files, now_ms=NOW_MS)
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    (tmp_path / "hour=01").rename(moved / "hour=01")
    again = backfill(PLAIN, [moved / "hour=01" / "part-0.csv", hours[0]], files, now_ms=NOW_MS)

    assert (told.events, told.rows, told.duplicates) == (4, 4, 0)
    assert (again.rows, again.written) == (4, 0)
    twice = backfill(PLAIN, [hours[0]] * 2, FileSystem(str(tmp_path / "twice")), now_ms=NOW_MS)
    assert (twice.rows, twice.duplicates) == (2, 2)


@given(order=st.permutations(range(4)))
@settings(max_examples=10, deadline=None)
def test_events_of_one_moment_come_in_one_order_whatever_that_of_the_files(order, tmp_path_factory):
    directory = tmp_path_factory.mktemp("ties")
    paths = []
    for n in range(4):
        path = directory / f"h{n}" / ("part.jsonl" if n < 2 else f"t{n}.jsonl")
        path.parent.mkdir()
        write_events(path, event(n, ts=NOW_MS - 1, item_id=f"i{n}"))
        paths.append(path)

    def rows(name, paths):
        files = FileSystem(str(directory / name))
        told = backfill(PLAIN, paths, files, now_ms=NOW_MS)
        return in_order(scan(files, told.table)).collect()

    assert rows("other", [paths[n] for n in order]).equals(rows("one", paths))


def test_a_run_goes_on_with_the_same_names_only(tmp_path):
    """Of another name a file has other ids, and its events other places among those of a moment."""
    paths = [part(tmp_path / str(n), 0, user=f"u{n}") for n in range(2)]
    files = FileSystem(str(tmp_path / "offline"))
    backfill(PLAIN, paths, files, now_ms=NOW_MS)
    renamed = paths[1].rename(tmp_path / "part-1.csv")

    with pytest.raises(AnotherHistory):
        backfill(PLAIN, [paths[0], renamed], files, now_ms=NOW_MS)


def test_with_another_cleaning_it_is_another_table(tmp_path):
    path = tmp_path / "events.jsonl"
    write_events(path, event(0), event(1, action="fly"), event(2))
    files = FileSystem(str(tmp_path / "offline"))
    fewer = backfill(PLAIN, [path], files, now_ms=NOW_MS)
    more = backfill(replace(PLAIN, actions=PLAIN.actions | {"fly"}), [path], files, now_ms=NOW_MS)

    assert (fewer.rows, more.rows) == (2, 3)
    assert scan(files, more.table).collect()["event_id"].to_list() == ["e0", "e1", "e2"]


def test_an_event_that_a_feature_raises_on_and_one_of_the_future_are_set_aside(tmp_path):
    def fail_on_two(count):
        if count == 2:
            raise ZeroDivisionError
        return count

    failing = replace(
        PLAIN,
        features=(*PLAIN.features, derived("odd", fail_on_two, "event_count_1h")),
    )
    path = tmp_path / "events.jsonl"
    write_events(path, event(0), event(1), event(2), event(3, ts=NOW_MS * 1_000))
    files = FileSystem(str(tmp_path / "offline"))
    told = backfill(failing, [path], files, now_ms=NOW_MS)

    assert told.set_aside == {"processing_failed": 2, "future_ts": 1}
    assert scan(files, told.table).collect()["event_count_1h"].to_list() == [1.0]


def test_a_users_id_is_no_number(tmp_path):
    path = tmp_path / "asked.csv"
    path.write_text("user_id,event_timestamp\n0042,2024-01-01T10:00:00Z\n")

    assert frames.read(path, moments="event_timestamp")["user_id"].to_list() == ["0042"]


def test_from_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("THALWEG_OFFLINE_STORE", str(tmp_path / "offline"))
    events, asked = tmp_path / "clicks.csv", tmp_path / "asked.csv"
    events.write_text(
        "event_id,user_id,event,timestamp\n"
        "e1,ada,home,2024-01-01T10:00:00Z\n"
        "e1,ada,home,2024-01-01T10:00:00Z\n"
        "e2,ada,fly,2024-01-01T10:01:00Z\n"
        "e3,ada,search,2024-01-01T10:02:00Z\n"
    )
    asked.write_text(
        "user_id,event_timestamp,label\n"
        "ada,2024-01-01T10:01:30Z,1\n"
        "ada,2024-01-01T12:02:00+02:00,0\n"
        "ada,2024-01-01T10:03:00,1\n"
        "bob,2024-01-01T10:03:00Z,0\n"
    )
    out = tmp_path / "training.parquet"
    assert cli.main(["features", "backfill", str(events)]) == 0
    assert "1 unknown_action" in capsys.readouterr().out
    assert cli.main(["features", "historical", str(asked), "--out", str(out)]) == 0
    assert "4 rows, 3 of them with features" in capsys.readouterr().out

    found = pl.read_parquet(out)
    assert found["event_count_1h"].to_list() == [1.0, 1.0, 2.0, None]
    assert found["label"].to_list() == [1, 0, 1, 0]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["backfill", "nowhere.csv"], "cannot read"),
        (["backfill", "notes.txt"], "expected .parquet, .csv, .jsonl"),
        (["historical", "nowhere.csv", "--out", "a.parquet"], "cannot read"),
        (["historical", "asked.csv", "--out", "a.txt"], "expected .csv or .parquet"),
    ],
)
def test_mistakes_are_told_in_one_line(arguments, told, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("THALWEG_OFFLINE_STORE", str(tmp_path / "offline"))
    monkeypatch.chdir(tmp_path)
    Path("notes.txt").write_text("e1\n")
    Path("asked.csv").write_text("user_id\nada\n")

    assert cli.main(["features", *arguments]) != 0
    error = capsys.readouterr().err
    assert told in error
    assert "Traceback" not in error
