"""The shop while another model is on its way into service, and people judge what it is unsure of.

`THALWEG_PIPELINE=examples.shop.rollout make up`; beside it `thalweg experiments show` tells how far
the rollout is, and `thalweg reviews ls` what is to be judged.
"""

from dataclasses import replace

from examples.shop.pipeline import PIPELINE as SHOP
from online_models.assignment import Rollout
from online_models.gate import Gates
from online_models.review import Review

PIPELINE = replace(
    SHOP,
    challengers=(*SHOP.challengers, "binary_ftrl_v1"),
    rollout=Rollout(
        name="ftrl-2026",
        candidate="binary_ftrl_v1",
        exposure=0.0,
        steps=(0.02, 0.1, 0.5),
        # As good will do: it is no better on this shop, but features may be added that it likes.
        gates=Gates(min_labels=2_000, tolerance=0.01),
    ),
    review=Review(confidence=0.5, per_day=20),
)
