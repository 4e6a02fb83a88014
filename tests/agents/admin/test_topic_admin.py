"""Topics on a real broker: created once, compared ever after, never changed."""

import re
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from agents.admin import topic_admin
from agents.settings import Settings
from schemas import topics
from schemas.errors import DeliveryFailed
from tests.waiting import wait_until

pytestmark = pytest.mark.integration


@pytest.fixture
def settings(kafka):
    return Settings(
        kafka_bootstrap=kafka.bootstrap, topic_prefix=f"{uuid.uuid4().hex}-", partitions=2
    )


def test_all_topics_are_created_as_they_are_declared(settings):
    assert {state.partitions for state in topic_admin.states(settings)} == {None}

    created = topic_admin.create(settings)

    assert [state.name for state in created] == [
        topic.named(settings.topic_prefix) for topic in topics.ALL
    ]
    assert [state.differences for state in created] == [()] * len(topics.ALL)
    assert {state.partitions for state in created} == {1, 2}


def test_creating_again_changes_nothing(settings):
    assert topic_admin.create(settings) == topic_admin.create(settings)


def test_what_differs_is_told_and_left_as_it_is(settings):
    topic_admin.create(settings, [topics.LABELS])

    grown = settings.model_copy(update={"partitions": 3})
    after = topic_admin.create(grown, [topics.LABELS])

    assert after[0].differences == ("2 partitions, not 3",)
    assert topic_admin.states(settings, [topics.LABELS])[0].differences == ()


def test_a_broker_that_does_not_answer_is_named(free_port, monkeypatch):
    monkeypatch.setattr(topic_admin, "TIMEOUT_S", 0.2)
    address = f"127.0.0.1:{free_port()}"

    with pytest.raises(DeliveryFailed, match=f"no Kafka broker answers at {address}"):
        topic_admin.states(Settings(kafka_bootstrap=address))


def test_who_needs_topics_may_wait_for_them(settings):
    told: list[str] = []
    needed = [topics.LABELS, topics.MODELS]

    def wait():
        topic_admin.wait_until_there(settings, needed, timeout_s=30, tell=told.append)

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(wait)
        wait_until(lambda: told)
        topic_admin.create(settings)
        waiting.result()

    assert len(told) == 1
    assert topics.LABELS.named(settings.topic_prefix) in told[0]


def test_what_never_comes_is_named_in_the_end(settings):
    with pytest.raises(DeliveryFailed, match="thalweg topics create"):
        topic_admin.wait_until_there(settings, [topics.LABELS], timeout_s=0.0, tell=lambda _: None)


def test_a_broker_that_is_not_there_is_named_in_the_end(free_port):
    settings = Settings(kafka_bootstrap=f"127.0.0.1:{free_port()}")
    with pytest.raises(DeliveryFailed, match=settings.kafka_bootstrap):
        topic_admin.wait_until_there(settings, [topics.LABELS], timeout_s=0.0, tell=lambda _: None)


def test_the_id_of_a_topic_is_fit_for_the_name_of_a_file(settings):
    """As the client writes it, every third one or so has a slash."""
    found = set()
    for _ in range(12):
        here = settings.model_copy(update={"topic_prefix": f"{uuid.uuid4().hex}-"})
        topic_admin.create(here, [topics.OUTCOMES])
        found.add(topic_admin.topic_id(here, topics.OUTCOMES.named(here.topic_prefix)))

    assert len(found) == 12
    assert all(re.fullmatch(r"[A-Za-z0-9_-]+", each) for each in found)
