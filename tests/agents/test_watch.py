"""The watch role, pure parts and a whole app without a broker."""

import itertools
from collections.abc import Iterable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents import watch
from agents.deployments import decisions
from agents.deployments.deployed import Deployed
from agents.kafka.app import App, KafkaSettings
from agents.observability import metric_list
from agents.observability.accuracy import LevelChange, Reading
from agents.observability.accuracy_alert import accuracy_alert, accuracy_reading, alert_headers
from agents.observability.metrics import Metrics
from agents.pipeline import Pipeline
from agents.settings import Settings
from agents.testing import AppDriver
from examples.shop.pipeline import PIPELINE
from schemas.alerts import Alert
from schemas.telemetry import Telemetry
from schemas.topics import ALL
from tests.agents.serving.garden_pipeline import PIPELINE as GARDEN


class Record:
    """As much of a confluent_kafka.Message as the role reads."""

    def __init__(self, value: bytes | None) -> None:
        self._value = value

    def value(self) -> bytes | None:
        return self._value


def predictions(published: Iterable[int]) -> list[Record]:
    return [Record(msgspec.json.encode({"user_id": "u", "published_at": at})) for at in published]


@given(published=st.lists(st.integers(0, 10_000)))
def test_latency_is_the_time_from_publication_to_now(published: list[int]) -> None:
    latencies = watch.latencies_s(predictions(published), now_ms=5_000, since_ms=0)  # type: ignore[arg-type]

    assert latencies == [max(0, 5_000 - at) / 1_000 for at in published]


def test_what_was_published_before_the_watch_began_is_left_out() -> None:
    records = predictions([999, 1_000])

    assert watch.latencies_s(records, now_ms=1_500, since_ms=1_000) == [0.5]  # type: ignore[arg-type]


@pytest.mark.parametrize("garbage", [None, b"", b"{", b"[]", b'{"published_at": "x"}', b"\xff"])
def test_garbage_is_passed_over(garbage: bytes | None) -> None:
    records = [Record(garbage), *predictions([1])]

    assert watch.latencies_s(records, now_ms=2, since_ms=0) == [0.001]  # type: ignore[arg-type]
    assert list(watch.telemetry_of([Record(garbage)])) == []  # type: ignore[list-item]


def test_every_topic_that_a_role_reads_is_declared() -> None:
    assert set(itertools.chain(*watch.READS.values())) <= set(ALL)


@pytest.mark.parametrize("pipeline", [PIPELINE, GARDEN], ids=["binary", "multiclass"])
def test_what_is_said_to_be_read_is_read_whatever_the_task(pipeline: Pipeline) -> None:
    """A group that stands still would seem to lag."""
    app = App("watch", KafkaSettings(bootstrap="127.0.0.1:1", group="watch"))
    watch.build(app, Settings(), pipeline, Metrics(), Deployed(pipeline))

    read = {name for agent in app.agents.values() for name in agent.get_topic_names()}
    assert {topic.name for topic in watch.READS["watch"]} <= read


def test_the_model_that_is_champion_now_is_the_one_that_alerts_are_about() -> None:
    challenger = PIPELINE.challengers[0]
    deployed = Deployed(PIPELINE)
    app = App("watch", KafkaSettings(bootstrap="127.0.0.1:1", group="watch"))
    own = Metrics()
    watch._judge(app, Settings(), PIPELINE, own, deployed)
    evaluated = itertools.count(10_000, 1_000)

    def tell(driver: AppDriver, roc_auc: float) -> None:
        """Let both models be so good for long enough to count."""
        for at in itertools.islice(evaluated, 4):
            metrics = Metrics()
            for model in (PIPELINE.champion, challenger):
                metrics.gauge(metric_list.MODEL_WINDOW_ROC_AUC, model=model).set(roc_auc)
                metrics.gauge(metric_list.MODEL_EVALUATED, model=model).set(at)
                for label in ("true", "false"):
                    in_window = metric_list.MODEL_WINDOW_OUTCOMES
                    metrics.gauge(in_window, model=model, label=label).set(500)
            told = Telemetry("learn-0", pid=1, at=at, samples=metrics.samples())
            driver.publish("telemetry", msgspec.json.encode(told))

    def alerts(driver: AppDriver) -> list[tuple[str, str]]:
        found = [
            msgspec.json.decode(each.value() or b"", type=Alert) for each in driver.read("alerts")
        ]
        return [(each.level, each.evidence["model"]) for each in found]

    with AppDriver(app) as driver:
        tell(driver, 0.9)
        tell(driver, 0.6)
        while_champion = alerts(driver)
        promoted = decisions.promotion(
            PIPELINE, deployed.registry, challenger, at=0, by="ada", why="worse"
        )
        deployed.follow(deployed.registry.fold(promoted, 0))
        tell(driver, 0.9)
        tell(driver, 0.6)

        assert while_champion == [("critical", PIPELINE.champion)]
        assert alerts(driver) == [*while_champion, ("critical", challenger)]
        named = [name for name in own.samples() if name.startswith("thalweg_champion{")]
        assert named == [f'thalweg_champion{{model="{challenger}"}}']


def test_a_reading_needs_every_sample_of_its_model() -> None:
    metrics = Metrics()
    metrics.gauge(metric_list.MODEL_WINDOW_ROC_AUC, model="m").set(0.8)
    metrics.gauge(metric_list.MODEL_WINDOW_OUTCOMES, model="m", label="true").set(100)
    metrics.gauge(metric_list.MODEL_WINDOW_OUTCOMES, model="m", label="false").set(900)
    before = accuracy_reading(metrics.samples(), "m")
    metrics.gauge(metric_list.MODEL_EVALUATED, model="m").set(7_000)

    assert before is None
    assert accuracy_reading(metrics.samples(), "m") == Reading(0.8, 100, 900, 7_000)
    assert accuracy_reading(metrics.samples(), "another") is None


def test_an_accuracy_alert_carries_its_evidence_over_the_wire() -> None:
    change = LevelChange("warning", "normal", roc_auc=0.7, upper=0.74, best=0.8, threshold=0.76)
    alert = accuracy_alert(
        change, Reading(0.7, 100, 900, 7_000), PIPELINE, model="m", raised_at=1_000
    )

    assert msgspec.json.decode(msgspec.json.encode(alert), type=Alert) == alert
    assert (alert.kind, alert.level, alert.value, alert.threshold) == (
        *("accuracy", "warning"),
        *(0.7, 0.76),
    )
    assert alert.evidence["best"] == 0.8
    assert dict(alert_headers(alert))["ce_id"] == alert.alert_id.encode()
