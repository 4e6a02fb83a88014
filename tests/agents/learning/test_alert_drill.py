"""The drill: a world that turns round, and a worker that is killed, on the real system.

Warning, critical, rollback and recovery, emergency and its end: each is on `alerts` once, on the
page and in the metrics, within the time that is told. `FAULTS=full` kills the learner meanwhile.
"""

import os
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from confluent_kafka import Consumer, Producer

from agents.embedded import process
from agents.embedded.kafka import EmbeddedKafka
from agents.observability.slow_answers import MIN_PREDICTIONS
from agents.serving.feed import Feed
from agents.serving.overview import Overview
from agents.settings import Settings
from schemas import topics
from schemas.alerts import Alert
from schemas.deployments import PROMOTED, Deployment
from schemas.telemetry import Telemetry
from tests.agents.learning.turned_world import PIPELINE, QUICK, SLOW, TURN, turned_round
from tests.agents.rig import Rig
from tests.faults.size import FULL, SIZE, only_full
from tests.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

WORKERS = [("predict", 0), ("learn", 0), ("watch", 0)]
PREDICT, LEARN, _ = range(len(WORKERS))
STARTED_S = 60
SEEN_S = 20
STEP = 250 if SIZE is FULL else 750


class System:
    """Workers, what upstream and operators tell them, and what they say."""

    def __init__(self, bootstrap: str, directory: Path) -> None:
        self.ports = {role: process.free_port() for role, _ in WORKERS}
        self.settings = Settings(
            kafka_bootstrap=bootstrap,
            topic_prefix=f"{uuid.uuid4().hex}.",
            data_dir=directory,
            pipeline="tests.agents.learning.turned_world",
            partitions=1,
        )
        self.rig = Rig(self.settings, WORKERS, metrics_ports=self.ports)
        self.producer = Producer(self.rig.client.producer())
        self.said = tuple(
            map(self.rig.reader, (topics.ALERTS, topics.DEPLOYMENTS, topics.PREDICTIONS))
        )
        self.alerts: list[Alert] = []
        self.decided: list[Deployment] = []
        self.n_predictions = 0

    def is_ready(self) -> bool:
        for port in self.ports.values():
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready"):
                    pass
            except OSError:
                return False
        return True

    def publish(self, topic: topics.Topic, *values: bytes) -> None:
        name = topic.named(self.settings.topic_prefix)
        for value in values:
            self.producer.produce(name, value, PIPELINE.use_case.encode())
        assert self.producer.flush(30) == 0

    def ask(self, n: int = 1, *, ms_ago: int = 0, **fields: str) -> None:
        """Publish events, as if that had been so long ago."""
        at = time.time_ns() // 1_000_000 - ms_ago
        name = topics.USER_EVENTS.named(self.settings.topic_prefix)
        value = msgspec.json.encode({"user_id": "ada", "action": "home", "ts": at, **fields})
        for _ in range(n):
            self.producer.produce(name, value, b"ada", timestamp=at)
        self.producer.poll(0)

    def look(self) -> None:
        alerts, decided, predictions = map(records, self.said)
        self.alerts += [msgspec.json.decode(each, type=Alert) for each in alerts]
        self.decided += [msgspec.json.decode(each, type=Deployment) for each in decided]
        self.n_predictions += len(predictions)

    def told(self, kind: str) -> list[tuple[str, str]]:
        self.look()
        return [(each.signal, each.level) for each in self.alerts if each.kind == kind]

    def measured(self, role: str, name: str, **labels: str) -> float | None:
        """Read one of the metrics that a worker serves; `None`: it has it not, or is not there."""
        told = ",".join(f'{label}="{value}"' for label, value in sorted(labels.items()))
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[role]}/metrics") as page:
                lines = page.read().decode().splitlines()
        except OSError:
            return None
        found = [line for line in lines if line.startswith(f"{name}{{{told}}} ")]
        return float(found[0].rpartition(" ")[2]) if found else None

    def has_caught_up(self) -> bool:
        """Tell whether `learn` is back, and none of its models is late."""
        late = [
            self.measured("learn", "thalweg_model_lag", model=model) for model in PIPELINE.models
        ]
        return late == [0.0, 0.0]


def records(consumer: Consumer) -> list[bytes]:
    found = consumer.consume(1_000, 0.02)
    return [each.value() or b"" for each in found if each.error() is None]  # else it is the end


@pytest.fixture
def system(kafka: EmbeddedKafka, tmp_path: Path) -> Iterator[System]:
    with ExitStack() as closing:
        made = System(kafka.bootstrap, tmp_path)
        closing.callback(made.rig.close)
        yield made


def test_each_condition_is_told_once_and_acted_upon(system: System) -> None:
    log = [msgspec.msgpack.encode(each) for each in turned_round(4_000)]
    promoted = Deployment(
        kind=PROMOTED,
        use_case=PIPELINE.use_case,
        model=SLOW,
        at=0,
        by="ada",
        why="for the drill",
        replaces=QUICK,
    )
    system.publish(topics.DEPLOYMENTS, msgspec.json.encode(promoted))
    system.publish(topics.OUTCOMES, *log[:TURN])
    system.rig.supervisor.start()

    wait_until(system.is_ready, STARTED_S, every_s=0.2)
    system.ask()
    wait_until(lambda: system.told("serving") or system.n_predictions > 0, SEEN_S)
    assert system.told("serving") == []

    # Nobody answers any more.
    pid = system.rig.supervisor.children[PREDICT].pid
    assert pid is not None
    os.kill(pid, 9)
    system.ask()
    wait_until(lambda: system.told("serving"), SEEN_S, every_s=0.2)

    # Meanwhile the world turns round.
    for n, start in enumerate(range(TURN, 4_000, STEP)):
        system.publish(topics.OUTCOMES, *log[start : start + STEP])
        if SIZE is FULL and n % 2:  # what a late `previous` has to judge is no evidence
            system.rig.kill(LEARN)
            wait_until(system.has_caught_up, STARTED_S, every_s=0.2)
    wait_until(lambda: ("roc_auc", "normal") in system.told("accuracy"), SEEN_S, every_s=0.2)

    # Its supervisor looks now.
    def is_over() -> bool:
        return system.rig.pid(PREDICT) is not None and len(system.told("serving")) > 1

    wait_until(is_over, STARTED_S, every_s=0.2)
    wait_until(lambda: system.told("serving") and system.n_predictions == 2, SEEN_S)

    accuracy = [each for each in system.alerts if each.kind == "accuracy"]
    assert system.told("serving") == [
        ("predictions_stopped", "emergency"),
        ("predictions_stopped", "normal"),
    ]
    assert [each.level for each in accuracy][:2] == ["warning", "critical"]
    assert [each.action for each in accuracy].count(f"rolled back to {QUICK}") == 1
    assert (accuracy[-1].level, accuracy[-1].evidence["model"]) == ("normal", QUICK)
    assert [(each.kind, each.model, each.by) for each in system.decided] == [
        ("promoted", SLOW, "ada"),
        ("rolled_back", QUICK, "learn"),
    ]
    ids = [each.alert_id for each in system.alerts]
    assert len(set(ids)) == len(ids)

    # The metrics and the page say the same.
    if SIZE is not FULL:  # who was killed counts from nought
        criticals = [each.level for each in accuracy].count("critical")
        found = system.measured("learn", "thalweg_alerts_total", kind="accuracy", level="critical")
        assert found == criticals
    found = system.measured("watch", "thalweg_alerts_total", kind="serving", level="emergency")
    assert found == 1
    shown = shown_alerts(system)
    assert {each["alert_id"] for each in shown} == set(ids)
    assert all(each["runbook"] for each in shown)


@only_full
def test_late_answers_and_bad_fields_are_told_and_told_to_be_over(system: System) -> None:
    """Events of a while ago come late, whoever is quick; the fields of some are none."""
    late_ms = 1_000 + PIPELINE.goals.latency_p99_emergency // timedelta(milliseconds=1)
    good = {"session_id": "s", "platform": "mobile", "user_lifecycle": "new"}
    slow = [("predictions_slow", "emergency"), ("predictions_slow", "normal")]
    system.rig.supervisor.start()
    wait_until(system.is_ready, STARTED_S, every_s=0.2)

    def asks(n_alerts: int, kind: str, signal: str, **said: Any) -> None:
        def is_told() -> bool:
            system.ask(MIN_PREDICTIONS, **said)
            assert system.producer.flush(30) == 0
            return [found for found, _ in system.told(kind)].count(signal) >= n_alerts

        wait_until(is_told, STARTED_S, every_s=0.5)

    asks(1, "serving", "predictions_slow", ms_ago=late_ms, **good)
    asks(2, "serving", "predictions_slow", **good)
    asks(1, "quality", "platform.unknown_category", **good | {"platform": "toaster"})
    assert system.measured("watch", "thalweg_emergency", signal="predictions_slow") == 0
    assert [each for each in system.told("serving") if each[0] == "predictions_slow"] == slow
    (found,) = (each for each in system.alerts if each.signal == "platform.unknown_category")
    assert found.evidence["values"] == {"toaster": found.evidence["found"]}
    assert all(each["runbook"] for each in shown_alerts(system))


def shown_alerts(system: System) -> list[dict[str, object]]:
    """Tell the alerts of the page, which reads the topics by itself."""
    page, feed = Overview(PIPELINE, "exactly_once"), Feed(system.settings)
    feed.start()
    wait_until(lambda: feed.is_caught_up, SEEN_S)
    for told in feed.drain(100_000):
        if isinstance(told, Alert):
            page.fold_alert(told)
        elif isinstance(told, Telemetry):
            page.fold(told, told.at)
    feed.stop()
    return page.alerts()
