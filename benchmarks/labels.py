"""What label rules make of the shop's half year: how many outcomes, and how good predictions are.

Models differ by what they are taught; all are judged alike, by the scores as they were served and
by what came of those events.
"""

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, NamedTuple

import msgspec

from agents.kafka.batch import Batch
from agents.observability.metrics import Metrics
from agents.pipeline import Pipeline
from agents.prediction.partition import Partition
from agents.prediction.predict_plan import PredictPlan
from agents.prediction.served_models import Served
from benchmarks.peers.report import table
from benchmarks.shop import batches, declared, history
from online_models.learner import Learner
from online_models.prequential import Prequential
from schemas import topics
from schemas.outcomes import Outcome
from schemas.predictions import Prediction

RULES: Final[Mapping[str, Mapping[str, Any]]] = {
    "as the shop declares it": {},
    'positive="at_maturity"': {"positive": "at_maturity"},
    "keep_negatives=0.1": {"keep_negatives": 0.1},
    "keep_negatives=0.02": {"keep_negatives": 0.02},
    "fake_negatives=True": {"fake_negatives": True},
}
COLUMNS: Final = {
    "rule": "rule",
    "outcomes": "outcomes",
    "roc_auc": "ROC AUC",
    "log_loss": "log loss",
    "mean_score": "mean score",
    "positives": "positives",
}
BATCH: Final = 5
"""Events between two models that serve: of an hour or less, where the horizon is half of one."""


class Replayed(NamedTuple):
    """What came of a replay."""

    scores: dict[str, float]
    """As served, by prediction."""
    truth: dict[str, bool]
    """By prediction; not of all, where others stand for them."""
    n_outcomes: int


def replay(pipeline: Pipeline, some: Iterable[Batch]) -> Replayed:
    """Let events pass, and serve the champion as it is after each batch."""
    plan = PredictPlan(pipeline, Metrics(), lambda topic: topic.name)
    partition = Partition(0, plan)
    partition.complete()
    champion, label = pipeline.champion, pipeline.label
    learner = Learner(
        champion,
        feature_names=plan.features.names,
        schema=plan.features.schema,
        target=label.target,
        label_delay=label.horizon + pipeline.allowed_lateness,
    )
    serving: dict[str, Served] = {}
    scores: dict[str, float] = {}
    truth: dict[str, bool] = {}
    n_outcomes = 0
    for batch in some:
        _, now_ms = batch.records[-1].timestamp()
        partition.process_events(batch, serving, now_ms)
        for output in batch.outputs:
            if output.topic == topics.PREDICTIONS.name:
                made = msgspec.json.decode(output.value or b"", type=Prediction)
                scores[made.prediction_id] = made.score
            elif output.topic == topics.OUTCOMES.name:
                outcome = msgspec.msgpack.decode(output.value or b"", type=Outcome)
                learner.learn(outcome, n_outcomes)
                n_outcomes += 1
                if outcome.judged > 0.0:
                    truth[outcome.prediction_id] = outcome.label is True
        if learner.n_learned > 0:
            serving = {champion: Served(champion, learner.version, 0, learner.scorer())}
    return Replayed(scores, truth, n_outcomes)


def measure(n_events: int | None = None) -> list[dict[str, Any]]:
    """Replay the history under each rule, or the first events of it."""
    shop, events = declared(), history()[:n_events]
    rows = []
    truth: dict[str, bool] = {}
    for name, choices in RULES.items():
        replayed = replay(
            replace(shop, label=replace(shop.label, **choices), challengers=()),
            batches(events, BATCH),
        )
        truth = truth or replayed.truth  # of the first rule: every event's
        quality = Prequential()
        for prediction_id, label in truth.items():
            quality.update(label, replayed.scores[prediction_id])
        expected = sum(replayed.scores[prediction_id] for prediction_id in truth) / len(truth)
        rows.append(
            {
                "rule": name,
                "outcomes": replayed.n_outcomes,
                "roc_auc": round(quality.roc_auc, 4),
                "log_loss": round(quality.log_loss, 4),
                "mean_score": round(expected, 4),
                "positives": round(quality.positives / quality.n, 4),
            }
        )
    return rows


def run(argv: Sequence[str]) -> int:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks labels", description=__doc__)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    rows = measure()
    print(json.dumps(rows, indent=1) if options.json else table(COLUMNS, rows))
    return 0
