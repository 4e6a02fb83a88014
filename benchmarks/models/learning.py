"""What a learner does beside River's own work: judging each outcome, and writing snapshots."""

import gc
import random
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Final

from online_models import catalogue
from online_models.learner import Learner
from online_models.signing import Signer
from online_models.snapshot import encode
from schemas.outcomes import Outcome

FEATURES: Final = tuple(f"feature_{n}" for n in range(31))
"""As many as the shop has."""
HORIZON: Final = timedelta(minutes=30)
BUDGET_S: Final = 1.0
"""Of work for one round of River's: dear models are taught fewer outcomes."""
MOST: Final = 10_000
ROUNDS: Final = 3


def learning(name: str) -> dict[str, float]:
    """Teach a model in a bare loop and through a learner, by turns; tell the best of each."""
    bare_us, learner_us = [], []
    log = outcomes(_affordable(name))
    for _ in range(ROUNDS):
        model = catalogue.make(name)
        bare_us.append(_us_each(log, partial(_bare, model)))
        learner = Learner(name, feature_names=FEATURES, schema="s1", label_delay=HORIZON)
        learner_us.append(_us_each(log, partial(_through, learner)))
    signer = Signer.generate()
    took_ms = []
    for _ in range(ROUNDS):
        began_at_s = time.thread_time()
        blob = encode(learner, signer, at_ms=0)
        took_ms.append((time.thread_time() - began_at_s) * 1_000)
    return {
        "outcomes": len(log),
        "bare_us": round(min(bare_us), 1),
        "learner_us": round(min(learner_us), 1),
        "ratio": round(min(bare_us) / min(learner_us), 2),
        "snapshot_kib": round(len(blob) / 1024, 1),
        "snapshot_ms": round(min(took_ms), 2),
    }


def outcomes(n: int) -> list[Outcome]:
    """Make a log in the order in which labels become known, one event a second."""
    dice = random.Random(1)
    horizon_ms = HORIZON // timedelta(milliseconds=1)
    log = []
    for i in range(n):
        features = [
            float(dice.randrange(10)) if at % 2 else dice.expovariate(0.1)
            for at in range(len(FEATURES))
        ]
        label = dice.random() < (features[1] + features[3]) / 24
        labelled_at = i * 1_000 + (dice.randrange(horizon_ms) if label else horizon_ms)
        log.append(
            Outcome(
                *(f"p{i}", "intent", "u", i * 1_000, labelled_at, label),
                *(0.5, "m", 0, "s1", features),
            )
        )
    return sorted(log, key=lambda outcome: outcome.labelled_at)


def _bare(model: object, log: Sequence[Outcome]) -> None:
    ask, teach = model.predict_proba_one, model.learn_one  # type: ignore[attr-defined]
    for outcome in log:
        features = dict(zip(FEATURES, outcome.features, strict=True))
        ask(features)
        teach(features, outcome.label)


def _through(learner: Learner, log: Sequence[Outcome]) -> None:
    for offset, outcome in enumerate(log):
        learner.learn(outcome, offset)


def _affordable(name: str) -> int:
    first = outcomes(50)
    model = catalogue.make(name)
    each_us = _us_each(first, partial(_bare, model))
    return int(min(MOST, max(100, BUDGET_S * 1e6 / each_us)))


def _us_each(log: Sequence[Outcome], run: Callable[[Sequence[Outcome]], None]) -> float:
    gc.collect()  # as a worker does, between batches
    gc.disable()
    began_at_s = time.thread_time()
    run(log)
    took_s = time.thread_time() - began_at_s
    gc.enable()
    return took_s * 1e6 / len(log)
