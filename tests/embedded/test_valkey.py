"""The Redis server keeps its data over a crash."""

from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from agents.embedded.valkey import EmbeddedRedis
from tests.waiting import wait_until

pytestmark = pytest.mark.integration


def test_what_was_written_survives_a_kill(tmp_path: Path, free_port: Callable[[], int]) -> None:
    with EmbeddedRedis(tmp_path, free_port()) as server:
        with redis.Redis.from_url(server.url) as client:
            client.hset("user:1", mapping={"clicks": 3})
            wait_until(lambda: client.info("persistence")["aof_pending_bio_fsync"] == 0)
        server.kill()
        server.start()

        with redis.Redis.from_url(server.url) as client:
            assert client.hget("user:1", "clicks") == b"3"


def test_it_listens_on_the_loopback_interface_only(redis_server: EmbeddedRedis) -> None:
    with redis.Redis.from_url(redis_server.url) as client:
        assert client.config_get("bind") == {"bind": "127.0.0.1"}
