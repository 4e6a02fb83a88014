"""The past of entities: computed from files as it was served, and joined with moments."""

import random
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import polars as pl
import pytest

from agents.commands import features as command
from agents.offline import backfill as offline
from agents.offline.backfill import backfill, table_of
from agents.offline.file_system import FileSystem
from agents.offline.reader import scan
from agents.offline.tables import OFFSET
from agents.testing import PipelineDriver
from schemas.events import UserEvent
from tests.agents.entities.entity_pipeline import PIPELINE
from tests.agents.entities.naive_entity import by_entity, naive_rolling

START = datetime(2025, 1, 1, tzinfo=UTC)
START_MS = int(START.timestamp() * 1_000)
NOW_MS = START_MS + 90 * 86_400_000
FEATURES = PIPELINE.compiled()


@pytest.fixture
def events() -> list[UserEvent]:
    """In the order of time, as a history is computed."""
    chance = random.Random(3)
    return [
        UserEvent(
            chance.choice(["ada", "bob", "eve"]),
            chance.choice(["view", "purchase"]),
            START_MS + number * 97_000,
            f"e{number}",
            f"s{number // 40}",
            chance.choice([None, "0042", "sku-2"]),
            chance.randrange(1_000) / 100,
        )
        for number in range(300)
    ]


@pytest.fixture
def path(tmp_path: Path, events: list[UserEvent]) -> Path:
    path = tmp_path / "day.jsonl"
    path.write_bytes(b"\n".join(map(msgspec.json.encode, events)))
    return path


def test_users_table_holds_what_was_served_but_what_is_gathered(tmp_path, path, events):
    driver = PipelineDriver(PIPELINE, start=START)
    for event in events:
        driver.now_ms = int(event.ts)
        driver.publish(event)
    driver.now_ms += 10_800_000
    driver.publish({"user_id": "time", "action": "view", "ts": driver.now_ms})
    served = {outcome.prediction_id: outcome.features for outcome in driver.outcomes}

    files = FileSystem(str(tmp_path / "offline"))
    told = backfill(PIPELINE, [path], files, now_ms=NOW_MS)
    rows = scan(files, told.table).collect().rows(named=True)

    assert len(served) == len(rows) == len(events)
    exact = FEATURES.names[: FEATURES.n_exact]
    for row in rows:
        values = served[f"{PIPELINE.use_case}:{row['event_id']}"]
        assert [row[name] for name in exact] == values[: FEATURES.n_exact]


@pytest.mark.parametrize("entity", ["item", "user_item"])
def test_an_entitys_table_tells_its_features_as_of_each_of_its_events(
    entity, tmp_path, path, events
):
    files = FileSystem(str(tmp_path / "offline"))
    told = backfill(PIPELINE, [path], files, now_ms=NOW_MS, entity=entity)
    again = backfill(PIPELINE, [path], files, now_ms=NOW_MS, entity=entity)
    rows = scan(files, told.table).collect().sort(OFFSET).rows(named=True)

    about_one = [event for event in events if event.item_id is not None]
    assert (told.rows, told.elsewhere) == (len(about_one), len(events) - len(about_one))
    assert (told.duplicates, again.written) == (0, 0)
    assert told.table == table_of(PIPELINE, entity) != table_of(PIPELINE)
    key = FEATURES.view(entity).key
    for n, row in enumerate(rows):
        so_far = by_entity(about_one[: n + 1], key)[key(about_one[n]) or ""]
        expected = naive_rolling(so_far)
        assert {name: row[f"{entity}_{name}"] for name in expected} == expected


def test_from_the_command_line(tmp_path, path, events, monkeypatch, capsys):
    monkeypatch.setenv("THALWEG_PIPELINE", "tests.agents.entities.entity_pipeline")
    monkeypatch.setenv("THALWEG_OFFLINE_STORE", str(tmp_path / "offline"))
    asked, joined = tmp_path / "prices.csv", tmp_path / "items.parquet"
    at = START_MS + 97_000 * 200
    moment = datetime.fromtimestamp(at / 1_000, UTC).isoformat()
    asked.write_text(f"item_id,price,event_timestamp\n0042,3.0,{moment}\nnone,4.0,{moment}\n")

    assert command.backfill(path, entity="item") == 0
    assert command.historical(asked, out=joined, entity="item") == 0

    before = [e for e in events if e.item_id == "0042" and int(e.ts) < at]
    found = pl.read_parquet(joined).rows(named=True)
    assert found[0]["item_amount_total_1h"] == naive_rolling(before)["amount_total_1h"]
    assert found[0]["price"] == 3.0
    assert found[1]["item_event_count_1h"] is None
    assert "item_event_count_1h" in offline.feature_table(PIPELINE, "item").features
    assert "2 rows, 1 of them with features" in capsys.readouterr().out.replace("\n", " ")
