"""A predict worker whose users lie on a disk is killed: what comes of events is the same."""

import random
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest
from confluent_kafka import Message

from agents.embedded.kafka import EmbeddedKafka
from agents.prediction.spilled_states import CHUNK, HOT
from agents.settings import Settings
from examples.shop.pipeline import PIPELINE
from schemas import topics
from schemas.events import UserEvent
from schemas.feature_updates import STATE_HEADER
from schemas.predictions import Prediction
from schemas.telemetry import Telemetry
from schemas.topics import Topic
from tests.agents.rig import Rig
from tests.waiting import wait_until

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

N_USERS = HOT + 4 * CHUNK
N_LATER = 3_000
N_KILLS = 2
WITHIN_S = 120


def make_events(now_ms: int) -> list[UserEvent]:
    """Everybody once, and then some of them, most of whom are on the disk by then."""
    chance = random.Random(11)
    users = [*range(N_USERS), *(chance.randrange(N_USERS) for _ in range(N_LATER))]
    begin_ms, actions = now_ms - 3_600_000, sorted(PIPELINE.actions)
    return [
        PIPELINE.event(
            f"user-{user}", chance.choice(actions), begin_ms + n * 100, f"e{n}", f"s{user}"
        )
        for n, user in enumerate(users)
    ]


class Run:
    """What a worker makes of events, as a read_committed reader sees it."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.predicted: Counter[str] = Counter()
        self.last: dict[bytes, tuple[bytes | None, bytes]] = {}
        """By user: the last features, and the state that they were computed from."""
        self.samples: Counter[str] = Counter()
        """The largest that was told of each."""
        self._takes: list[tuple[Topic, Callable[[Message], None]]] = [
            (topics.PREDICTIONS, self._take_prediction),
            (topics.FEATURE_UPDATES, self._take_update),
            (topics.TELEMETRY, self._take_telemetry),
        ]
        self._readers = [(rig.reader(topic), take) for topic, take in self._takes]
        rig.supervisor.start()

    def read(self) -> int:
        """Take in what there is; tell how many records that was."""
        n = 0
        for consumer, take in self._readers:
            for message in consumer.consume(5_000, 0.05):
                if message.error() is None:
                    take(message)
                    n += 1
        return n

    def wait_predicted(self, n: int) -> None:
        """Wait for the predictions of so many events."""

        def predicted() -> bool:
            self.read()
            return len(self.predicted) >= n

        wait_until(predicted, WITHIN_S, every_s=0)

    def _take_prediction(self, message: Message) -> None:
        prediction = msgspec.json.decode(message.value() or b"", type=Prediction)
        self.predicted[prediction.event_id] += 1

    def _take_update(self, message: Message) -> None:
        state = dict(message.headers() or ()).get(STATE_HEADER)
        self.last[message.key() or b""] = (message.value(), bytes(state or b""))  # type: ignore[arg-type]

    def _take_telemetry(self, message: Message) -> None:
        samples = msgspec.json.decode(message.value() or b"", type=Telemetry).samples
        for name, value in samples.items():
            self.samples[name] = max(self.samples[name], value)  # type: ignore[assignment]


@pytest.fixture
def start(kafka: EmbeddedKafka, tmp_path: Path) -> Iterator[Callable[[Path | None], Run]]:
    with ExitStack() as closing:

        def start(spill: Path | None) -> Run:
            settings = Settings(
                kafka_bootstrap=kafka.bootstrap,
                topic_prefix=f"{uuid.uuid4().hex}.",
                data_dir=tmp_path / uuid.uuid4().hex,
                pipeline="examples.shop.pipeline",
                partitions=1,
                metrics_port=0,
            )
            told = {} if spill is None else {"THALWEG_STATE_SPILL": str(spill)}
            rig = Rig(settings, [("predict", 0)], told)
            closing.callback(rig.close)
            return Run(rig)

        yield start


def test_nothing_is_lost_or_doubled_and_features_are_those_of_a_run_in_memory(
    start: Callable[[Path | None], Run], tmp_path: Path
) -> None:
    events = make_events(time.time_ns() // 1_000_000)
    names = {event.event_id for event in events}
    in_memory = start(None)
    in_memory.rig.publish(events)
    in_memory.wait_predicted(len(events))

    spill = tmp_path / "spill"
    run = start(spill)
    run.rig.publish(events[:N_USERS])
    run.wait_predicted(N_USERS)
    step = N_LATER // N_KILLS
    for at in range(N_USERS, len(events), step):
        run.rig.publish(events[at : at + step])
        run.wait_predicted(at + 1)  # it is at work
        run.rig.kill(0)
    run.wait_predicted(len(events))

    def is_the_same() -> bool:
        """What is told beside the last predictions may be read a moment after them."""
        n_read = in_memory.read() + run.read()
        return n_read == 0 and run.last == in_memory.last

    wait_until(is_the_same, 30, every_s=0)

    for each in (in_memory, run):
        assert each.predicted.keys() == names
        assert {name: n for name, n in each.predicted.items() if n > 1} == {}
    assert run.samples['thalweg_state_spill_users{place="disk"}'] >= N_USERS - HOT - CHUNK
    assert run.samples['thalweg_state_spill_users{place="memory"}'] <= HOT + CHUNK
    assert run.samples["thalweg_state_spill_writes_total"] >= N_USERS - HOT - CHUNK
    assert run.samples["thalweg_state_spill_reads_total"] > 0
    assert not any(name.startswith("thalweg_state_spill") for name in in_memory.samples)
    assert [*spill.iterdir()] == []
