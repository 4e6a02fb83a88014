"""Whoever follows the README gets what it says."""

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agents import pipeline
from agents.admin import topic_admin, topic_reader
from agents.embedded.kafka import EmbeddedKafka
from agents.settings import PREFIX, Settings
from agents.testing import PipelineDriver
from schemas import topics
from schemas.predictions import Prediction
from streams.clean import EventCleaner
from tests.markdown import code, rows, sections

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLE = "examples.payments.pipeline"
DEFAULTS = {name: str(field.default) for name, field in Settings.model_fields.items()}


def test_its_example_is_shown_whole() -> None:
    example = ROOT / f"{EXAMPLE.replace('.', '/')}.py"

    assert example.read_text(encoding="utf-8") == code(README, "python")[0]


def test_its_settings_have_their_defaults() -> None:
    shown = {
        name.removeprefix(PREFIX).lower(): default
        for name, default in rows(sections(README, 2)["Settings"]).items()
    }

    assert len(shown) > 0
    assert {name: DEFAULTS.get(name) for name in shown} == shown


def test_its_addresses_are_the_defaults() -> None:
    page = f"{DEFAULTS['web_host']}:{DEFAULTS['web_port']}"
    redis = DEFAULTS["redis_url"].removeprefix("redis://").removesuffix("/0")

    assert {page, DEFAULTS["kafka_bootstrap"], redis} == set(re.findall(r"[\d.]+:\d+", README))


def test_its_prediction_is_one_of_its_example() -> None:
    (shown,) = code(README, "json")
    prediction = msgspec.json.decode(shown, type=Prediction)
    driver = PipelineDriver(pipeline.load(EXAMPLE))
    driver.now_ms = prediction.event_at
    event = {"user_id": "card-1", "action": "payment", "ts": driver.now_ms, "amount": 25.0}
    driver.publish(event | {"event_id": prediction.event_id})
    (found,) = driver.predictions
    found.predicted_at = prediction.predicted_at

    of_other_tasks = {"prediction", "scores", "arm", "propensity"}
    fields = [name for name in Prediction.__struct_fields__ if name not in of_other_tasks]
    assert fields == list(json.loads(shown))
    assert found == prediction


def test_its_test_passes() -> None:
    scope: dict[str, Any] = {}
    exec(compile(code(README, "python")[1], "README.md", "exec"), scope)
    (test,) = [each for name, each in scope.items() if name.startswith("test_")]

    test()


@pytest.mark.integration
def test_what_it_publishes_is_an_event_of_its_example(kafka: EmbeddedKafka) -> None:
    settings = Settings(kafka_bootstrap=kafka.bootstrap, topic_prefix="readme.")
    topic = topics.USER_EVENTS.named(settings.topic_prefix)
    topic_admin.create(settings, [topics.USER_EVENTS])
    here = {DEFAULTS["kafka_bootstrap"]: kafka.bootstrap, topics.USER_EVENTS.name: topic}
    program = code(README, "python")[2]
    for told, actual in here.items():
        assert f'"{told}"' in program
        program = program.replace(f'"{told}"', f'"{actual}"')
    exec(compile(program, "README.md", "exec"), {})

    (record,) = topic_reader.read_to_end(settings, topic)
    declared = pipeline.load(EXAMPLE)
    cleaner = EventCleaner(
        declared.event,
        actions=declared.actions,
        max_bytes=declared.max_event_bytes,
        future_tolerance=timedelta(0),
    )
    _, published_ms = record.timestamp()
    event = cleaner.clean(record.key(), record.value(), published_at_ms=published_ms)

    assert event.event_id == "payment-4711"
