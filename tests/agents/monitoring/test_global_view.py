"""What `watch` makes of sketches: alerts, metrics, and the same again after a restart."""

import math
import uuid
from datetime import timedelta
from typing import Any

import msgspec
import orjson
import pytest
from confluent_kafka import Producer

from agents import cli, sketch
from agents.admin import topic_admin
from agents.deployments.deployed import Deployed
from agents.kafka.app import App, KafkaSettings
from agents.monitoring.drift_view import FALSE_ALARMS
from agents.monitoring.global_view import GlobalView
from agents.observability.alert_desk import AlertDesk
from agents.observability.metrics import Metrics
from agents.settings import Settings
from agents.testing import AppDriver
from examples.shop.pipeline import PIPELINE
from online_models.sketch import Sketch, score_cell, value_cell
from schemas import topics
from schemas.alerts import Alert
from schemas.sketches import SCORE, SketchMinute, SketchReference
from tests.agents.monitoring.records import USE_CASE, day_of, encoded
from tests.agents.record import Record

DAYS = [
    encoded(
        day_of(
            day,
            {
                "amount": [cell % 9 for cell in range(180)],
                "clicks": [(cell if day < 9 else cell % 3) % 9 for cell in range(180)],
            },
        )
    )
    for day in range(13)
]
"""What `clicks` are changes on day 9."""
CHANGED = 11
"""The record with which day 9 is over."""


References = dict[bytes, SketchReference]


def records(first: int, end: int) -> list[Any]:
    return [Record(DAYS[offset], offset=offset) for offset in range(first, end)]


def view_of(metrics: Metrics, references: References | None = None) -> GlobalView:
    return GlobalView(
        USE_CASE,
        metrics,
        lambda start, end: ((n, DAYS[n]) for n in range(start, min(end, 13))),
        {} if references is None else references,
    )


def test_the_feature_that_moved_is_named_with_its_evidence():
    metrics = Metrics()
    (alert,) = view_of(metrics).fold(records(0, 13), now_ms=5)
    samples = metrics.samples()

    assert (alert.kind, alert.signal, alert.level) == ("shift", "clicks", "critical")
    assert alert.value >= alert.threshold == -math.log10(FALSE_ALARMS)
    assert alert.evidence["p"] <= FALSE_ALARMS
    assert (alert.evidence["day"], alert.evidence["level_before"]) == ("1970-01-10", "normal")
    assert math.isclose(alert.evidence["users"], 180)
    assert samples['thalweg_shift_level{model="",signal="clicks"}'] == 2.0
    assert samples['thalweg_shift_level{model="",signal="amount"}'] == 0.0
    assert samples['thalweg_shift_evidence{model="",signal="clicks"}'] > 3.0
    assert msgspec.json.decode(msgspec.json.encode(alert), type=Alert) == alert


@pytest.mark.parametrize("died_after", range(13))
def test_a_successor_says_the_same_and_alerts_of_nothing_again(died_after):
    first, second, whole = Metrics(), Metrics(), Metrics()
    alerts = view_of(first).fold(records(0, died_after), now_ms=5)
    successor = view_of(second)
    successor.read_back(died_after)
    alerts += successor.fold(records(died_after, 13), now_ms=5)

    assert alerts == view_of(whole).fold(records(0, 13), now_ms=5)
    assert second.samples() == whole.samples()


@pytest.mark.parametrize("committed", range(13))
def test_what_was_told_with_a_batch_that_was_not_committed_is_told_again(committed):
    """A partition that was lost for a moment comes back to the same worker, from its offset."""
    metrics, whole = Metrics(), Metrics()
    view = view_of(metrics)
    heard = view.fold(records(0, committed), now_ms=5)
    view.fold(records(committed, 13), now_ms=5)
    view.read_back(committed)
    heard += view.fold(records(committed, 13), now_ms=5)

    assert heard == view_of(whole).fold(records(0, 13), now_ms=5)
    assert metrics.samples() == whole.samples()


@pytest.mark.parametrize(
    "value",
    [
        *(None, b"", b"{", b"[]"),
        msgspec.json.encode(SketchMinute(USE_CASE, 0, 0, "", ["a"], [b"\x80"])),
        msgspec.json.encode(SketchMinute("another", 0, 0, "", ["a"], [Sketch().encode()])),
    ],
)
def test_what_is_no_sketch_of_this_use_case_is_passed_over(value):
    metrics = Metrics()
    view = view_of(metrics)

    found: Any = Record(value)

    assert view.fold([found], now_ms=5) == []
    assert (view.next_offset, metrics.samples()) == (1, {})


@pytest.mark.parametrize("day", [-(10**9), 2_932_897, 10**9])
def test_a_minute_of_no_year_that_there_is_spoils_nothing(day):
    far = encoded(day_of(day, {"amount": [5] * 180}))
    values = [*DAYS[:11], far, far, *DAYS[11:]]
    found: Any = [Record(value, offset=offset) for offset, value in enumerate(values)]
    (alert,) = view_of(Metrics()).fold(found, now_ms=5)

    assert alert.signal == "clicks"


def prediction(user: str, score: float, at: int) -> bytes:
    told = {"score": score, "source": "model", "model": "m", "event_at": at}
    return msgspec.json.encode({**told, "user_id": user, "published_at": 0})


def test_watch_counts_what_it_reads_and_reads_what_it_counted():
    app = App("watch", KafkaSettings(bootstrap="127.0.0.1:1", group="watch"))
    metrics = Metrics()
    desk = AlertDesk(Deployed(PIPELINE), metrics, topic="alerts", source="/thalweg/watch")
    sketch.build(app, Settings(), PIPELINE, metrics, desk=desk, references={})
    day_ms, at = 86_400_000, 19_000 * 86_400_000
    with AppDriver(app) as driver:
        for day in range(12):
            for user in range(60):
                score = (user % 10) / 10 if day < 9 else 0.97
                value = prediction(f"u{user}", score, at + day * day_ms)
                driver.append("predictions", value, key=b"u%d" % user)
            features = {"user_id": "u", "as_of": at, "schema": "s", "features": {"amount": 2.0}}
            driver.append("feature-updates", msgspec.json.encode(features), key=b"u")
            driver.process()
            driver.advance(timedelta(seconds=sketch.INTERVAL_S))
        driver.advance(timedelta(minutes=2))
        found = [
            msgspec.json.decode(each.value() or b"", type=SketchMinute)
            for each in driver.read("sketches")
        ]
        alerts = [
            msgspec.json.decode(each.value() or b"", type=Alert) for each in driver.read("alerts")
        ]

    scores = [each for each in found if each.signals == [SCORE]]
    assert [each.event_at for each in scores] == [at + day * day_ms for day in range(12)]
    assert Sketch.decode(scores[-1].sketches[0]) == Sketch({score_cell(0.97): 60}, squares=60)
    amounts = [each for each in found if each.signals == ["amount"]]
    whole = sum((Sketch.decode(each.sketches[0]) for each in amounts), Sketch())
    assert whole == Sketch({value_cell(2.0): 12}, squares=12**2)
    assert [(each.signal, each.level, each.evidence["model"]) for each in alerts] == [
        (SCORE, "critical", "m")
    ]
    assert metrics.samples()['thalweg_sketch_share_ratio{of="scores"}'] == 1.0


@pytest.fixture
def published(monkeypatch):
    monkeypatch.setattr(
        "agents.admin.topic_reader.read_to_end",
        lambda settings, topic: iter(records(0, 13)) if topic == "sketches" else iter(()),
    )


@pytest.mark.usefixtures("published")
def test_the_command_tells_what_the_alert_told(capsys):
    assert cli.main(["drift", "show", "--json"]) == 0
    amount, clicks = orjson.loads(capsys.readouterr().out)

    assert (amount["signal"], amount["level"]) == ("amount", "normal")
    assert (clicks["signal"], clicks["level"], clicks["day"]) == (
        "clicks",
        "critical",
        "1970-01-11",
    )
    assert clicks["p"] < FALSE_ALARMS < amount["p"]
    assert clicks["index_by_chance"] < clicks["index"]


@pytest.mark.usefixtures("published")
def test_the_command_writes_a_table_for_people(capsys):
    assert cli.main(["drift", "show"]) == 0
    lines = capsys.readouterr().out.splitlines()

    assert lines[0].split()[:3] == ["signal", "model", "level"]
    assert lines[2].split()[:4] == ["clicks", "-", "critical", "1970-01-11"]


@pytest.mark.integration
def test_a_successor_reads_back_what_the_broker_holds(kafka):
    settings = Settings(kafka_bootstrap=kafka.bootstrap, topic_prefix=f"{uuid.uuid4().hex}-")
    topic_admin.create(settings, [topics.SKETCHES])
    topic = topics.SKETCHES.named(settings.topic_prefix)
    client = KafkaSettings(bootstrap=kafka.bootstrap, group="watch")
    producer = Producer(client.producer())
    for value in DAYS:
        producer.produce(topic, value, b"purchase-intent")
    assert producer.flush(30) == 0
    read, told = Metrics(), Metrics()
    view = GlobalView(
        *(USE_CASE, read, lambda start, end: sketch._values(client, topic, start, end)), {}
    )
    view.read_back(len(DAYS))
    view_of(told).fold(records(0, 13), now_ms=5)

    assert read.samples() == told.samples()
    assert told.samples() != {}
