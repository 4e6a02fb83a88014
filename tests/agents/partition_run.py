"""One partition of predict without a broker: records in, and what they caused, by topic."""

import math
from collections import defaultdict
from collections.abc import Iterable
from datetime import timedelta
from typing import Any, cast

import msgspec

from agents.kafka.batch import Output
from agents.observability.metrics import Metrics
from agents.prediction.partition import Partition
from agents.prediction.predict_plan import PredictPlan
from agents.prediction.served_models import Served
from examples.shop.pipeline import PIPELINE
from online_models.scorer import Scorer
from schemas.alerts import Alert
from schemas.outcomes import Outcome
from schemas.predictions import Prediction
from tests.agents.record import PUBLISHED_MS, Record, batch

NOON_MS = 1_704_110_400_000
MS = timedelta(milliseconds=1)
PLAN = PredictPlan(PIPELINE, Metrics(), lambda topic: topic.name)


class FakeScorer:
    """Scores that change with every bit of every feature."""

    degraded_reason: str | None = None

    def __init__(self, n_learned: int = 10_000) -> None:
        self.n_learned = n_learned

    def score(self, features: dict[str, float]) -> float:
        return math.fmod(sum(n * abs(x) for n, x in enumerate(features.values(), start=3)), 1.0)


def served(scorer: object, name: str = PIPELINE.champion, version: int = 7) -> dict[str, Served]:
    return {name: Served(name, version, 0, cast(Scorer, scorer))}


class PartitionRun:
    """A partition, perhaps rebuilt from a changelog, that keeps all it emits."""

    def __init__(
        self,
        changelog: Iterable[tuple[bytes, bytes | None]] = (),
        *,
        plan: PredictPlan = PLAN,
        serving: dict[str, Served] | None = None,
    ) -> None:
        self.partition = Partition(0, plan)
        for key, value in changelog:
            self.partition.restore(key, value)
        self.partition.complete()
        self.serving = served(FakeScorer()) if serving is None else serving
        self.by_topic: defaultdict[str, list[Output]] = defaultdict(list)
        self.last_batch: list[Output] = []

    def events(self, *records: Record, now_ms: int = PUBLISHED_MS) -> "PartitionRun":
        step = batch(records)
        self.partition.process_events(step, self.serving, now_ms)
        return self._keep(step.outputs)

    def labels(self, *records: Record) -> "PartitionRun":
        step = batch(records, topic="labels")
        self.partition.process_labels(step, PUBLISHED_MS)
        return self._keep(step.outputs)

    def _keep(self, outputs: list[Output]) -> "PartitionRun":
        self.last_batch = outputs
        for output in outputs:
            self.by_topic[output.topic].append(output)
        return self

    @property
    def predictions(self) -> list[Prediction]:
        return [
            msgspec.json.decode(value, type=Prediction) for value in self._values("predictions")
        ]

    @property
    def outcomes(self) -> list[Outcome]:
        return [msgspec.msgpack.decode(value, type=Outcome) for value in self._values("outcomes")]

    @property
    def labelled(self) -> dict[str, Any]:
        """Labels by event id; each prediction has one outcome at most."""
        labels = {
            outcome.prediction_id.partition(":")[2]: outcome.label for outcome in self.outcomes
        }
        assert len(labels) == len(self.outcomes)
        return labels

    @property
    def alerts(self) -> list[Alert]:
        return [msgspec.json.decode(value, type=Alert) for value in self._values("alerts")]

    @property
    def feature_updates(self) -> list[dict[str, Any]]:
        values = self._values("feature-updates")
        return [msgspec.json.decode(value) for value in values if value]

    def compacted(self) -> list[tuple[bytes, bytes | None]]:
        """The changelog as a compacted topic keeps it: the last record of each key, in order."""
        newest: dict[bytes, bytes | None] = {}
        for output in self.by_topic["predict-state"]:
            assert output.key is not None
            newest.pop(output.key, None)
            newest[output.key] = output.value
        return list(newest.items())

    def table(self, prefix: bytes) -> dict[bytes, bytes]:
        """What the changelog holds of one table."""
        return {
            key: value
            for key, value in self.compacted()
            if value is not None and key.startswith(prefix)
        }

    def _values(self, topic: str) -> list[bytes]:
        return [output.value or b"" for output in self.by_topic[topic]]


def event(
    event_id: str | None = None,
    at_ms: int = NOON_MS,
    *,
    user: str = "ada",
    action: str = "home",
    offset: int = 0,
    headers: list[tuple[str, bytes]] | None = None,
    published_ms: int = PUBLISHED_MS,
) -> Record:
    fields = {"user_id": user, "action": action, "ts": at_ms}
    if event_id is not None:
        fields["event_id"] = event_id
    return Record(
        msgspec.json.encode(fields),
        user.encode(),
        offset=offset,
        published_ms=published_ms,
        headers=headers,
    )


def label(value: bool, *, user: str = "ada", at_ms: int = NOON_MS, **names: str) -> Record:
    fields = {"user_id": user, "ts": at_ms, "label": value, **names}
    return Record(msgspec.json.encode(fields), user.encode())
