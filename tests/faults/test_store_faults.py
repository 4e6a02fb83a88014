"""Redis fails under the store role: it catches up by itself, and is never set back."""

import os
import signal
import subprocess
import sys
import threading
import uuid
from pathlib import Path

import pytest
from confluent_kafka import Producer
from redis import Redis, RedisError

from agents.admin import topic_admin
from agents.embedded.valkey import EmbeddedRedis
from agents.kafka.client_settings import KafkaSettings
from agents.prediction import encode
from agents.settings import Settings
from schemas import topics
from tests.faults.size import only_full
from tests.waiting import wait_until

pytestmark = [pytest.mark.integration, only_full, pytest.mark.timeout(300)]

ROOT = Path(__file__).resolve().parents[2]
USERS = 50
RATE = 500
CAUGHT_UP_S = 20
TICK_S = 0.01


class Updates:
    """The store role on its own, a steady stream of feature updates for it, and a suspicious eye.

    Updates are numbered; each user's hash must only ever go up.
    """

    def __init__(self, cluster, redis_url, log):
        self.settings = Settings(
            kafka_bootstrap=cluster.bootstrap,
            topic_prefix=f"s{uuid.uuid4().hex[:8]}-",
            replication=cluster.replication,
            redis_url=redis_url,
        )
        topic_admin.create(self.settings)
        own = KafkaSettings(bootstrap=cluster.bootstrap, group="updates")
        self._producer = Producer(own.producer())
        self._redis = Redis.from_url(redis_url, decode_responses=True, socket_timeout=2)
        with log.open("wb") as sink:
            self._worker = subprocess.Popen(
                [sys.executable, "-m", "agents.cli", "worker", "store"],
                cwd=ROOT,
                env=os.environ
                | {
                    "THALWEG_KAFKA_BOOTSTRAP": self.settings.kafka_bootstrap,
                    "THALWEG_TOPIC_PREFIX": self.settings.topic_prefix,
                    "THALWEG_REDIS_URL": redis_url,
                    "THALWEG_METRICS_PORT": "0",
                },
                stdout=sink,
                stderr=sink,
            )
        self.n_sent = 0
        self.set_back: list[str] = []
        self._seen: dict[str, int] = {}
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._send, daemon=True)
        self._thread.start()

    def _send(self):
        topic = topics.FEATURE_UPDATES.named(self.settings.topic_prefix)
        while not self._closing.wait(TICK_S):
            for _ in range(int(RATE * TICK_S)):
                user = f"user-{self.n_sent % USERS}"
                value = encode.feature_update(
                    user, self.n_sent, "schema-1", {"number": self.n_sent}
                )
                self._producer.produce(topic, value, user.encode())
                self.n_sent += 1
            self._producer.poll(0)

    def look(self):
        """Compare what Redis has with what it had; tell the smallest number of a user."""
        for n in range(USERS):
            user = f"user-{n}"
            key = f"{self.settings.topic_prefix}features:purchase-intent:{user}"
            number = int(float(self._redis.hget(key, "number") or -1))
            if number < self._seen.get(user, -1):
                self.set_back.append(f"{user}: {number} after {self._seen[user]}")
            self._seen[user] = number
        return min(self._seen.values())

    def reach(self, number, timeout_s):
        """Wait until Redis has this update or a later one of each user."""

        def reached():
            try:
                return self.look() >= number
            except RedisError:
                return False

        wait_until(reached, timeout_s)

    def wait_sent(self, seconds):
        goal = self.n_sent + seconds * RATE
        wait_until(lambda: self.n_sent >= goal, 3 * seconds + 10)

    def finish(self):
        """Send no more; wait until Redis has the last update of each user."""
        self._closing.set()
        self._thread.join()
        assert self._producer.flush(30) == 0
        self.reach(self.n_sent - USERS, CAUGHT_UP_S)

    @property
    def is_running(self):
        return self._worker.poll() is None

    def close(self):
        self._closing.set()
        self._thread.join()
        self._worker.kill()
        self._worker.wait()
        self._redis.close()


@pytest.fixture
def updates(cluster, own_redis, tmp_path):
    made = Updates(cluster, own_redis.url, tmp_path / "store.log")
    made.reach(0, 60)
    yield made
    made.close()


@pytest.fixture
def own_redis(tmp_path, free_port):
    with EmbeddedRedis(tmp_path / "redis", free_port()) as server:
        yield server


def test_a_redis_that_is_killed_under_the_store(updates, own_redis):
    for _ in range(3):
        own_redis.kill()
        updates.wait_sent(2)
        own_redis.start()
        updates.reach(updates.n_sent, CAUGHT_UP_S)
    updates.finish()

    assert updates.set_back == []
    assert updates.is_running


def test_a_redis_that_is_frozen_under_the_store(updates, own_redis):
    os.kill(own_redis.pid, signal.SIGSTOP)
    updates.wait_sent(20)
    os.kill(own_redis.pid, signal.SIGCONT)
    updates.reach(updates.n_sent, CAUGHT_UP_S)
    updates.finish()

    assert updates.set_back == []
    assert updates.is_running
