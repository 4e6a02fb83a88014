"""A pipeline, and a log of which all labels are, from one on, the contrary of what they were."""

import random
from dataclasses import replace
from datetime import timedelta

import msgspec

from examples.shop.pipeline import PIPELINE as SHOP
from schemas.outcomes import Outcome
from tests.agents.outcome_log import make_outcomes

SLOW, QUICK = SHOP.champion, SHOP.challengers[0]
"""Who learns soon that the world has turned round is the tree."""
PIPELINE = replace(
    SHOP,
    champion=QUICK,
    challengers=(SLOW,),
    features=SHOP.features[:2],
    emergency_after=timedelta(seconds=3),
)
FEATURES = PIPELINE.compiled()
TURN = 1_500


def turned_round(n: int, turn: int = TURN) -> list[Outcome]:
    """Make a log of which all labels, from a turn on, are the contrary of what they were."""
    rng, (like,) = random.Random(1), make_outcomes(1)
    outcomes = []
    for i in range(n):
        features = [float(rng.random() < 0.5), rng.random()]
        label = rng.random() < (0.9 if features[0] else 0.1)
        outcomes.append(
            msgspec.structs.replace(
                like,
                prediction_id=f"p{i}",
                event_at=i * 20_000,
                labelled_at=i * 20_000 + 1_800_000,
                label=label != (i >= turn),
                features=features,
                schema=FEATURES.schema,
            )
        )
    return outcomes
