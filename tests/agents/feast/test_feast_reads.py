"""Feast itself reads what the store role writes: `feast apply`, then `get_online_features`.

In an environment of its own, which `make feast` sets up; the layout alone is held by
`test_layout.py`, without Feast.
"""

import asyncio
import gzip
import json
import math
import os
import random
import subprocess
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any, cast

import polars as pl
import pytest
from redis.asyncio import Redis

from agents.embedded.valkey import EmbeddedRedis
from agents.feast import feature_repo
from agents.feast.online_view import OnlineView
from agents.offline.backfill import backfill
from agents.offline.file_system import FileSystem
from agents.offline.historical_features import get_historical_features
from agents.offline.reader import scan
from agents.prediction import encode
from agents.settings import Settings
from agents.store import FeatureStore
from examples.shop.pipeline import PIPELINE
from tests.agents.record import Record
from tests.environments import FEAST

PROGRAMS = FEAST.programs()
ASK = Path(__file__).with_name("ask_feast.py")
DAY = timedelta(days=1)

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(PROGRAMS is None, reason="Feast is not set up: `make feast`"),
]

Run = Callable[..., str]


@pytest.fixture
def here(redis_server: EmbeddedRedis, tmp_path: Path) -> Settings:
    return Settings(
        redis_url=redis_server.url,
        feast_project=f"p{uuid.uuid4().hex}",
        offline_store=str(tmp_path / "offline"),
    )


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a program of Feast's environment, which sees nothing of ours."""
    assert PROGRAMS is not None
    programs = PROGRAMS

    def run(program: str, *arguments: object) -> str:
        done = subprocess.run(
            [str(programs / program), *map(str, arguments)],
            env={"PATH": f"{programs}:{os.environ['PATH']}", "HOME": str(tmp_path)},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


def write(here: Settings, *updates: tuple[str, int, int, dict[str, float]]) -> None:
    """Have the store write; of each the user, the offset, the event time and the features."""
    records = [
        Record(encode.feature_update(user, as_of, "s1", features), user.encode(), offset=offset)
        for user, offset, as_of, features in updates
    ]

    async def fill() -> None:
        async with Redis.from_url(here.redis_url, decode_responses=True) as redis:
            view = OnlineView(redis, here.feast_project, PIPELINE.use_case, DAY)
            store = FeatureStore(redis, f"{here.feast_project}:features", DAY, view)
            await store.write(cast(Any, records))

    asyncio.run(fill())


def test_get_online_features_gives_what_the_store_wrote_to_the_last_bit(here, run, tmp_path):
    repo = tmp_path / "repo"
    names = feature_repo.write(here, PIPELINE, repo)
    run("feast", "--chdir", repo, "apply")
    rng = random.Random(7)
    users = ["ada", "Zoë 🙂", "user_0042"]
    written = {
        user: {name: rng.uniform(-1, 1) * 10.0 ** rng.randint(-300, 300) for name in names}
        for user in users
    }
    written["ada"][names[0]] = 0.0
    written["ada"][names[1]] = 5e-324
    moments = {user: 1_704_067_200_123 + n for n, user in enumerate(users)}
    write(here, *((user, 10, moments[user], written[user]) for user in users))
    write(here, ("ada", 9, moments["ada"], dict.fromkeys(names, 99.0)))  # older: changes nothing

    answer = json.loads(run("python", ASK, repo, *users, "nobody"))

    assert answer["features"] == names
    assert set(answer["values"]) == {"user_id", *names}  # Feast answers in an order of its own
    for n, user in enumerate(users):
        assert {name: answer["values"][name][n].hex() for name in names} == {
            name: value.hex() for name, value in written[user].items()
        }
        assert {answer["as_of"][name][n] for name in names} == {moments[user]}
    assert {answer["values"][name][-1] for name in names} == {None}


def test_get_historical_features_gives_what_ours_gives_to_the_last_bit(here, run, tmp_path):
    """The repository's history is the offline table, in files of many dates."""
    assert PIPELINE.replay is not None
    with gzip.open(PIPELINE.replay.file, "rt", encoding="utf-8") as file:
        (tmp_path / "events.csv").write_text("".join(islice(file, 600)), encoding="utf-8")
    files = FileSystem(here.offline_store)
    features = scan(
        files, backfill(PIPELINE, [tmp_path / "events.csv"], files, now_ms=1_800_000_000_000).table
    )
    repo = tmp_path / "repo"
    names = feature_repo.write(here, PIPELINE, repo)
    run("feast", "--chdir", repo, "apply")
    ends = features.group_by("user_id").agg(pl.col("event_at").max()).collect()
    users = [*ends["user_id"].sort()[:5], "nobody"]
    at = cast(datetime, ends["event_at"].max()) + timedelta(seconds=1)

    given = json.loads(run("python", ASK, repo, "--at", at.replace(tzinfo=None), *users))["values"]

    asked = pl.DataFrame({"user_id": users}).with_columns(event_timestamp=pl.lit(at))
    ours = get_historical_features(asked, features).sort("user_id")
    rows = sorted(range(len(users)), key=lambda n: str(given["user_id"][n]))
    for name in names:
        theirs = [None if math.isnan(given[name][n]) else given[name][n] for n in rows]
        assert theirs == ours[name].to_list(), name
