"""A replay on a real broker: in order, on time, and resumed where it ended."""

import uuid
from collections import defaultdict
from itertools import chain
from pathlib import Path

import orjson
import pytest

from agents.admin import topic_admin, topic_reader
from agents.history import event_file, publisher
from agents.history.checkpoint import Checkpoint
from agents.history.event_file import UnreadableFile
from agents.history.replay import OUTPUTS, Replay
from agents.settings import Settings
from examples.shop.pipeline import PIPELINE
from schemas import topics

pytestmark = pytest.mark.integration

N_EVENTS = 60
USER_EVENTS = "user-events"
# `Utils.murmur2` of Apache Kafka, from its own tests.
MURMUR2 = {"21": -973932308, "foobar": -790332482, "a-little-bit-long-string": -985981536}


class Interrupted(Exception):
    """Stands for a Ctrl-C in the middle of a replay."""


@pytest.fixture
def settings(kafka, tmp_path):
    here = Settings(
        kafka_bootstrap=kafka.bootstrap,
        topic_prefix=f"{uuid.uuid4().hex}-",
        partitions=2,
        data_dir=tmp_path / "data",
    )
    topic_admin.create(here, [topics.USER_EVENTS, *OUTPUTS])
    return here


@pytest.fixture
def history(tmp_path):
    """Events of a few users, the latest first."""
    path: Path = tmp_path / "clicks.jsonl"
    path.write_bytes(
        b"\n".join(
            orjson.dumps({"user_id": f"u{at % 7}", "event": "home", "timestamp": at * 1_000})
            for at in reversed(range(N_EVENTS))
        )
    )
    return path


def published(settings: Settings) -> list[tuple[int, int, str]]:
    """Partition, record timestamp and event id of what the broker has."""
    topic = topics.USER_EVENTS.named(settings.topic_prefix)
    return [
        (
            message.partition() or 0,
            message.timestamp()[1],
            orjson.loads(message.value() or b"")["event_id"],
        )
        for message in topic_reader.read_to_end(settings, topic)
    ]


def test_every_event_is_published_once_and_each_partition_in_the_order_of_time(settings, history):
    replay = Replay(history, settings, PIPELINE)

    assert replay.run(0) == N_EVENTS

    rank = {event.event_id: index for index, event in enumerate(replay.events)}
    by_partition = defaultdict(list)
    for partition, _, event_id in published(settings):
        by_partition[partition].append(rank[event_id])
    assert sorted(chain(*by_partition.values())) == [*range(N_EVENTS)]
    assert all(ranks == sorted(ranks) for ranks in by_partition.values())


def test_users_are_where_javas_partitioner_puts_them(settings, tmp_path):
    path = tmp_path / "users.jsonl"
    rows = [{"user_id": user, "event": "home", "timestamp": 0} for user in MURMUR2]
    path.write_bytes(b"\n".join(map(orjson.dumps, rows)))

    Replay(path, settings, PIPELINE).run(0)

    found = {event_id: partition for partition, _, event_id in published(settings)}
    expected = [(hashed & 0x7FFFFFFF) % 2 for hashed in MURMUR2.values()]
    of_file = f"users-{event_file.fingerprint(path)[:12]}"
    assert [found[f"{of_file}-{row}"] for row in (1, 2, 3)] == expected


def test_a_record_bears_the_time_at_which_it_was_due(settings, history):
    rate = 200.0
    replay = Replay(history, settings, PIPELINE)

    replay.run(rate)

    at_ms = {event_id: timestamp for _, timestamp, event_id in published(settings)}
    first, *later = (at_ms[event.event_id] for event in replay.events)
    for index, actual in enumerate(later, start=1):
        assert abs(actual - first - index * 1_000 / rate) <= 1


def test_an_interrupted_replay_is_resumed_and_nothing_is_missing(settings, history, monkeypatch):
    monkeypatch.setattr(publisher, "YIELD_S", 0.01)

    def interrupt_early(acknowledged: int, _total: int) -> None:
        if acknowledged >= 10:
            raise Interrupted

    with pytest.raises(Interrupted):
        Replay(history, settings, PIPELINE).run(20, report=interrupt_early)
    resumed = Replay(history, settings, PIPELINE)
    n_before = len(resumed.published)
    reported: list[str] = []
    n_after = resumed.run(0, on_acknowledged=reported.append)

    assert 10 <= n_before < N_EVENTS
    assert n_before + n_after == N_EVENTS
    assert sorted(reported) == sorted(event.event_id for event in resumed.events[n_before:])
    assert {event_id for _, _, event_id in published(settings)} == {
        event.event_id for event in resumed.events
    }


def test_what_is_published_is_not_published_again(settings, history):
    Replay(history, settings, PIPELINE, limit=20).run(0)
    outputs = Replay(history, settings, PIPELINE).checkpoint.outputs

    assert Replay(history, settings, PIPELINE, limit=20).run(0) == 0
    assert Replay(history, settings, PIPELINE).run(0) == N_EVENTS - 20
    assert len(published(settings)) == N_EVENTS
    # The audit of the whole replay still begins where the first run began.
    assert Replay(history, settings, PIPELINE).checkpoint.outputs == outputs


def test_from_start_publishes_everything_anew(settings, history):
    Replay(history, settings, PIPELINE).run(0)

    assert Replay(history, settings, PIPELINE, from_start=True).run(0) == N_EVENTS
    assert len(published(settings)) == 2 * N_EVENTS


def test_a_checkpoint_of_another_cluster_is_not_ours(settings, history):
    path = settings.data_dir / "replay" / "clicks.json"
    Checkpoint(fingerprint="?", destination=f"elsewhere/{USER_EVENTS}", acknowledged=9).save(path)

    assert Replay(history, settings, PIPELINE).published == []


def test_a_file_that_changed_since_is_not_resumed(settings, history):
    Replay(history, settings, PIPELINE, limit=20).run(0)
    with history.open("ab") as file:
        file.write(b'\n{"user_id": "u1", "event": "home", "timestamp": 0}')

    with pytest.raises(UnreadableFile, match=r"clicks\.jsonl has changed.*--from-start"):
        Replay(history, settings, PIPELINE)
