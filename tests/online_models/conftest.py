"""Outcome logs as the label join writes them: in the order in which labels become known."""

import random
from collections.abc import Callable

import pytest

from online_models import catalogue
from online_models.catalogue import forests
from schemas.outcomes import Outcome

FEATURES = ("clicks", "minutes", "is_mobile", "constant")
SCHEMA = "schema-1"
TARGET = "target-1"
DEAR = tuple(forests.RECIPES)
"""Models that take milliseconds to teach: laws are tried on them once, not fifteen times."""
BINARY = catalogue.names("binary")
CHEAP = tuple(name for name in BINARY if name not in DEAR)
HORIZON_MS = 1_000
"""After it an event's label is known."""
MakeLog = Callable[..., list[Outcome]]


def _make_log(seed: int, n: int, *, horizon_ms: int = HORIZON_MS) -> list[Outcome]:
    rng = random.Random(seed)
    outcomes = []
    for i in range(n):
        clicks = float(rng.randrange(10))
        event_at = i * 100
        label = rng.random() < clicks / 12
        delay = rng.randrange(1, horizon_ms) if label else horizon_ms
        features = [clicks, rng.expovariate(0.1), float(rng.random() < 0.5), 1.0]
        outcomes.append(
            Outcome(
                prediction_id=f"p{i}",
                use_case="intent",
                user_id="u",
                event_at=event_at,
                labelled_at=event_at + delay,
                label=label,
                score=0.5,
                model="m",
                model_version=0,
                schema=SCHEMA,
                features=features,
                target=TARGET,
            )
        )
    return sorted(outcomes, key=lambda outcome: outcome.labelled_at)


@pytest.fixture(scope="session")
def make_log() -> MakeLog:
    """`make_log(seed, n)` gives the same log for the same seed."""
    return _make_log


@pytest.fixture(scope="session")
def feature_names() -> tuple[str, ...]:
    return FEATURES


@pytest.fixture(scope="session")
def schema() -> str:
    return SCHEMA
