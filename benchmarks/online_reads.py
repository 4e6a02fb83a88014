"""`python -m benchmarks online`: how long it takes to read a user's features from Redis."""

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from time import perf_counter
from typing import Any, Final, cast

from redis.asyncio import Redis

from agents.embedded.process import free_port
from agents.embedded.valkey import EmbeddedRedis
from agents.feast.online_view import OnlineView
from agents.prediction import encode
from agents.store import FeatureStore
from benchmarks.peers.percentiles import percentiles
from benchmarks.peers.report import table
from examples.shop.pipeline import PIPELINE
from streams.fold import compile_features
from tests.agents.record import Record

USERS: Final = 20_000
READS: Final = 20_000
BATCH: Final = 1_000
US: Final = 1e6


def run(argv: Sequence[str]) -> int:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks online", description=__doc__)
    parser.add_argument("--users", type=int, default=USERS)
    parser.add_argument("--reads", type=int, default=READS)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    load_before = os.getloadavg()[0]
    rows = asyncio.run(measure(options.users, options.reads))
    if options.json:
        print(json.dumps({"load_before": load_before, "rows": rows}, indent=1))
        return 0
    columns = {"what": "µs", **{q: q for q in ("p50", "p95", "p99", "max")}}
    print(f"{os.cpu_count()} cores, load average before: {load_before:.1f}", end="\n\n")
    print(table(columns, rows))
    return 0


async def measure(users: int, reads: int) -> list[dict[str, Any]]:
    """Fill a server of its own, and read users at random, one after the other."""
    rows: list[dict[str, Any]] = []
    for layout in ("ours", "ours and Feast's"):
        with tempfile.TemporaryDirectory() as data_dir:
            async with _server(Path(data_dir)) as redis:
                ttl = timedelta(days=90)
                view = OnlineView(redis, "bench", PIPELINE.use_case, ttl)
                store = FeatureStore(redis, "features", ttl, None if layout == "ours" else view)
                write_us = await _fill(store, users)
                n_bytes = (await redis.info("memory"))["used_memory_dataset"] // users
                _tell(f"{layout}: {write_us} µs to write a user, {n_bytes} bytes")
                read_us, ping_us = await _read(redis, store, users, reads)
        rows += [
            {"what": f"a read, written as {layout}", **percentiles(read_us)},
            {"what": "a PING in between", **percentiles(ping_us)},
        ]
    return rows


@asynccontextmanager
async def _server(data_dir: Path) -> AsyncIterator[Redis]:
    with EmbeddedRedis(data_dir, free_port()) as server:
        async with Redis.from_url(server.url, decode_responses=True) as redis:
            yield redis


async def _fill(store: FeatureStore, users: int) -> float:
    """Tell µs a user."""
    chance = random.Random(1)
    names = compile_features(PIPELINE.features, PIPELINE.event).names
    records = [
        Record(
            encode.feature_update(f"user-{n}", n, "s1", {name: chance.random() for name in names}),
            f"user-{n}".encode(),
            offset=n,
        )
        for n in range(users)
    ]
    started_at = perf_counter()
    for start in range(0, users, BATCH):
        await store.write(cast(Any, records[start : start + BATCH]))
    return round((perf_counter() - started_at) / users * US, 1)


async def _read(
    redis: Redis, store: FeatureStore, users: int, reads: int
) -> tuple[list[float], list[float]]:
    """Tell the µs of each read, and of a PING before it: what server and machine take anyway."""
    chance = random.Random(2)
    read_us, ping_us = [], []
    for _ in range(reads):
        user = f"user-{chance.randrange(users)}"
        started_at = perf_counter()
        await redis.ping()
        ponged_at = perf_counter()
        found = await store.read(user)
        read_us.append((perf_counter() - ponged_at) * US)
        ping_us.append((ponged_at - started_at) * US)
        assert found
    return read_us, ping_us


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
