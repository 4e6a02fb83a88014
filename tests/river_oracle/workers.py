"""The same lockstep through Kafka, with the workers of production in processes of their own."""

import re
import time
import urllib.request
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
from confluent_kafka import Producer

from agents.embedded import process
from agents.observability import metric_list
from agents.settings import Settings
from schemas import topics
from schemas.predictions import Prediction
from schemas.topics import Topic
from tests.agents.rig import Rig
from tests.river_oracle.by_river import Row
from tests.river_oracle.declared_pipeline import TOLD
from tests.river_oracle.lockstep import event, label
from tests.waiting import wait_until

STARTED_S = 60
STEP_S = 30
LOOK_EVERY_S = 0.003


class Workers:
    """One partition, a worker that predicts and one that learns."""

    def __init__(self, bootstrap: str, directory: Path, dataset: str, model: str) -> None:
        self._model = model
        self._port = process.free_port()
        settings = Settings(
            kafka_bootstrap=bootstrap,
            topic_prefix=f"{uuid.uuid4().hex}.",
            data_dir=directory,
            pipeline="tests.river_oracle.declared_pipeline",
            partitions=1,
        )
        self._rig = Rig(
            settings,
            [("predict", 0), ("learn", 0)],
            {TOLD: f"{dataset} {model}"},
            metrics_ports={"predict": self._port},
            module="tests.river_oracle.eager_worker",
        )
        self._prefix = settings.topic_prefix
        self._producer = Producer(self._rig.client.producer())
        self._said = self._rig.reader(topics.PREDICTIONS)
        self._rig.supervisor.start()

    def ask(self, rows: Sequence[Row], *, delay: int) -> list[Prediction]:
        """Ask one row after the other; each label becomes known so many rows later."""
        wait_until(self._is_ready, STARTED_S)
        predictions = []
        for n, (x, _) in enumerate(rows):
            if delay and n >= delay:
                self._answer(n - delay, rows)
            self._publish(topics.USER_EVENTS, event(n, x, _now_ms()))
            predictions.append(self._next_prediction())
            if not delay:
                self._answer(n, rows)
        return predictions

    def close(self) -> None:
        """End everything."""
        self._rig.close()
        del self._producer  # or it would look for the broker when that is gone

    def _answer(self, n: int, rows: Sequence[Row]) -> None:
        """Tell a row's label, and wait until what it taught is served."""
        self._publish(topics.LABELS, label(n, rows[n][1], _now_ms()))
        wait_until(lambda: self._served() == n + 1, STEP_S, every_s=LOOK_EVERY_S)

    def _publish(self, topic: Topic, record: dict[str, Any]) -> None:
        key = record["user_id"].encode()
        self._producer.produce(topic.named(self._prefix), msgspec.json.encode(record), key)
        assert self._producer.flush(STEP_S) == 0

    def _next_prediction(self) -> Prediction:
        deadline_s = time.monotonic() + STEP_S
        while time.monotonic() < deadline_s:
            message = self._said.poll(0.1)
            if message is not None and message.error() is None:  # else: nothing new yet
                return msgspec.json.decode(message.value() or b"", type=Prediction)
        raise TimeoutError(f"no prediction within {STEP_S} s")

    def _served(self) -> int:
        """Tell how many labels the model knows that answers now."""
        sample = f'{metric_list.MODEL_VERSION.name}{{model="{self._model}"}} '
        found = re.search(rf"^{re.escape(sample)}(\S+)$", self._get("metrics"), re.MULTILINE)
        return -1 if found is None else int(float(found[1]))

    def _is_ready(self) -> bool:
        try:
            return self._get("health/ready") == "yes\n"
        except OSError:  # it does not listen yet, or answers that it is not
            return False

    def _get(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/{path}", timeout=STEP_S) as got:
            return got.read().decode()  # type: ignore[no-any-return]


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
