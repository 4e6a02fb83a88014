"""The watch role, pure parts and a whole app without a broker."""

import itertools
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents import watch
from agents.deployments import decisions
from agents.deployments.deployed import Deployed
from agents.kafka.app import App, KafkaSettings
from agents.observability.metrics import Metrics
from agents.observability.standing_alerts import StandingAlerts
from agents.pipeline import Pipeline
from agents.settings import Settings
from agents.testing import AppDriver
from examples.shop.pipeline import PIPELINE
from schemas.telemetry import Telemetry
from schemas.topics import ALL
from tests.agents.serving.garden_pipeline import PIPELINE as GARDEN


class Record:
    """As much of a confluent_kafka.Message as the role reads."""

    def __init__(self, value: bytes | None) -> None:
        self._value = value

    def value(self) -> bytes | None:
        return self._value


def predictions(published: Iterable[int]) -> list[Any]:
    return [Record(msgspec.json.encode({"user_id": "u", "published_at": at})) for at in published]


@given(published=st.lists(st.integers(0, 10_000)))
def test_latency_is_the_time_from_publication_to_now(published: list[int]) -> None:
    latencies = watch.latencies_s(predictions(published), now_ms=5_000, since_ms=0)

    assert latencies == [max(0, 5_000 - at) / 1_000 for at in published]


def test_what_was_published_before_the_watch_began_is_left_out() -> None:
    records = predictions([999, 1_000])

    assert watch.latencies_s(records, now_ms=1_500, since_ms=1_000) == [0.5]


@pytest.mark.parametrize("garbage", [None, b"", b"{", b"[]", b'{"published_at": "x"}', b"\xff"])
def test_garbage_is_passed_over(garbage: bytes | None) -> None:
    wrong: Any = Record(garbage)
    records = [wrong, *predictions([1])]

    assert watch.latencies_s(records, now_ms=2, since_ms=0) == [0.001]
    assert list(watch.telemetry_of([wrong])) == []


def test_every_topic_that_a_role_reads_is_declared() -> None:
    assert set(itertools.chain(*watch.READS.values())) <= set(ALL)


@pytest.mark.parametrize("pipeline", [PIPELINE, GARDEN], ids=["binary", "multiclass"])
def test_what_is_said_to_be_read_is_read_whatever_the_task(pipeline: Pipeline) -> None:
    """A group that stands still would seem to lag."""
    app = App("watch", KafkaSettings(bootstrap="127.0.0.1:1", group="watch"))
    standing = StandingAlerts(pipeline.use_case)
    watch.build(
        app, Settings(), pipeline, Metrics(), Deployed(pipeline), standing=standing, references={}
    )

    read = {name for agent in app.agents.values() for name in agent.get_topic_names()}
    assert {topic.name for topic in watch.READS["watch"]} <= read


def test_the_champion_of_now_is_told() -> None:
    challenger = PIPELINE.challengers[0]
    deployed, own = Deployed(PIPELINE), Metrics()
    app = App("watch", KafkaSettings(bootstrap="127.0.0.1:1", group="watch"))
    standing = StandingAlerts(PIPELINE.use_case)
    watch.build(app, Settings(), PIPELINE, own, deployed, standing=standing, references={})
    promoted = decisions.promotion(
        PIPELINE, deployed.registry, challenger, at=0, by="ada", why="better"
    )
    deployed.follow(deployed.registry.fold(promoted, 0))
    told = Telemetry("learn-0", pid=1, at=0, samples={})
    with AppDriver(app) as driver:
        driver.publish("telemetry", msgspec.json.encode(told))

    named = [name for name in own.samples() if name.startswith("thalweg_champion{")]
    assert named == [f'thalweg_champion{{model="{challenger}"}}']
