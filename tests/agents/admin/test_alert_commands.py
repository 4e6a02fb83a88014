"""`thalweg alerts` on a real broker: what was told, and what is silent by whose word."""

import json
import time
import uuid

import msgspec
import pytest
from confluent_kafka import Producer

from agents import cli
from agents.admin import topic_admin
from agents.deployments import desk
from agents.settings import Settings
from examples.shop.pipeline import PIPELINE
from schemas import topics
from schemas.alerts import Alert

pytestmark = pytest.mark.integration


@pytest.fixture
def settings(kafka, monkeypatch):
    settings = Settings(kafka_bootstrap=kafka.bootstrap, topic_prefix=f"{uuid.uuid4().hex}-")
    topic_admin.create(settings, (topics.ALERTS, topics.DEPLOYMENTS))
    monkeypatch.setenv("THALWEG_KAFKA_BOOTSTRAP", settings.kafka_bootstrap)
    monkeypatch.setenv("THALWEG_TOPIC_PREFIX", settings.topic_prefix)
    return settings


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]):
    def run(*words: str, code: int = 0) -> str:
        assert cli.main(["alerts", *words]) == code
        said = capsys.readouterr()
        return said.err if code else said.out

    return run


def test_the_newest_alerts_are_shown_with_their_evidence_and_where_to_read_on(settings, run):
    empty = run("show")
    producer = Producer({"bootstrap.servers": settings.kafka_bootstrap})
    topic = topics.ALERTS.named(settings.topic_prefix)
    for n, kind in enumerate(("drift", "accuracy", "drift", "drift")):
        alert = Alert(
            alert_id=f"a{min(n, 2)}",  # the last one is the one before, told twice
            kind=kind,
            level="critical",
            use_case=PIPELINE.use_case,
            signal="[score]",
            value=0.123456,
            threshold=0.2,
            raised_at=10**17 + n if kind == "accuracy" else n * 1_000,
            evidence={"since_at": 7, "model": "m"},
            action="rolled back to x",
            runbook="docs/operations.md#here",
        )
        producer.produce(topic, msgspec.json.encode(alert))
    other = msgspec.structs.replace(alert, use_case="another")
    for value in (b"junk", msgspec.json.encode(other)):
        producer.produce(topic, value)
    assert producer.flush(30) == 0

    assert empty == "No alerts.\n"
    listed = json.loads(run("show", "--json"))
    assert [each["alert_id"] for each in listed] == ["a0", "a1", "a2"]
    (newest,) = json.loads(run("show", "--json", "--kind", "drift", "--limit", "1"))
    assert newest["alert_id"] == "a2"
    shown = run("show", "--kind", "accuracy").splitlines()
    assert shown[0].startswith("100000000000000001 ms  critical")
    assert shown[0].endswith("  critical  accuracy of [score]: 0.1235, threshold 0.2")
    told = [line.split(maxsplit=1) for line in shown[1:]]
    assert told[0] == ["action", "rolled back to x"]
    assert told[1][1].startswith("since_at 19")  # in words
    assert told[-2:] == [["model", "m"], ["runbook", "docs/operations.md#here"]]


def test_what_is_silenced_is_listed_until_somebody_takes_it_back(settings, run):
    said = run("silence", "drift", "--until", "2h", "--why", "the [sale]")
    run("silence", "all", "--until", "2999-01-01T00:00Z", "--why", "a move")
    listed = json.loads(run("silences", "--json"))
    shown = run("silences")
    back = run("unsilence", "all", "--why", "it is done")

    assert said.startswith("drift alerts are silenced until 20")
    assert [(each["kinds"], each["why"]) for each in listed] == [
        (["drift"], "the [sale]"),
        ([], "a move"),
    ]
    assert {each["by"] for each in listed} == {desk.operator()}
    in_two_hours = time.time() * 1_000 + 7_200_000
    assert listed[0]["until"] == pytest.approx(in_two_hours, abs=60_000)
    assert "the [sale]" in shown
    assert " all " in f" {shown}".replace("\n", " ")
    assert back == "all alerts call somebody again\n"
    assert [each["kinds"] for each in json.loads(run("silences", "--json"))] == [["drift"]]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("show", "--kind", "weather"), "there are accuracy, drift, quality"),
        (("silence", "weather", "--until", "2h"), "there are accuracy, drift, quality"),
        (("silence", "drift", "--until", "soon"), "`soon` is no end: say 90m"),
        (("silence", "drift", "--until", "2001-01-01"), "a silence ends later than now"),
        (("silence", "drift", "--until", "2999-13-01"), "`2999-13-01` is no end"),
        (("unsilence", "drift"), "no silence of `drift` was decided: there are none"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(settings, run, words, expected):
    why = () if words[0] == "show" else ("--why", "w")
    said = run(*words, *why, code=cli.EX_ERROR)

    assert expected in said
    assert said.count("\n") == 1
