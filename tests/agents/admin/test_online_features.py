"""What Redis has of a user, as the store role wrote it."""

import uuid

import pytest
from redis import Redis

from agents.admin import online_features
from agents.settings import Settings
from examples.shop.pipeline import PIPELINE
from schemas.errors import ThalwegError


@pytest.mark.integration
def test_features_are_read_without_what_the_store_keeps_for_itself(redis_server):
    here = Settings(redis_url=redis_server.url, topic_prefix=f"{uuid.uuid4().hex}-")
    key = f"{here.topic_prefix}features:{PIPELINE.use_case}:ada"
    written = {"_offset": 7, "_as_of": 5, "_schema": "6c96", "click_rate_7d": 0.25}
    with Redis.from_url(redis_server.url) as redis:
        redis.hset(key, mapping=written)

    assert online_features.read(here, PIPELINE, "ada") == {"click_rate_7d": 0.25}
    assert online_features.read(here, PIPELINE, "bob") == {}


def test_a_redis_that_does_not_answer_is_named(free_port):
    url = f"redis://127.0.0.1:{free_port()}/0"

    with pytest.raises(ThalwegError, match=f"no Redis answers at {url}"):
        online_features.read(Settings(redis_url=url), PIPELINE, "ada")
