"""Bytes that msgspec refuses in ways of its own: no topic's reader ends of them.

Text that is no UTF-8 raises `UnicodeDecodeError`, deep nesting `RecursionError`; neither is an
error of msgspec. On a log that is never deleted one such record would end every worker for ever.
"""

from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest

from agents.learning.restoring import decoded as outcomes_of
from agents.observability.judged_outcomes import judged_outcomes
from agents.observability.serving_alert import ServingWatch
from agents.observability.standing_alerts import StandingAlerts
from agents.testing import PipelineDriver
from agents.watch import latencies_s, telemetry_of
from schemas import topics
from schemas.topics import Topic
from tests.agents.learning.turned_world import PIPELINE as SHOP
from tests.agents.outcome_log import make_outcomes
from tests.agents.record import Record, batch

PIPELINE = replace(SHOP, challengers=())
OUTCOME = msgspec.structs.replace(
    make_outcomes(1)[0], model="named", schema=PIPELINE.compiled().schema, features=[0.0, 1.0]
)
GOOD = msgspec.msgpack.encode(OUTCOME)
TEXTS = ("kind", "use_case", "source", "process", "published_at")
JSON = {
    "text": b"{" + b",".join(b'"%s": "\xff"' % each.encode() for each in TEXTS) + b"}",
    "nesting": b'{"x": ' + b"[" * 100_000,
}
OUTCOMES = {"text": GOOD.replace(b"named", b"\xffamed"), "nesting": b"\x91" * 100_000}
"""By what is wrong with them."""


@pytest.mark.parametrize("value", JSON.values(), ids=JSON)
@pytest.mark.parametrize(
    "read",
    [
        StandingAlerts(PIPELINE.use_case).take,
        lambda value: ServingWatch(PIPELINE).predictions(batch([Record(value)]), 0),
        lambda value: latencies_s(batch([Record(value)]), 0, 0),
        lambda value: list(telemetry_of(batch([Record(value)]))),
    ],
    ids=["alerts", "predictions", "latencies", "telemetry"],
)
def test_readers_of_json_pass_it_over(read: Callable[[bytes], object], value: bytes) -> None:
    assert not read(value)


@pytest.mark.parametrize("value", OUTCOMES.values(), ids=OUTCOMES)
def test_readers_of_outcomes_pass_it_over(value: bytes) -> None:
    assert value != GOOD
    assert list(outcomes_of([(7, value), (8, GOOD)])) == [(8, OUTCOME)]
    assert judged_outcomes(batch([Record(value)])) == []


@pytest.mark.parametrize(
    ("topic", "value"),
    [
        *((topics.DEPLOYMENTS, value) for value in JSON.values()),
        *((topics.OUTCOMES, value) for value in OUTCOMES.values()),
    ],
    ids=[f"{topic}-{what}" for topic in ("deployments", "outcomes") for what in JSON],
)
def test_a_pipeline_goes_on_behind_it(topic: Topic, value: bytes) -> None:
    driver = PipelineDriver(PIPELINE)
    driver.append(value, topic=topic, key=PIPELINE.use_case.encode())
    driver.silence("drift", driver.now_ms + 1)  # whoever writes reads the log
    driver.append(GOOD, topic=topics.OUTCOMES, key=b"")
    driver.process()
    driver.crash("learn")

    assert driver._training.learners[PIPELINE.champion].n_learned == 1
