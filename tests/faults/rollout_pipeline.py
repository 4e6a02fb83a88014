"""The shop with a rollout whose gates decide every few labels."""

import dataclasses

from examples.shop.pipeline import PIPELINE as SHOP
from online_models.assignment import Rollout
from online_models.gate import Gates

N_STEPS = 90

PIPELINE = dataclasses.replace(
    SHOP,
    rollout=Rollout(
        name="tree",
        candidate=SHOP.challengers[0],
        exposure=0.0,
        steps=tuple(n / 100 for n in range(1, 1 + N_STEPS)),
        # Nothing is ever called harm: it steps on and on.
        gates=Gates(min_labels=20, error=0.99, tolerance=0.999),
    ),
)
