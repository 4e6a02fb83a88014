"""The same with a forest among its challengers: dear to teach, and to write."""

import dataclasses

from tests.faults.rollout_pipeline import PIPELINE as ROLLOUT

PIPELINE = dataclasses.replace(ROLLOUT, challengers=(*ROLLOUT.challengers, "binary_forest_v1"))
