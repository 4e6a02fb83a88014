"""Why a prediction may be less than the best: what stands in its `degraded`."""

from typing import Final

from online_models.unanswered import FAILED, NOT_A_NUMBER, NOT_A_PROBABILITY, UNTRAINED

NO_MODEL: Final = "no_model"
TOO_SLOW: Final = "model_too_slow"
STALE: Final = "model_stale"
STAND_IN: Final = "stand_in"
LATE: Final = "late"
ENTITIES_BEHIND: Final = "entities_behind"
ERRORS: Final = (NO_MODEL, TOO_SLOW, STALE, FAILED, NOT_A_PROBABILITY, NOT_A_NUMBER)
"""Somebody should have answered better."""
REASONS: Final = (*ERRORS, UNTRAINED, STAND_IN, ENTITIES_BEHIND, LATE)
