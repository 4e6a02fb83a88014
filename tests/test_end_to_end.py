"""The whole system as its neighbours know it, through kills and garbage."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import msgspec
import psutil
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from redis import Redis

from agents.history import event_file
from agents.kafka.client_settings import KafkaSettings
from examples.shop.pipeline import PIPELINE, ShopEvent
from schemas.alerts import Alert
from schemas.predictions import Prediction
from schemas.sketches import SketchMinute
from tests.agents.garbage import GARBAGE
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[1]
N_EVENTS = 4_000
N_KILLS = 2
GARBAGE_EVERY = 50
DUPLICATE_EVERY = 70
N_BROKEN = 400
PARTITIONS = 4

pytestmark = pytest.mark.integration


class System:
    """`thalweg up --no-replay` in a process of its own."""

    def __init__(self, data_dir, free_port):
        ports = {name: free_port() for name in ("kafka", "redis", "web")}
        self.bootstrap = f"127.0.0.1:{ports['kafka']}"
        self.redis = Redis(port=ports["redis"], decode_responses=True)
        flags = [word for name, port in ports.items() for word in (f"--{name}-port", str(port))]
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "agents.cli", "up", "--no-replay", *flags),
                *("--data-dir", str(data_dir), "--metrics-port", "0"),
            ],
            cwd=ROOT,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.strip() == "ready":
                break

    def predict_worker(self):
        for child in psutil.Process(self.process.pid).children(recursive=True):
            with suppress(psutil.Error):  # it ended while we looked
                if "worker predict" in " ".join(child.cmdline()):
                    return child
        return None

    def kill_predict(self):
        victim = self.predict_worker()
        victim.send_signal(signal.SIGKILL)
        wait_until(lambda: (now := self.predict_worker()) is not None and now.pid != victim.pid, 30)

    def producer(self):
        return Producer(KafkaSettings(bootstrap=self.bootstrap, group="upstream").producer())

    def reader(self, topic, partitions):
        consumer = Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": "downstream",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "fetch.message.max.bytes": 8 << 20,
            }
        )
        consumer.assign([TopicPartition(topic, p, 0) for p in range(partitions)])
        return consumer


@pytest.fixture
def system(tmp_path, free_port):
    running = System(tmp_path / "data", free_port)
    yield running
    running.redis.close()
    if running.process.poll() is None:
        running.process.kill()
    running.process.communicate()


class Downstream:
    """What a read_committed reader of both output topics has seen."""

    def __init__(self, system):
        self._predictions = system.reader("predictions", PARTITIONS)
        self._dead_letters = system.reader("dead-letters", 1)
        self.times_predicted: Counter[str] = Counter()
        self.n_by_user: Counter[str] = Counter()
        self.traces: dict[str, bytes] = {}
        self.set_aside: list[tuple[bytes | None, bytes | None, str]] = []

    def read(self):
        for message in self._predictions.consume(1_000, 0.1):
            assert message.error() is None
            prediction = msgspec.json.decode(message.value(), type=Prediction)
            assert message.key() == prediction.user_id.encode()
            self.times_predicted[prediction.event_id] += 1
            self.n_by_user[prediction.user_id] += 1
            self.traces[prediction.event_id] = dict(message.headers())["traceparent"]
        for message in self._dead_letters.consume(1_000, 0.1):
            assert message.error() is None
            headers = dict(message.headers())
            assert headers["__streams.errors.topic"] == b"user-events"
            self.set_aside.append((message.key(), message.value(), headers["reason"].decode()))

    def wait_for(self, n_predictions, n_dead_letters=0):
        def seen():
            self.read()
            enough = len(self.times_predicted) >= n_predictions
            return enough and len(self.set_aside) >= n_dead_letters

        wait_until(seen, 90, every_s=0)

    def close(self):
        self._predictions.close()
        self._dead_letters.close()


def _garbage():
    """Every kind of it, over and over; what is far in the future is so by the broker's clock."""
    tomorrow = int(time.time() * 1000) + 86_400_000
    future = msgspec.json.encode({"user_id": "u", "action": "home", "ts": tomorrow})
    kinds = [*GARBAGE.values(), (b"u", future, "future_ts")]
    # The far future of the tests without a broker is by now the past.
    kinds.remove(GARBAGE["far future"])
    while True:
        yield from kinds


def _wait_for_alert(system, signal_name):
    alerts = system.reader("alerts", 1)
    raised: dict[str, Alert] = {}

    def noticed():
        for message in alerts.consume(100, 0.1):
            alert = msgspec.json.decode(message.value(), type=Alert)
            raised.setdefault(alert.signal, alert)
        return signal_name in raised

    wait_until(noticed, 30, every_s=0)
    alerts.close()
    return raised[signal_name]


def _wait_for_sketches(system, *signals):
    """Wait until `watch` has counted them."""
    sketches = system.reader("sketches", 1)
    waiting = set(signals)

    def counted():
        for message in sketches.consume(100, 0.1):
            minute = msgspec.json.decode(message.value(), type=SketchMinute)
            waiting.difference_update(minute.signals)
        return not waiting

    wait_until(counted, 30, every_s=0)
    sketches.close()


def test_nothing_is_lost_or_doubled_through_kills_and_garbage(system):
    history = PIPELINE.replay
    assert history is not None
    events = event_file.read(ROOT / history.file, ShopEvent, history.columns)[:N_EVENTS]
    kill_at = [(n + 1) * N_EVENTS // (N_KILLS + 1) for n in range(N_KILLS)]
    downstream = Downstream(system)
    sent, thrown_in, traces = [], [], {}
    garbage, producer = _garbage(), system.producer()
    for index, event in enumerate(events):
        trace = traces[event.event_id] = b"00-%032x-%016x-01" % (index + 1, index + 1)
        for _ in range(1 + (index % DUPLICATE_EVERY == 0)):
            producer.produce("user-events", event.value, event.key, headers={"traceparent": trace})
        sent.append(event.event_id)
        if index % GARBAGE_EVERY == 0:
            key, value, reason = next(garbage)
            producer.produce("user-events", value, key)
            thrown_in.append((key, value, reason))
        producer.poll(0)
        if index in kill_at:
            producer.flush(30)
            downstream.wait_for(len(sent) // 5)
            system.kill_predict()
    assert producer.flush(30) == 0

    downstream.wait_for(N_EVENTS, len(thrown_in))
    downstream.read()  # what would come twice, has come by now
    downstream.close()

    times_predicted = downstream.times_predicted
    assert sorted(set(sent) - set(times_predicted)) == []
    assert {event: n for event, n in times_predicted.items() if n > 1} == {}
    assert set(times_predicted) == set(sent)
    assert downstream.traces == traces
    # A null value stays null: Kafka tells it from an empty one.
    assert sorted(downstream.set_aside, key=repr) == sorted(thrown_in, key=repr)

    # The store has caught up with the last event of every user.
    newest = {event.key.decode(): event.ts for event in events}

    def behind():
        return {
            user: at
            for user, at in newest.items()
            if system.redis.hget(f"features:purchase-intent:{user}", "_as_of") != str(at)
        }

    wait_until(lambda: not behind(), 30)
    user, _ = downstream.n_by_user.most_common(1)[0]
    features = system.redis.hgetall(f"features:purchase-intent:{user}")
    assert {"click_rate_7d", "session_duration_mean_30d", "purchase_count_90d"} <= set(features)
    assert system.redis.pttl(f"features:purchase-intent:{user}") > 0

    # A release upstream that breaks a field is noticed.
    for event in events[-N_BROKEN:]:
        broken = msgspec.json.decode(event.value) | {"event_id": None, "platform": "fridge"}
        producer.produce("user-events", msgspec.json.encode(broken), event.key)
    assert producer.flush(30) == 0
    alert = _wait_for_alert(system, "platform.unknown_category")
    # How many of the bad ones a second's telemetry tells of decides on the first level.
    assert alert.kind == "quality"
    assert alert.level in {"warning", "critical"}
    assert list(alert.evidence["values"]) == ["fridge"]

    _wait_for_sketches(system, "click_rate_7d", "purchase_count_90d")
    system.process.send_signal(signal.SIGINT)
    assert system.process.wait(10) == 0
