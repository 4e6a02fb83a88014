"""A training log as predict writes it, with the shop's features."""

import random

from examples.shop.pipeline import PIPELINE
from schemas.outcomes import Outcome

FEATURES = PIPELINE.compiled()
FOLD = FEATURES.user


def make_outcomes(n: int, *, seed: int = 0) -> list[Outcome]:
    rng = random.Random(seed)
    outcomes = []
    for i in range(n):
        features = [rng.choice((0.0, 1.0, rng.expovariate(0.1))) for _ in FOLD.names]
        label = rng.random() < (0.8 if features[0] > 0 else 0.1)
        event_at = i * 1_000
        labelled_at = event_at + (rng.randrange(1, 1_800_000) if label else 1_800_000)
        outcomes.append(
            Outcome(
                f"p{i}",
                PIPELINE.use_case,
                f"u{i % 7}",
                event_at,
                labelled_at,
                label,
                0.5,
                PIPELINE.champion,
                0,
                FOLD.schema,
                features,
                PIPELINE.label.target,
            )
        )
    return sorted(outcomes, key=lambda outcome: outcome.labelled_at)
